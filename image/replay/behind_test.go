package replay

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A trustingStick is one that large writes are left to. Each waits for what comes through door.
type trustingStick struct {
	*stick
	door    chan error
	waiting chan int64 // offsets of writes that wait
	room    int64
	asked   atomic.Int64
	lost    error
}

func newTrusting() (*Log, *trustingStick) { return newTrustingWith(2 * leastRoom) }

// newTrustingWith is newTrusting where the host has so much room, which is known; or, below 0, says nothing about it.
func newTrustingWith(room int64) (*Log, *trustingStick) {
	s := &trustingStick{stick: newStick(), door: make(chan error), waiting: make(chan int64, 8), room: room}
	l := newLog(s, 8<<20)
	l.behind.ask(s)
	return l, s
}

func (s *trustingStick) Room() (int64, error) {
	s.asked.Add(1)
	if s.room < 0 {
		return 1 << 40, errors.New("nobody knows")
	}
	return s.room, nil
}

func (s *trustingStick) Lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost, s.gone = err, err
}

func (s *trustingStick) WriteAt(p []byte, off int64) (int, error) {
	if len(p) >= leastShared {
		s.waiting <- off
		if err := <-s.door; err != nil {
			return 0, err
		}
	}
	return s.stick.WriteAt(p, off)
}

// lentWrite writes n bytes c from lent memory.
func lentWrite(l *Log, off int64, n int, c byte) error {
	p := l.Lend()
	defer l.TakeBack(p)
	copy(p, bytes.Repeat([]byte{c}, n))
	_, err := l.WriteAt(p[:n], off)
	return err
}

// later runs fn, and returns what receives its outcome.
func later(fn func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- fn() }()
	return c
}

func readOne(l *Log, off int64) (byte, error) {
	p := make([]byte, 1)
	_, err := l.ReadAt(p, off)
	return p[0], err
}

const large = leastShared

// A large write from lent memory returns before the lower device has it. Nobody sees it missing, what does not
// depend on it does not wait, and a Sync covers it.
func TestBehind(t *testing.T) {
	l, s := newTrusting()
	must(t, lentWrite(l, block/2, large, 'a'))
	if got := <-s.waiting; got != block/2 {
		t.Fatalf("a write at %d is under way", got)
	}
	if n := l.Unsynced(); n != large {
		t.Errorf("%d bytes are unsynced", n)
	}
	// Elsewhere, all goes on.
	mustWrite(t, l, large+2*block, []byte("b"))
	if c, err := readOne(l, large+2*block); c != 'b' || err != nil {
		t.Errorf("%q, %v beside the write", c, err)
	}
	// Within its blocks, it waits.
	reads := later(func() error {
		c, err := readOne(l, block/2+large-1)
		if err == nil && c != 'a' {
			err = errors.New("old contents are read")
		}
		return err
	})
	before := later(func() error {
		_, err := l.WriteAt([]byte("x"), 0)
		return err
	})
	zeroes := later(func() error { return l.ZeroAt(large+block/2, 1) })
	discards := later(func() error { return l.DiscardAt(block, block) })
	syncs := later(l.Sync)
	for what, c := range map[string]<-chan error{"read": reads, "write": before, "zero": zeroes, "discard": discards, "sync": syncs} {
		select {
		case err := <-c:
			t.Errorf("a %s does not wait: %v", what, err)
		default:
		}
	}
	if s.syncs != 0 {
		t.Error("the lower device was synced")
	}
	s.door <- nil
	for what, c := range map[string]<-chan error{"read": reads, "write": before, "zero": zeroes, "sync": syncs} {
		if err := <-c; err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	<-discards // which the stick does not know
	must(t, l.Sync())
	if n := l.Unsynced(); n != 0 || l.behind.under.Load() != nil {
		t.Errorf("%d bytes are unsynced", n)
	}
	want := append(append([]byte{'x'}, make([]byte, block/2-1)...), bytes.Repeat([]byte{'a'}, large)...)
	if !bytes.Equal(s.stable[:len(want)], want) {
		t.Error("what was written is not on the medium")
	}
}

// A Sync under way when a write is left to the lower device does not count for it.
func TestBehindSync(t *testing.T) {
	l, s := newTrusting()
	mustWrite(t, l, 0, []byte("first"))
	s.before = func(op string) error {
		if op == "sync" {
			s.before = nil
			return lentWrite(l, block, large, 'a')
		}
		return nil
	}
	must(t, l.Sync())
	if n := l.Unsynced(); n != large {
		t.Errorf("%d bytes are unsynced, not %d", n, large)
	}
	s.door <- nil
	must(t, l.Sync())
	if n := l.Unsynced(); n != 0 {
		t.Errorf("%d bytes are unsynced", n)
	}
}

// One write at a time is left to the lower device; the next one is brought there by its writer.
func TestBehindOne(t *testing.T) {
	l, s := newTrusting()
	must(t, lentWrite(l, 0, large, 'a'))
	second := later(func() error { return lentWrite(l, large, large, 'b') })
	<-s.waiting
	<-s.waiting
	select {
	case err := <-second:
		t.Errorf("two writes are left: %v", err)
	default:
	}
	s.door <- nil
	s.door <- nil
	must(t, <-second)
	must(t, l.Sync())
}

// What is not large, not lent, or would not have room, is written before it is acknowledged.
func TestNotBehind(t *testing.T) {
	lent := func(l *Log) error { return lentWrite(l, 0, large, 'a') }
	for name, c := range map[string]struct {
		room  int64
		write func(l *Log) error
	}{
		"not lent": {2 * leastRoom, func(l *Log) error {
			_, err := l.WriteAt(make([]byte, large), 0)
			return err
		}},
		"little room":  {leastRoom - 1, lent},
		"unknown room": {-1, lent},
		"an old answer": {2 * leastRoom, func(l *Log) error {
			l.behind.asked = time.Now().Add(-2 * roomLasts)
			return lent(l)
		}},
	} {
		l, s := newTrustingWith(c.room)
		done := later(func() error { return c.write(l) })
		<-s.waiting
		select {
		case <-done:
			t.Errorf("%s: it is acknowledged", name)
		default:
		}
		s.door <- errPulled
		if err := <-done; !errors.Is(err, errPulled) || s.lost != nil || l.Unsynced() != 0 {
			t.Errorf("%s: %v; %v was lost", name, err, s.lost)
		}
	}
	l, s := newTrusting()
	if err := lentWrite(l, 0, large-1, 'a'); err != nil || s.cache[0] != 'a' {
		t.Errorf("small: %v", err)
	}
}

// The room is asked for again while writes go on, and nobody waits for the answer.
func TestRoomAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowTeller{stick: newStick()}
		l := newLog(s, 64<<20)
		began := time.Now()
		for range 100 {
			must(t, lentWrite(l, 0, large, 'a'))
			must(t, l.Sync())
			time.Sleep(roomAge / 2)
		}
		if took := time.Since(began); took > 100*roomAge/2 {
			t.Errorf("the writes took %v", took)
		}
		// One answer at a time, each of which takes as long as three writes.
		if n := s.asked.Load(); n < 20 || n > 40 {
			t.Errorf("asked %d times", n)
		}
		time.Sleep(time.Minute) // for the last one
	})
}

// A slowTeller takes its time to say how much room there is.
type slowTeller struct {
	*stick
	asked atomic.Int64
}

func (s *slowTeller) Room() (int64, error) {
	s.asked.Add(1)
	time.Sleep(roomAge)
	return 2 * leastRoom, nil
}

func (s *slowTeller) Lose(err error) { panic(err) }

// A write that fails after it was acknowledged ends the use of the medium, whatever the reason. When that is back, it
// is written; until then, who depends on it gets the error.
func TestBehindFails(t *testing.T) {
	full := errors.New("no space")
	l, s := newTrusting()
	mustWrite(t, l, 0, []byte("before"))
	must(t, lentWrite(l, block, large, 'a'))
	lent := <-s.waiting
	sync := later(l.Sync)
	read := later(func() error { _, err := readOne(l, lent); return err })
	s.door <- full
	if err := <-sync; !errors.Is(err, full) {
		t.Errorf("sync: %v", err)
	}
	if err := <-read; !errors.Is(err, full) {
		t.Errorf("read: %v", err)
	}
	if s.lost != full || s.syncs != 0 {
		t.Errorf("the lower device was told of %v and synced %d times", s.lost, s.syncs)
	}
	if err := l.Sync(); !errors.Is(err, full) {
		t.Errorf("a later sync: %v", err)
	}
	back := s.back()
	must(t, l.Verify(back))
	must(t, l.Replay(back))
	if back.stable[0] != 'b' || !bytes.Equal(back.stable[block:block+large], bytes.Repeat([]byte{'a'}, large)) {
		t.Error("what was acknowledged is not on the medium")
	}
	if n := l.Unsynced(); n != 0 || len(l.copies.free)+len(l.copies.lent) > 1 {
		t.Errorf("%d bytes are unsynced; memory that a call may still read is used again", n)
	}
}

// A Log that is taken off its device waits for what is under way, and keeps it.
func TestBehindDetach(t *testing.T) {
	l, s := newTrusting()
	must(t, lentWrite(l, 0, large, 'a'))
	<-s.waiting
	done := later(func() error { l.Detach(); return nil })
	select {
	case <-done:
		t.Error("it does not wait")
	default:
	}
	s.door <- errPulled
	<-done
	must(t, l.Sync())
	if n := l.Unsynced(); n != large {
		t.Errorf("%d bytes are kept", n)
	}
}
