package watch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/watch"
	"fatvol/watch/fakemedium"
)

// A journal is the least that a replay log is: what was acknowledged and is not known to be on the stick.
type journal struct {
	// flight is shared by writes until they are in the journal: a replay must not come between.
	flight sync.RWMutex

	mu    sync.Mutex
	bytes map[int64]byte
	seq   map[int64]int // of the write, by offset
	n     int
}

func (j *journal) add(off int64, b byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.n++
	j.bytes[off], j.seq[off] = b, j.n
}

func (j *journal) mark() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.n
}

// synced forgets what was written up to a mark.
func (j *journal) synced(mark int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for off, n := range j.seq {
		if n <= mark {
			delete(j.bytes, off)
			delete(j.seq, off)
		}
	}
}

func (j *journal) replay(dev *watch.Candidate) error {
	j.flight.Lock()
	defer j.flight.Unlock()
	j.mu.Lock()
	mark, list := j.n, make(map[int64]byte)
	for off, b := range j.bytes {
		list[off] = b
	}
	j.mu.Unlock()
	for off, b := range list {
		if _, err := dev.WriteAt(block(b), off); err != nil {
			return err
		}
	}
	if err := dev.Sync(); err != nil {
		return err
	}
	j.synced(mark)
	return nil
}

func block(b byte) []byte { return slices.Repeat([]byte{b}, fakemedium.Block) }

// TestRandom has writers write while the stick is pulled, swapped, hung and made to fail at random. In
// the end nothing that was acknowledged is missing, and nothing took longer than it may.
func TestRandom(t *testing.T) {
	runs := uint64(100)
	if testing.Short() {
		runs = 25
	}
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) { randomRun(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

const identity = byte(0xfa) // in the first block of the right stick

func randomRun(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	j := &journal{bytes: make(map[int64]byte), seq: make(map[int64]int)}
	r := newRig(t, func(r *rig, cfg *watch.Config) {
		r.stick.Edit(func(b []byte) []byte { copy(b, block(identity)); return b })
		cfg.Detectors = []watch.Detector{watch.Prober{}}
		cfg.Open = func() (watch.Host, error) {
			// A write that was given up on may still arrive: as with a lock, nobody else is let in.
			if r.Medium != nil && r.Counters().Stuck > 0 {
				return nil, errors.New("a call is stuck")
			}
			return r.slot.Open()
		}
		cfg.Verify = func(_ context.Context, dev *watch.Candidate) error {
			p := make([]byte, fakemedium.Block)
			if _, err := dev.ReadAt(p, 0); err != nil {
				return err
			}
			if p[0] != identity {
				return fmt.Errorf("another volume")
			}
			return j.replay(dev)
		}
	})
	other := fakemedium.Blank(imageSize)
	hung := make(gate)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var may [4][]byte // what each writer's block may hold
	for i := range may {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)+2))
		wg.Go(func() { may[i] = randomWriter(r, j, rnd, int64(i+1)*fakemedium.Block, stop) })
	}
	for range 30 {
		time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
		switch rnd.IntN(9) {
		case 0, 1:
			r.slot.Pull()
		case 2:
			r.slot.Pull()
			r.slot.Unmount()
		case 3, 4:
			r.slot.Pull()
			r.slot.Plug(r.stick)
			r.Look()
		case 5:
			r.slot.Pull()
			r.slot.Plug(other)
			r.Look()
		case 6:
			r.slot.WriteBack()
		case 7:
			errno := faults[1+rnd.IntN(len(faults)-1)]
			left := rnd.IntN(5)
			var mu sync.Mutex
			r.slot.SetHook(func(fakemedium.Call) error {
				mu.Lock()
				defer mu.Unlock()
				if left--; left >= 0 {
					return errno
				}
				return nil
			})
		case 8:
			g, n := hung, rnd.IntN(4)
			var mu sync.Mutex
			r.slot.SetHook(func(fakemedium.Call) error {
				mu.Lock()
				n--
				hang := n == 0
				mu.Unlock()
				if hang {
					g.wait()
					return syscall.EIO
				}
				return nil
			})
		}
	}
	r.slot.SetHook(nil)
	close(hung)
	r.slot.Pull()
	r.slot.Plug(r.stick)
	r.Doubt()
	time.Sleep(3 * time.Minute)
	close(stop)
	wg.Wait()
	synctest.Wait()
	if st := r.Status(); st.State != watch.Present {
		t.Errorf("ends %+v", st)
	}
	if err := r.Sync(); err != nil {
		t.Error(err)
	}
	contents := r.stick.Contents()
	for i, list := range may {
		if b := contents[(i+1)*fakemedium.Block]; !slices.Contains(list, b) {
			t.Errorf("writer %d's block holds %d, want one of %v", i, b, list)
		}
	}
	if other.Writes() > 0 {
		t.Error("another volume was written to")
	}
	if n := r.slot.OpenHosts(); n != 1 {
		t.Errorf("%d descriptors are open", n)
	}
	r.close()
}

// randomWriter writes, reads back and syncs its block until stop is closed, and returns what the block may
// hold then: the last value that was acknowledged, or one of those after it that were not.
func randomWriter(r *rig, j *journal, rnd *rand.Rand, off int64, stop <-chan struct{}) []byte {
	may := []byte{0}
	for next := byte(1); ; next++ {
		select {
		case <-stop:
			return may
		case <-time.After(time.Duration(1+rnd.IntN(500)) * time.Millisecond):
		}
		began := time.Now()
		j.flight.RLock()
		if err := r.write(off, next); err == nil {
			j.add(off, next)
			may = []byte{next}
		} else {
			may = append(may, next)
		}
		j.flight.RUnlock()
		if b, err := r.read(off); err == nil && !slices.Contains(may, b) {
			r.t.Errorf("block at %d holds %d, want one of %v", off, b, may)
		}
		if rnd.IntN(4) == 0 {
			mark := j.mark()
			if r.Sync() == nil {
				j.synced(mark)
			}
		}
		if d := time.Since(began); d > 3*(ioTimeout+time.Second) {
			r.t.Errorf("three operations took %v", d)
		}
	}
}
