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

// An answer about the room is asked for anew after roomAge, and counts for roomLasts. It may take a round trip, or not
// come at all: no writer waits for it.
const (
	roomAge   = 100 * time.Millisecond
	roomLasts = time.Second
)

// behind is what was acknowledged and the lower device does not have yet: at most one write.
type behind struct {
	under atomic.Pointer[underway]

	mu     sync.Mutex // guards what follows
	asking bool
	room   int64     // the last answer, less what was written since
	asked  time.Time // for that
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

// wait waits until it is done, and returns why the lower device did not take it. There may be none.
func (u *underway) wait() error {
	if u == nil {
		return nil
	}
	u.done.Wait()
	return u.err
}

// settle waits until the lower device has what a call of a range depends on, or may change. It returns why it
// does not get it.
func (b *behind) settle(off, n int64) error {
	if u := b.under.Load(); u != nil && u.covers(off-off%block, roundUp(off+n)-(off-off%block)) {
		return u.wait()
	}
	return nil
}

// leave leaves a write from lent memory to the lower device, if it may be and nothing else is. The caller has entered;
// if it returns true, that ends with the write.
func (l *Log) leave(e entry) bool {
	t, ok := l.lower.(Trusting)
	if !ok || l.behind.under.Load() != nil || !l.behind.hasRoom(t, e.n) {
		return false
	}
	u := &underway{entry: e}
	u.done.Add(1)
	if !l.addUnderway(u) {
		return false
	}
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

// hasRoom reports whether the host is known to have as much room as a write of n bytes may be left to it for. It asks,
// beside those who write, where the answer is getting old.
func (b *behind) hasRoom(t Trusting, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	age := time.Since(b.asked)
	if age > roomAge && !b.asking {
		b.asking = true
		go b.ask(t)
	}
	if age > roomLasts || b.room < leastRoom {
		return false
	}
	b.room -= n
	return true
}

func (b *behind) ask(t Trusting) {
	began := time.Now()
	room, err := t.Room()
	if err != nil {
		room = 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking, b.room, b.asked = false, room, began
}
