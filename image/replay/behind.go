package replay

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Trusting is a lower device that large writes may be left to: they are acknowledged once the Log has them, and
// reach the device while whoever wrote prepares the next one. What fails of them is for the medium to come back from, as
// if it had been away: they are written again before anything else is asked of it.
type Trusting interface {
	// Room is how many bytes the host has room for, besides what it holds. It fails or is 0 where that is not
	// known, and while the host takes no writes.
	Room() (int64, error)
	// Lose is told why a write failed that had been acknowledged. From then on the device is gone.
	Lose(err error)
}

// leastRoom is the room that a host must have for a write to be left to it: a host that is full says so to whoever
// writes. Others may fill it, but hardly that fast.
const leastRoom = 256 << 20

// roomAge is for how long an answer about the room counts: on a network share it takes a round trip.
const roomAge = 100 * time.Millisecond

// behind is what was acknowledged and the lower device does not have yet: at most one write.
type behind struct {
	under atomic.Pointer[underway]

	mu    sync.Mutex // held by who is about to leave a write
	room  int64      // the answer, less what was written since
	asked time.Time
}

type underway struct {
	entry
	done sync.WaitGroup
	err  error // once it is done
}

// covers reports whether a block of the range is one of the write's.
func (u *underway) covers(off, n int64) bool {
	return off < roundUp(u.off+u.n) && u.off-u.off%block < off+n
}

func roundUp(off int64) int64 { return (off + block - 1) / block * block }

// settle waits until the lower device has what a call of a range depends on, or may change. It returns why it
// does not get it.
func (b *behind) settle(off, n int64) error {
	u := b.under.Load()
	if u == nil || !u.covers(off-off%block, roundUp(off+n)-(off-off%block)) {
		return nil
	}
	u.done.Wait()
	return u.err
}

// settleAll is settle for everything that was written before.
func (b *behind) settleAll() error {
	u := b.under.Load()
	if u == nil {
		return nil
	}
	u.done.Wait()
	return u.err
}

// leave leaves a write from lent memory to the lower device, if it may be and nothing else is. The caller has entered;
// if it returns true, that ends with the write.
func (l *Log) leave(e entry) bool {
	t, ok := l.lower.(Trusting)
	if !ok || l.behind.under.Load() != nil || !l.behind.mu.TryLock() {
		return false
	}
	defer l.behind.mu.Unlock()
	if !l.behind.hasRoom(t) {
		return false
	}
	u := &underway{entry: e}
	u.done.Add(1)
	if !l.addUnderway(u) {
		return false
	}
	l.behind.room -= e.n
	go func() {
		defer l.flight.RUnlock()
		if _, u.err = l.lower.WriteAt(u.data, u.off); u.err != nil {
			l.mu.Lock()
			u.in.lose() // the call may have been given up on
			l.mu.Unlock()
			t.Lose(u.err)
		}
		l.behind.under.Store(nil)
		u.done.Done()
	}()
	return true
}

// hasRoom reports whether the host has as much room as a write may be left to it for. The caller holds b.mu.
func (b *behind) hasRoom(t Trusting) bool {
	if time.Since(b.asked) > roomAge {
		var err error
		if b.room, err = t.Room(); err != nil {
			b.room = 0
		}
		b.asked = time.Now()
	}
	return b.room >= leastRoom
}
