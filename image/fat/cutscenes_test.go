package fat_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

var (
	sceneSeed = flag.Uint64("scene-seed", 1, "seed of the random parts of TestCutScenes")
	sceneCut  = flag.Int("scene-cut", 0, "the only cut of each scene that TestCutScenes looks at; 0: all")
)

// leastCuts is how many cuts a whole run of TestCutScenes has to look at.
const leastCuts = 20_000

// shownEvery is how many cuts there are for each that is shown to fsck.fat.
const shownEvery = 193

// scene is a workload on a volume whose writes are recorded.
type scene struct {
	*fattest.Scene
	t     testing.TB
	v     *fat.Volume
	rec   *faultdev.Recorder
	shown int // volumes that fsck.fat looked at
}

// shared is a workload of all that know how to run one.
func shared(work func(*fattest.Scene)) func(*scene) {
	return func(c *scene) { work(c.Scene) }
}

func TestCutScenes(t *testing.T) {
	// Small clusters and an almost full directory page make every kind of crossing happen.
	layouts := []fattest.Layout{
		{Width: 12, Clusters: 900}, {Width: 12, Clusters: 600, ClusterSize: 2048, FATs: 1},
		{Width: 16, Clusters: 4200}, {Width: 32, Clusters: 65600}, {Width: 32, Clusters: 65530, SectorSize: 4096},
	}
	cuts := 0
	for name, work := range fattest.Workloads {
		for _, l := range layouts {
			t.Run(fmt.Sprintf("%s/FAT%d-%d-%d", name, l.Width, l.SectorSize, l.ClusterSize), func(t *testing.T) {
				cuts += cutScene(t, l, shared(work))
			})
		}
	}
	t.Logf("%d cuts checked", cuts)
	if cuts < leastCuts && !t.Failed() && !filtered() && !testing.Short() {
		t.Errorf("only %d cuts were looked at, expected at least %d", cuts, leastCuts)
	}
}

// filtered reports whether -run picks some of the scenes.
func filtered() bool {
	run := flag.Lookup("test.run")
	return run != nil && strings.Contains(run.Value.String(), "/")
}

// lookedAt reports whether the cut after so many writes is looked at: each one, but in a short run.
func lookedAt(at int) bool { return !testing.Short() || at%5 == 0 }

// cutScene runs a workload and checks what every cut of it, and samples of what the host may make of the
// writes since the last sync, leave behind.
func cutScene(t *testing.T, l fattest.Layout, work func(*scene)) (cuts int) {
	c, base := recordScene(t, l, work)
	end := base.Clone()
	log := c.rec.Log()
	if err := faultdev.Replay(end, log, len(log)); err != nil {
		t.Fatal(err)
	}
	check(t, end)

	err := faultdev.EachCut(base, log, func(x *faultdev.Cut) error {
		if !lookedAt(x.At) {
			return nil
		}
		for k, how := range []string{"in order", "scattered", "a subset of the writes", "the next write torn", "scattered"} {
			// Small volumes are cheap to look at.
			if k > 0 && l.Width != 12 && (x.At+k)%4 != 0 || k > 3 && l.Width != 12 {
				continue
			}
			cuts++
			if *sceneCut != 0 && *sceneCut != cuts {
				continue
			}
			// Each cut has numbers of its own, so that it can be repeated alone.
			rng := rand.New(rand.NewPCG(*sceneSeed, uint64(cuts)))
			var m *device.Mem
			var err error
			switch k {
			case 0:
				m = x.InOrder()
			case 2:
				m, err = x.Selected(rng)
			case 3:
				m, err = x.Torn(rng.IntN(16))
			default:
				m, err = x.Scattered(rng)
			}
			if err != nil {
				return err
			}
			r, err := c.Promises.Judge(m, x.At)
			if err == nil && cuts%shownEvery == 0 {
				err = fsckCut(t, m, r)
			}
			if err != nil {
				return fmt.Errorf("cut after write %d of %d, %s: %v\nto repeat: -run '%s' -scene-seed %d -scene-cut %d",
					x.At, len(log), how, err, t.Name(), *sceneSeed, cuts)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return cuts
}

// fsckCut shows what a cut left to fsck.fat.
func fsckCut(t *testing.T, m *device.Mem, r *fattest.Report) error {
	out, err := fsckOutput(m, filepath.Join(t.TempDir(), "cut.img"))
	if out == "" {
		return err
	}
	return r.FsckErr(out)
}

// record runs a workload on a volume on dev.
func (c *scene) record(dev device.Device, work func(*scene)) {
	c.recordWith(dev, fat.Options{CommitDelay: -time.Second}, work)
}

func (c *scene) recordWith(dev device.Device, opt fat.Options, work func(*scene)) {
	v, err := fat.Open(dev, opt)
	if err != nil {
		c.t.Fatal(err)
	}
	c.v, c.Scene = v, fattest.NewScene(c.t, engineTree{v}, c.rec.Len, *sceneSeed)
	work(c)
	if err := v.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// TestCutScenesFindOneFault shows that the checks notice much less than no order at all: a single sync that
// is missing, or one phase before the one that it has to follow.
func TestCutScenesFindOneFault(t *testing.T) {
	l := fattest.Layout{Width: 16, Clusters: 4200}
	for _, name := range []string{"append", "editor", "trees", "reuse", "mixed"} {
		c, base := recordScene(t, l, shared(fattest.Workloads[name]))
		log := c.rec.Log()
		var syncs []int
		for i, e := range log {
			if e.Mark == "" && e.Kind == faultdev.Sync {
				syncs = append(syncs, i)
			}
		}
		missing, swapped := 0, 0
		for k := 1; k+1 < len(syncs) && (missing == 0 || swapped == 0); k++ {
			before, at, after := syncs[k-1], syncs[k], syncs[k+1]
			start := base.Clone()
			if err := faultdev.Replay(start, log, before); err != nil {
				t.Fatal(err)
			}
			// Without the sync at at, what is on both of its sides comes in any order.
			rng := rand.New(rand.NewPCG(*sceneSeed, uint64(k)))
			both := append(append([]faultdev.Entry{}, log[before+1:at]...), log[at+1:after]...)
			for range 12 {
				m := start.Clone()
				if err := faultdev.Scatter(m, both, rng); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Promises.Judge(m, after); err != nil {
					missing++
					break
				}
			}
			// The later phase first, and nothing of the other.
			if err := faultdev.Replay(start, log[at+1:after], after-at-1); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Promises.Judge(start, before); err != nil {
				swapped++
			}
		}
		if missing == 0 || swapped == 0 {
			t.Errorf("%s: with a sync missing, %d faults found; with two phases swapped, %d", name, missing, swapped)
		}
	}
}

// syncless hides the syncs from what is below: then there is no order at all.
type syncless struct{ device.Device }

func (syncless) Sync() error { return nil }

// TestCutScenesFindFaults shows that the checks fail where they should: without syncs between the phases
// every workload leaves damage behind some cut.
func TestCutScenesFindFaults(t *testing.T) {
	l := fattest.Layout{Width: 16, Clusters: 4200}
	size, err := fattest.VolumeSize(l)
	if err != nil {
		t.Fatal(err)
	}
	for name, work := range fattest.Workloads {
		mem := device.NewMem(size)
		if err := fattest.Format(mem, l); err != nil {
			t.Fatal(err)
		}
		base := mem.Clone()
		c := &scene{t: t, rec: faultdev.NewRecorder(mem)}
		c.record(syncless{c.rec}, shared(work))
		rng := rand.New(rand.NewPCG(*sceneSeed, 3))
		found := false
		for try := 0; try < 300 && !found; try++ {
			upTo := rng.IntN(c.rec.Len() + 1)
			mixed := base.Clone()
			if err := c.rec.Scatter(mixed, upTo, rng); err != nil {
				t.Fatal(err)
			}
			_, err := c.Promises.Judge(mixed, upTo)
			found = err != nil
		}
		if !found {
			t.Errorf("%s: no cut without syncs did any damage", name)
		}
	}
}

// verify checks one state of the medium.
func (c *scene) verify(dev fattest.Source, upTo int, how string) bool {
	_, err := c.Promises.Judge(dev, upTo)
	if err != nil {
		c.t.Errorf("cut after write %d of %d, %s: %v\n-run '%s' -scene-seed %d", upTo, c.rec.Len(), how, err, c.t.Name(), *sceneSeed)
	}
	return err == nil
}
