package replay

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"fatvol/image/device"
)

const testSize = 1 << 20

var errPulled = errors.New("pulled")

// A stick is a lower device: writes go to a cache, and reach what is stable with a Sync.
type stick struct {
	mu     sync.Mutex
	cache  []byte
	stable []byte
	syncs  int
	gone   error                 // what every call returns
	before func(op string) error // asked before each change and sync, without the lock; may be nil
}

func newStick() *stick {
	return &stick{cache: make([]byte, testSize), stable: make([]byte, testSize)}
}

func (s *stick) Size() int64 { return testSize }

func (s *stick) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

func (s *stick) enter(op string) error {
	if s.before != nil {
		if err := s.before(op); err != nil {
			return err
		}
	}
	return s.Check()
}

func (s *stick) ReadAt(p []byte, off int64) (int, error) {
	if err := s.Check(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return copy(p, s.cache[off:]), nil
}

func (s *stick) WriteAt(p []byte, off int64) (int, error) {
	if err := s.enter("write"); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return copy(s.cache[off:], p), nil
}

func (s *stick) Sync() error {
	if err := s.enter("sync"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncs++
	copy(s.stable, s.cache)
	return nil
}

func (s *stick) pull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = errPulled
}

// back is the stick as it comes back: with what was stable, and of the blocks that keep names, what was in
// the cache.
func (s *stick) back(keep ...int64) *stick {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := newStick()
	copy(b.stable, s.stable)
	for _, at := range keep {
		copy(b.stable[at:at+block], s.cache[at:])
	}
	copy(b.cache, b.stable)
	return b
}

func (s *stick) syncCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.syncs
}

// fill is n bytes that say which write they are of.
func fill(n int, mark byte) []byte { return bytes.Repeat([]byte{mark}, n) }

func mustWrite(t *testing.T, dev device.Device, off int64, p []byte) {
	t.Helper()
	if _, err := dev.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newTestLog is a log without a background, over a new stick.
func newTestLog() (*Log, *stick) {
	s := newStick()
	return newLog(s, 0), s
}
