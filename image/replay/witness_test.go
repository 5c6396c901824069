package replay

import (
	"errors"
	"testing"
	"time"
)

// TestDigest: digests are in files, which later versions read.
func TestDigest(t *testing.T) {
	if got := digestOf([]byte("123456789")); got != 0x995dc9bbdf1939fa { // the check value of CRC-64/XZ
		t.Errorf("%#x", got)
	}
}

// The medium may have, in a block that is held in memory, what was there before the unsynced writes, or
// what any of them made of it; nothing else.
func TestVerify(t *testing.T) {
	const at = 10 * block
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, l *Log, s *stick)
		good []byte // marks of the block on the medium that agree
		bad  []byte
	}{
		{"held", func(t *testing.T, l *Log, s *stick) {}, []byte{1}, []byte{0, 2}},
		{"written", func(t *testing.T, l *Log, s *stick) {
			mustWrite(t, l, at, fill(block, 2))
			mustWrite(t, l, at, fill(block, 3))
		}, []byte{1, 2, 3}, []byte{0, 4}},
		{"synced", func(t *testing.T, l *Log, s *stick) {
			mustWrite(t, l, at, fill(block, 2))
			mustWrite(t, l, at, fill(block, 3))
			must(t, l.Sync())
		}, []byte{3}, []byte{1, 2}},
		{"synced in between", func(t *testing.T, l *Log, s *stick) {
			mustWrite(t, l, at, fill(block, 2))
			mustWrite(t, l, at, fill(block, 3))
			must(t, l.Sync())
			mustWrite(t, l, at, fill(block, 4))
		}, []byte{3, 4}, []byte{1, 2, 0}},
		{"zeroed", func(t *testing.T, l *Log, s *stick) { must(t, l.ZeroAt(at-100, 2*block)) }, []byte{0, 1}, []byte{2}},
		{"within a larger write", func(t *testing.T, l *Log, s *stick) { mustWrite(t, l, 5*block, fill(20*block, 7)) }, []byte{1, 7}, []byte{0}},
		{"written elsewhere", func(t *testing.T, l *Log, s *stick) { mustWrite(t, l, at+block, fill(block, 7)) }, []byte{1}, []byte{7}},
		{"a write that failed", func(t *testing.T, l *Log, s *stick) {
			s.before = func(string) error { return errPulled }
			for _, mark := range []byte{2, 2, 3} {
				if _, err := l.WriteAt(fill(block, mark), at); err == nil {
					t.Fatal("it did not")
				}
			}
			s.before = nil
		}, []byte{1, 2, 3}, []byte{0}},
		{"a write that failed, and a sync", func(t *testing.T, l *Log, s *stick) {
			s.before = func(string) error { return errPulled }
			if _, err := l.WriteAt(fill(block, 2), at); err == nil {
				t.Fatal("it did not")
			}
			s.before = nil
			mustWrite(t, l, 0, fill(block, 9))
			must(t, l.Sync())
		}, []byte{1, 2}, []byte{0}},
		{"a write that failed, and one that did not", func(t *testing.T, l *Log, s *stick) {
			s.before = func(string) error { return errPulled }
			if _, err := l.WriteAt(fill(block, 2), at); err == nil {
				t.Fatal("it did not")
			}
			s.before = nil
			mustWrite(t, l, at, fill(block, 3))
			must(t, l.Sync())
		}, []byte{3}, []byte{1, 2}},
		{"changed in part", func(t *testing.T, l *Log, s *stick) { mustWrite(t, l, at+10, fill(10, 2)) }, []byte{0, 1, 9}, nil},
		{"forgotten", func(t *testing.T, l *Log, s *stick) { l.Forget(at, block) }, []byte{0, 1, 9}, nil},
		{"forgotten with an unsynced write", func(t *testing.T, l *Log, s *stick) {
			mustWrite(t, l, at, fill(block, 2))
			l.Forget(at, block)
		}, []byte{1, 2}, []byte{0}},
		{"forgotten, and then synced", func(t *testing.T, l *Log, s *stick) {
			mustWrite(t, l, at, fill(block, 2))
			l.Forget(at, block)
			must(t, l.Sync())
		}, []byte{0, 1, 9}, nil},
		{"forgotten and held again", func(t *testing.T, l *Log, s *stick) {
			mustWrite(t, l, at, fill(block, 2))
			l.Forget(at, block)
			l.Keep(at, fill(block, 2))
			must(t, l.Sync())
		}, []byte{2}, []byte{0, 1}},
		{"held after an unsynced write", func(t *testing.T, l *Log, s *stick) {
			l.Forget(at, block)
			mustWrite(t, l, at, fill(block, 2))
			l.Keep(at, fill(block, 2))
		}, []byte{0, 1, 2}, nil}, // what was there before is not known
		{"held after an unsynced write, then synced", func(t *testing.T, l *Log, s *stick) {
			l.Forget(at, block)
			mustWrite(t, l, at, fill(block, 2))
			l.Keep(at, fill(block, 2))
			must(t, l.Sync())
		}, []byte{2}, []byte{0, 1}},
		{"reset", func(t *testing.T, l *Log, s *stick) { l.Reset() }, []byte{0, 1, 9}, nil},
		{"reset taken back", func(t *testing.T, l *Log, s *stick) { l.Reset()() }, []byte{1}, []byte{0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, s := newTestLog()
			mustWrite(t, l, at, fill(block, 1))
			must(t, l.Sync())
			l.Keep(at, fill(block, 1))
			tc.do(t, l, s)
			s.pull()
			check := func(mark byte, want error) {
				m := s.back()
				copy(m.cache[at:], fill(block, mark))
				if err := l.Verify(m); !errors.Is(err, want) {
					t.Errorf("the medium has %d: %v, want %v", mark, err, want)
				}
			}
			for _, mark := range tc.good {
				check(mark, nil)
			}
			for _, mark := range tc.bad {
				check(mark, ErrChanged)
			}
		})
	}
}

// Where blocks lie side by side, one byte is noticed in any of them, and none outside of them.
func TestVerifyManyBlocks(t *testing.T) {
	l, s := newTestLog()
	for _, at := range []int64{0, 3 * block, 4 * block, 5 * block, 900 * block} {
		l.Keep(at, make([]byte, block))
	}
	l.Keep(100*block, make([]byte, 300*block+10)) // the rest of the last block is not known
	m := s.back()
	for at := int64(0); at < testSize; at += block {
		m.cache[at+at/block%block] = 1
		held := at == 0 || at >= 3*block && at <= 5*block || at == 900*block || at >= 100*block && at < 400*block
		if err := l.Verify(m); errors.Is(err, ErrChanged) != held || !held && err != nil {
			t.Fatalf("block %d: %v", at/block, err)
		}
		m.cache[at+at/block%block] = 0
	}
}

func TestVerifyErrors(t *testing.T) {
	l, s := newTestLog()
	l.Keep(0, make([]byte, block))
	if err := l.Verify(sized(testSize - 1)); !errors.Is(err, ErrChanged) {
		t.Errorf("shorter: %v", err)
	}
	s.pull()
	if err := l.Verify(s); !errors.Is(err, errPulled) || errors.Is(err, ErrChanged) {
		t.Errorf("a medium that cannot be read: %v", err)
	}
}

// The memory for blocks ends with them.
func TestForgetIsComplete(t *testing.T) {
	l, _ := newTestLog()
	for round := range 3 {
		l.Keep(0, make([]byte, testSize/2))
		mustWrite(t, l, 0, fill(4*block, byte(round)))
		must(t, l.ZeroAt(8*block, 4*block))
		l.Forget(0, testSize)
		must(t, l.ZeroAt(0, 4*block))
		must(t, l.Sync())
		if len(l.kept)+len(l.regions)+len(l.leaving)+len(l.changed)+len(l.entries) != 0 || l.bytes != 0 {
			t.Fatalf("round %d: %d kept, %v regions, %d leaving, %d changed, %d entries, %d bytes", round,
				len(l.kept), l.regions, len(l.leaving), len(l.changed), len(l.entries), l.bytes)
		}
	}
}

// What was read beside unsynced writes is what the medium has: it is verified like everything else, whatever is
// unsynced elsewhere.
func TestVerifyHeldBesideUnsynced(t *testing.T) {
	const at = 10 * block
	l, s := newTestLog()
	mustWrite(t, l, at, fill(2*block, 1))
	must(t, l.Sync())
	mustWrite(t, l, at+2*block, fill(block, 9))
	mustWrite(t, l, at-block/2, fill(block/2, 9))
	l.Keep(at, fill(2*block, 1))
	s.pull()
	must(t, l.Verify(s.back()))
	for _, changed := range []int64{at, at + block} {
		m := s.back()
		m.cache[changed+7] = 2
		if err := l.Verify(m); !errors.Is(err, ErrChanged) {
			t.Errorf("the block at %d was changed elsewhere: %v", changed, err)
		}
	}
}

// A block that was read with an unsynced write in it is verified as soon as that is synced, whatever was written since.
func TestVerifyHeldOnceSynced(t *testing.T) {
	const at = 10 * block
	l, s := newTestLog()
	mustWrite(t, l, at, fill(block, 1))
	s.before = func(op string) error {
		if op == "sync" {
			s.before = nil
			mustWrite(t, l, 0, fill(block, 9))
			l.Keep(at, fill(block, 1))
		}
		return nil
	}
	must(t, l.Sync())
	s.pull()
	m := s.back()
	must(t, l.Verify(m))
	copy(m.cache[at:], fill(block, 2))
	if err := l.Verify(m); !errors.Is(err, ErrChanged) {
		t.Errorf("it was changed elsewhere: %v", err)
	}
}

// A call that the medium leaves may have changed it, and has told nobody yet: what is on the medium is compared once
// that is known.
func TestVerifyWaitsForCalls(t *testing.T) {
	for name, err := range map[string]error{"done": nil, "failed": errPulled} {
		t.Run(name, func(t *testing.T) {
			s := &lateStick{stick: newStick(), written: make(chan struct{}), end: make(chan error)}
			l := newLog(s, 0)
			l.Keep(0, make([]byte, block))
			write := later(func() error { _, err := l.WriteAt(fill(block, 1), 0); return err })
			<-s.written
			s.pull()
			back := s.back(0)
			verify := later(func() error { return l.Verify(back) })
			select {
			case err := <-verify:
				t.Fatalf("it does not wait: %v", err)
			case <-time.After(20 * time.Millisecond):
			}
			s.end <- err
			if got := <-write; !errors.Is(got, err) {
				t.Errorf("write: %v", got)
			}
			must(t, <-verify)
		})
	}
}

// A lateStick is one whose writes are there before they end.
type lateStick struct {
	*stick
	written chan struct{}
	end     chan error
}

func (s *lateStick) WriteAt(p []byte, off int64) (int, error) {
	n, err := s.stick.WriteAt(p, off)
	if err != nil {
		return n, err
	}
	s.written <- struct{}{}
	if err := <-s.end; err != nil {
		return 0, err
	}
	return n, nil
}
