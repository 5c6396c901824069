package replay

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
	"time"
)

// TestForeign: what something else has made of a kept block is noticed before it is overwritten, or by a
// look in the background; from then on nothing is written.
func TestForeign(t *testing.T) {
	const at = 10 * block
	for _, tc := range []struct {
		name   string
		change int64 // where something else writes
		do     func(l *Log) error
		want   bool
	}{
		{"write over it", at, func(l *Log) error { _, err := l.WriteAt(fill(block, 2), at); return err }, true},
		{"write over it and more", at, func(l *Log) error { _, err := l.WriteAt(fill(30*block, 2), 0); return err }, true},
		{"zeros over it", at, func(l *Log) error { return l.ZeroAt(at-block, 3*block) }, true},
		{"a write elsewhere", at, func(l *Log) error { _, err := l.WriteAt(fill(block, 2), at+block); return err }, false},
		{"a look", at, func(l *Log) error { l.audit(l.keptOffsets()); return l.Foreign() }, true},
		{"a look at what nobody else has changed", at + 5*block, func(l *Log) error { l.audit(l.keptOffsets()); return l.Foreign() }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, s := newTestLog()
			mustWrite(t, l, at, fill(block, 1))
			l.Keep(at, fill(block, 1))
			mustWrite(t, l, at, fill(block, 3)) // one of ours, unsynced
			told := make(chan error, 2)
			l.OnForeign(func(err error) { told <- err })
			copy(s.cache[tc.change:], fill(block, 77))
			if err := tc.do(l); errors.Is(err, ErrForeign) != tc.want || !tc.want && err != nil {
				t.Fatalf("got %v", err)
			}
			if !tc.want {
				return
			}
			select {
			case err := <-told:
				if !errors.Is(err, ErrForeign) {
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Fatal("nobody was told")
			}
			before := bytes.Clone(s.cache)
			for _, err := range []error{
				l.ZeroAt(0, block),
				func() error { _, err := l.WriteAt(fill(block, 5), 20*block); return err }(),
				l.DiscardAt(0, block),
			} {
				if !errors.Is(err, ErrForeign) {
					t.Errorf("a change after it: %v", err)
				}
			}
			if !bytes.Equal(before, s.cache) {
				t.Error("something was written")
			}
			if len(told) > 0 {
				t.Error("told twice")
			}
		})
	}
}

// TestDropped: a host that could not write what it had taken may show what was there before, until it says so at the next
// Sync. Nobody else wrote that: the medium is verified, and it is written again.
func TestDropped(t *testing.T) {
	for name, do := range map[string]func(l *Log) error{
		"a write over it": func(l *Log) error { _, err := l.WriteAt(fill(block, 4), 0); return err },
		"a look":          func(l *Log) error { l.audit(l.keptOffsets()); return l.Check() },
	} {
		t.Run(name, func(t *testing.T) {
			l, s := newTrusting()
			mustWrite(t, l, 0, fill(block, 1))
			must(t, l.Sync())
			l.Keep(0, fill(block, 1))
			mustWrite(t, l, 0, fill(block, 2))
			mustWrite(t, l, 0, fill(block, 3))
			copy(s.cache, fill(block, 1))
			if err := do(l); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrForeign) {
				t.Errorf("it ends with %v", err)
			}
			if l.Foreign() != nil || !errors.Is(s.lost, syscall.EIO) {
				t.Fatalf("foreign: %v; lost: %v", l.Foreign(), s.lost)
			}
			back := s.back()
			must(t, l.Verify(back))
			must(t, l.Replay(back))
			if !bytes.Equal(back.stable[:block], fill(block, 3)) {
				t.Error("the medium is not what was written")
			}
		})
	}
}

// TestForeignOfOurs: writes of ours that come and go while the looks go on are nobody else's.
func TestForeignOfOurs(t *testing.T) {
	l, _ := newTestLog()
	const n = 64
	l.Keep(0, make([]byte, n*block))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 400 {
			if _, err := l.WriteAt(fill(4*block, byte(i)), int64(i%(n-4))*block); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for {
		select {
		case <-done:
			if err := l.Foreign(); err != nil {
				t.Fatal(err)
			}
			return
		default:
			l.audit(l.keptOffsets())
		}
	}
}

// TestLookHoldsUpNobody: while a slow medium is synced, a look that finds something odd does not keep others from
// reading and writing.
func TestLookHoldsUpNobody(t *testing.T) {
	l, s := newTestLog()
	l.Keep(0, make([]byte, block))
	begun, end := make(chan struct{}), make(chan struct{})
	s.before = func(op string) error {
		if op == "sync" {
			close(begun)
			<-end
		}
		return nil
	}
	mustWrite(t, l, 2*block, fill(block, 1))
	sync := later(l.Sync)
	<-begun
	s.mu.Lock()
	s.cache[0] = 7 // something else
	s.mu.Unlock()
	look := later(func() error { l.audit(l.keptOffsets()); return l.Foreign() })
	time.Sleep(20 * time.Millisecond)
	read := later(func() error { _, err := readOne(l, 4*block); return err })
	select {
	case err := <-read:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Second):
		t.Error("a read waits for the end of a sync")
	}
	close(end)
	if err := <-look; !errors.Is(err, ErrForeign) {
		t.Errorf("the look finds %v", err)
	}
	must(t, <-sync)
}
