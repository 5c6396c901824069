package integration

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat/fattest"
)

var (
	tortureTime = flag.Duration("torture", 20*time.Second, "how long TestTorture goes on")
	tortureSeed = flag.Uint64("torture-seed", 1, "seed of TestTorture")
)

const tortureWriters = 8

// TestTorture has eight exercisers at work on one mount, each with a model of its own part of the volume,
// while the medium goes and returns every few seconds, and loses then what was not synced. Whatever an
// operation gave, its errno included, is compared with the model; all together is, every few minutes, with
// what is on the medium, which fsck.fat has to find clean. What the serving process has in memory, open
// files and goroutines must not grow. -torture 1h is the whole of it.
func TestTorture(t *testing.T) {
	needRoot(t)
	needFUSE(t)
	need(t, "fsck.fat")
	binary(t)
	c := newConductor(t)
	if raceEnabled || testing.Short() {
		*tortureTime = min(*tortureTime, 10*time.Second)
	}
	var all sync.WaitGroup
	for i := range tortureWriters {
		all.Go(func() {
			defer c.barrier.leave()
			w := &tortureWriter{mountTarget: mountTarget{t: t, dir: filepath.Join(c.dir, writerName(i)), cluster: tortureLayout.ClusterSize},
				c: c, rng: rand.New(rand.NewPCG(*tortureSeed, uint64(i)))}
			if err := fattest.Exercise(w.config(i)); err != nil && !w.stopped {
				c.fail(fmt.Errorf("writer %d: %w", i, err))
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	c.conduct(ended)
	<-ended
	c.series.judge(t)
	t.Logf("%d operations, %d of them failed with EIO, in %d generations of the medium; seed %d\n%v",
		c.ops.Load(), c.failed.Load(), c.pulls+1, *tortureSeed, &c.series)
}

// tortureLayout has room for eight writers, and many clusters in a file.
var tortureLayout = fattest.Layout{Width: 32, Clusters: 130_000, SectorSize: 512, ClusterSize: 512, FATs: 2}

func writerName(i int) string { return fmt.Sprintf("Writer number %d", i) }

// newTortureImage is a file with such a volume, and a directory for each writer in it.
func newTortureImage(t *testing.T, dir string) (img string) {
	size, err := fattest.VolumeSize(tortureLayout)
	if err != nil {
		t.Fatal(err)
	}
	mem := device.NewMem(size)
	img = filepath.Join(dir, "volume.img")
	if err := errors.Join(fattest.Format(mem, tortureLayout), mem.WriteFile(img)); err != nil {
		t.Fatal(err)
	}
	mnt := mountImage(t, img)
	for i := range tortureWriters {
		if err := os.Mkdir(filepath.Join(mnt, writerName(i)), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	umount(t, mnt)
	return img
}

// A tortureWriter is one exerciser's part of the mount.
type tortureWriter struct {
	mountTarget
	c    *conductor
	rng  *rand.Rand
	turn int // remounts that it has taken part in

	stopped     bool // by the failure of something else
	unexplained bool // the last operation failed with EIO, and the medium was there all the time
}

func (w *tortureWriter) config(i int) fattest.Config {
	return fattest.Config{
		Seed: *tortureSeed<<8 + uint64(i), Keep: 1000, Root: writerName(i), Next: w.next,
		Traits: fattest.Traits{ClusterSize: tortureLayout.ClusterSize, Clusters: tortureLayout.Clusters / tortureWriters,
			NoRespell: true, LateClose: true, LateReads: true, DirectWhole: true, NoDots: true},
		New: func() (fattest.Target, error) { return w, w.Mount() },
	}
}

// next is a remount whenever the conductor wants one of all.
func (w *tortureWriter) next() fattest.Turn {
	turns, end := w.c.turns()
	switch {
	case w.c.failure() != nil:
		return fattest.GiveUp
	case turns == w.turn:
		return fattest.GoOn
	}
	w.turn = turns
	if end {
		return fattest.DoEnd
	}
	return fattest.DoRemount
}

// Do performs an operation, at the pace of a program that has other things to do.
func (w *tortureWriter) Do(op fattest.Op) fattest.Result {
	time.Sleep(time.Duration(w.rng.IntN(2000)) * time.Microsecond)
	before := w.c.phase.Load()
	res := w.mountTarget.Do(op)
	if op.Kind == fattest.OpRead && res.Err == 0 && res.N > 0 && res.N < op.Len {
		// What came before the page that could not be read counts; a program that goes on learns why.
		op.Off, op.Len = op.Off+res.N, op.Len-res.N
		if rest := w.mountTarget.Do(op); rest.Err != 0 {
			res = rest
		}
	}
	if res.Err == syscall.EIO && res.N > 0 {
		res.Err = 0 // what was transferred before counts
	}
	w.c.ops.Add(1)
	if res.Err != syscall.EIO {
		return res
	}
	w.c.failed.Add(1)
	there := before%2 == 0 && w.c.phase.Load() == before
	// These tell once of what failed earlier.
	late := op.Kind == fattest.OpClose || op.Kind == fattest.OpFsync || op.Kind == fattest.OpSync || op.Flags&fattest.Mapped != 0
	w.unexplained = there && !late
	return res
}

// Injected is 0 if nothing was wrong with the medium.
func (w *tortureWriter) Injected() int64 {
	if w.unexplained {
		return 0
	}
	return 1
}

// Heal has the medium stay, until Arm.
func (w *tortureWriter) Heal() { w.c.medium.RLock() }

// Arm lets it go again.
func (w *tortureWriter) Arm() { w.c.medium.RUnlock() }

// Mount begins anew, without open files.
func (w *tortureWriter) Mount() error {
	w.files, w.dirs = map[int]*modelFile{}, map[int]*modelDir{}
	return nil
}

// Unmount waits until all writers have come so far, and is done once for all of them.
func (w *tortureWriter) Unmount() (fattest.Source, error) {
	w.closeAll()
	w.c.barrier.wait(w.c.rest)
	if w.c.failure() != nil {
		w.stopped = true
		return nil, errors.New("something else has failed")
	}
	return openSource(w.c.saved)
}

// Close closes what is open.
func (w *tortureWriter) Close() { w.closeAll() }
