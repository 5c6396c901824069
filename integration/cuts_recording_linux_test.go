package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat/fattest"
)

// A recording is what reached the host of a mounted image while a workload ran on it, and what the workload was
// promised at which length of the log. How the program's own threads interleave differs from run to run, so it
// is the recording that can be looked at again, and not the run.
type recording struct {
	Seed     uint64
	Layout   fattest.Layout
	Log      []faultdev.Entry
	Promises fattest.Promises
}

// recordWorkload runs a workload on a volume that the built program has mounted from a recording host.
func recordWorkload(t *testing.T, l fattest.Layout, work func(*fattest.Scene), seed uint64) *recording {
	t.Helper()
	r := &recording{Seed: seed, Layout: l}
	h := startRecordingHost(t, r.before(t))
	dir := mountImage(t, h.img)
	scene := fattest.NewScene(t, mountTree{dir}, h.logLength, seed)
	work(scene)
	umount(t, dir)
	r.Log, r.Promises = h.log(), scene.Promises

	// A log that lacks a write would be one of cuts that never are.
	at, err := device.ReadMem(h.img)
	if err != nil {
		t.Fatal(err)
	}
	end := r.before(t)
	if err := faultdev.Replay(end, r.Log, len(r.Log)); err != nil {
		t.Fatal(err)
	}
	if diff, equal := at.Equal(end); !equal {
		t.Fatalf("the image has something at offset %d that is not in the log", diff)
	}
	if found, err := fattest.Check(end); err != nil || found.Err() != nil {
		t.Fatalf("after the unmount: %v, %v", err, found.Err())
	}
	return r
}

// before is the volume that the log begins with.
func (r *recording) before(t *testing.T) *device.Mem {
	t.Helper()
	return fattest.Formatted(t, r.Layout)
}

func (r *recording) syncs() (at []int) {
	for i, e := range r.Log {
		if e.Mark == "" && e.Kind == faultdev.Sync {
			at = append(at, i)
		}
	}
	return at
}

// without is the recording of a host that has forgotten a sync.
func (r *recording) without(sync int) *recording {
	other := *r
	other.Log = append([]faultdev.Entry{}, r.Log...)
	other.Log[sync] = faultdev.Entry{Mark: "forgotten sync"}
	return &other
}

// keep stores the recording in a directory of its own in dir, and returns where.
func (r *recording) keep(t *testing.T, dir string) string {
	t.Helper()
	dir, err := os.MkdirTemp(dir, "fatvol-cut-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-"))
	if err := writeGob(path, r); err != nil {
		t.Fatal(err)
	}
	return path
}

// A recordedCut is what a power cut left.
type recordedCut struct {
	Number int // of the moment in the log, and of the way in which it is cut there
	At     int
	How    string
	m      *device.Mem
}

func (c *recordedCut) String() string {
	return fmt.Sprintf("cut %d, after entry %d, %s", c.Number, c.At, c.How)
}

const (
	// cutNumbers is how many numbers each moment has: one in order, one torn, and two for each sample.
	cutNumbers  = 1 << 10
	mostSamples = cutNumbers/2 - 1
)

// cuts calls fn for what cuts at the moments from first to last leave: everything in order; that and a part of the
// next write; and for samples of both, some of the writes since the last sync, and its sectors in any order.
func (r *recording) cuts(t *testing.T, first, last, samples int, fn func(*recordedCut) error) error {
	t.Helper()
	return faultdev.EachCut(r.before(t), r.Log, func(x *faultdev.Cut) error {
		if x.At < first || x.At > last {
			return nil
		}
		for k := range 2 + 2*min(samples, mostSamples) {
			c, err := r.cut(x, k)
			if err == nil && c != nil {
				err = fn(c)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// only calls fn for the cut of that number.
func (r *recording) only(t *testing.T, number int, fn func(*recordedCut) error) error {
	t.Helper()
	found := false
	err := r.cuts(t, number/cutNumbers, number/cutNumbers, mostSamples, func(c *recordedCut) error {
		if c.Number != number {
			return nil
		}
		found = true
		return fn(c)
	})
	if err == nil && !found {
		err = fmt.Errorf("there is no cut %d", number)
	}
	return err
}

// cut makes the k-th cut of a moment; nil if it is the first one once more.
func (r *recording) cut(x *faultdev.Cut, k int) (c *recordedCut, err error) {
	c = &recordedCut{Number: x.At*cutNumbers + k, At: x.At}
	rng := rand.New(rand.NewPCG(r.Seed, uint64(c.Number)))
	next, ok := x.Next()
	switch {
	case k == 0:
		c.How, c.m = "in order", x.InOrder()
	case k == 1 && (!ok || next.Len <= faultdev.SectorSize), k > 1 && x.Open() == 0:
		return nil, nil
	case k == 1:
		n := 1 + rng.IntN(int(next.Len/faultdev.SectorSize))
		c.How = fmt.Sprintf("the next write torn after %d sectors", n)
		c.m, err = x.Torn(n)
	case k%2 == 0:
		c.How = fmt.Sprintf("entries %d to %d in any order, by sectors", x.Covered, x.At)
		c.m, err = x.Scattered(rng)
	default:
		c.How = fmt.Sprintf("some of entries %d to %d", x.Covered, x.At)
		c.m, err = x.Selected(rng)
	}
	return c, err
}
