package replay

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/image/device"
)

// Everything written since the last Sync is on the medium after a replay, and in its order.
func TestReplay(t *testing.T) {
	l, s := newTestLog()
	mustWrite(t, l, 0, fill(4096, 'a'))
	must(t, l.Sync())
	mustWrite(t, l, 1000, fill(3000, 'b'))
	mustWrite(t, l, 2000, fill(100, 'c'))
	must(t, l.ZeroAt(2050, 600))
	mustWrite(t, l, 2100, fill(10, 'd'))
	if n := l.Unsynced(); n != 3000+100+600+10 {
		t.Errorf("%d bytes unsynced", n)
	}
	s.pull()
	back := s.back()
	if bytes.Equal(back.stable, s.cache) {
		t.Fatal("nothing was lost")
	}
	must(t, l.Verify(back))
	must(t, l.Replay(back))
	if !bytes.Equal(back.stable, s.cache) {
		t.Error("the medium is not what was written")
	}
	if n := l.Unsynced(); n != 0 {
		t.Errorf("%d bytes unsynced after the replay", n)
	}
}

// A replay that fails in any place can be made again, whatever of it arrived.
func TestReplayTorn(t *testing.T) {
	l, s := newTestLog()
	held := fill(block, 1)
	mustWrite(t, l, 0, held)
	must(t, l.Sync())
	l.Keep(0, held)
	for i := range 10 {
		mustWrite(t, l, int64(i%3)*block, fill(block, byte(10+i)))
		must(t, l.ZeroAt(int64(4+i)*block, block))
	}
	s.pull()
	medium := s.back()
	done := false
	for k := 0; !done; k++ {
		calls := 0
		medium.before = func(string) error {
			if calls++; calls > k {
				return errPulled
			}
			return nil
		}
		must(t, l.Verify(medium))
		err := l.Replay(medium)
		if done = err == nil; !done && !errors.Is(err, errPulled) {
			t.Fatal(err)
		}
		if k > 100 {
			t.Fatal("it never ends")
		}
		// What was not synced is lost again.
		medium = medium.back(int64(k%12) * block)
	}
	if !bytes.Equal(medium.stable, s.cache) {
		t.Error("the medium is not what was written")
	}
	if l.Unsynced() != 0 {
		t.Error("something is unsynced still")
	}
}

func TestSyncDropsWhatItCovers(t *testing.T) {
	l, s := newTestLog()
	mustWrite(t, l, 0, fill(512, 'a'))
	// A write that ends while the Sync is under way is not covered by it.
	s.before = func(op string) error {
		if op == "sync" {
			s.before = nil
			mustWrite(t, l, 512, fill(512, 'b'))
		}
		return nil
	}
	must(t, l.Sync())
	if got := l.Spans(); len(got) != 1 || got[0] != (Piece{512, 512}) {
		t.Errorf("unsynced: %v", got)
	}
	s.before = func(op string) error { return errPulled }
	if err := l.Sync(); !errors.Is(err, errPulled) {
		t.Error(err)
	}
	if n := l.Unsynced(); n != 512 {
		t.Errorf("%d bytes unsynced after a Sync that failed", n)
	}
}

// A write that failed was promised to nobody.
func TestFailedWriteIsNotReplayed(t *testing.T) {
	l, s := newTestLog()
	s.before = func(string) error { return errPulled }
	if _, err := l.WriteAt(fill(512, 'a'), 0); !errors.Is(err, errPulled) {
		t.Error(err)
	}
	if err := l.ZeroAt(0, 512); !errors.Is(err, errPulled) {
		t.Error(err)
	}
	if l.Unsynced() != 0 {
		t.Error("it is kept")
	}
}

// The caller may use its buffer again.
func TestWriteCopies(t *testing.T) {
	l, s := newTestLog()
	p := fill(512, 'a')
	mustWrite(t, l, 0, p)
	clear(p)
	back := s.back()
	must(t, l.Replay(back))
	if back.stable[0] != 'a' {
		t.Error("what was replayed is not what was written")
	}
}

// What was written from lent memory is what is written again, whoever has borrowed other memory meanwhile.
func TestWriteFromLoan(t *testing.T) {
	l, s := newTestLog()
	for i := range 6 {
		p := l.Lend()
		for k := range p {
			p[k] = byte('a' + i)
		}
		mustWrite(t, l, int64(i%3)*block, p[i*100:][:leastShared+i*block])
		l.TakeBack(p)
	}
	s.pull()
	back := s.back()
	must(t, l.Verify(back))
	must(t, l.Replay(back))
	if !bytes.Equal(back.stable, s.cache) {
		t.Error("the medium is not what was written")
	}
	if n := len(l.copies.free); n == 0 || len(l.copies.lent) != 0 {
		t.Errorf("%d chunks are free, %d lent", n, len(l.copies.lent))
	}
}

// Writers wait for a Sync rather than exceed the bound, and fail when that fails.
func TestLimit(t *testing.T) {
	s := newStick()
	l := newLog(s, 100_000)
	for i := range 200 {
		mustWrite(t, l, int64(i)*4096, fill(4096, byte(i)))
		l.mu.Lock()
		held := l.bytes
		l.mu.Unlock()
		if held > 100_000+entryCost {
			t.Fatalf("%d bytes are held", held)
		}
	}
	if n := s.syncCount(); n < 7 || n > 20 {
		t.Errorf("%d syncs", n)
	}
	// One larger than the bound goes through alone.
	mustWrite(t, l, 0, fill(300_000, 'x'))
	s.before = func(op string) error {
		if op == "sync" {
			return errPulled
		}
		return nil
	}
	if _, err := l.WriteAt(fill(1, 'y'), 0); !errors.Is(err, errPulled) {
		t.Errorf("write with a full log: %v", err)
	}
	// Zeros take hardly any memory, and yet not none.
	s.before = nil
	must(t, l.Sync())
	before := s.syncCount()
	for range 5000 {
		must(t, l.ZeroAt(0, testSize))
	}
	if s.syncCount() == before {
		t.Error("any number of zeros is kept")
	}
}

// Writers of their own blocks, with Syncs in between: whenever the medium goes, the replay brings it to
// what they had been told was written.
func TestConcurrentWriters(t *testing.T) {
	for round := range 20 {
		s := newStick()
		l := New(s, 200_000)
		const writers = 8
		acknowledged := make([][]byte, writers)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(round), uint64(w)))
				mine := make([]byte, testSize/writers)
				for {
					off, n := rnd.IntN(len(mine)-4096), 1+rnd.IntN(4096)
					p := fill(n, byte(rnd.Uint32()))
					if _, err := l.WriteAt(p, int64(w*len(mine)+off)); err != nil {
						break
					}
					copy(mine[off:], p)
					if rnd.IntN(20) == 0 && l.Sync() != nil {
						break
					}
				}
				acknowledged[w] = mine
			})
		}
		for s.syncCount() < 5+round {
			l.Spans()
		}
		s.pull()
		wg.Wait()
		back := s.back()
		must(t, l.Verify(back))
		must(t, l.Replay(back))
		l.Close()
		if !bytes.Equal(back.stable, bytes.Join(acknowledged, nil)) {
			t.Fatal("the medium is not what was acknowledged")
		}
	}
}

// The background syncs what is about a second old, once, and asks a medium that is gone for nothing.
func TestBackgroundSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStick()
		l := New(s, 0)
		defer l.Close()
		time.Sleep(time.Minute)
		if n := s.syncCount(); n != 0 {
			t.Errorf("%d syncs of nothing", n)
		}
		mustWrite(t, l, 0, fill(512, 'a'))
		time.Sleep(900 * time.Millisecond)
		mustWrite(t, l, 0, fill(512, 'b'))
		if n := s.syncCount(); n != 0 {
			t.Errorf("%d syncs after 0.9 s", n)
		}
		time.Sleep(200 * time.Millisecond)
		if n := s.syncCount(); n != 1 || l.Unsynced() != 0 {
			t.Errorf("%d syncs after 1.1 s, %d bytes unsynced", n, l.Unsynced())
		}
		time.Sleep(time.Minute)
		if n := s.syncCount(); n != 1 {
			t.Errorf("%d syncs after a minute", n)
		}

		mustWrite(t, l, 0, fill(512, 'c'))
		asked := 0
		s.before = func(string) error { asked++; return nil }
		s.pull()
		time.Sleep(time.Hour)
		if asked != 0 {
			t.Errorf("the medium was asked %d times while it was gone", asked)
		}
		s.mu.Lock()
		s.gone = nil
		s.mu.Unlock()
		time.Sleep(3 * time.Second)
		if l.Unsynced() != 0 {
			t.Error("unsynced still, three seconds after the return")
		}
	})
}

// While a replay goes on, which a slow medium makes long, nobody waits for it.
func TestNobodyWaitsForReplay(t *testing.T) {
	l, s := newTestLog()
	mustWrite(t, l, 0, fill(512, 'a'))
	s.pull()
	begun, release := make(chan struct{}), make(chan struct{})
	back := s.back()
	back.before = func(op string) error {
		if op == "write" {
			close(begun)
			<-release
		}
		return nil
	}
	replayed := make(chan error)
	go func() { replayed <- l.Replay(back) }()
	<-begun
	p := make([]byte, 512)
	for what, do := range map[string]func() error{
		"read":    func() error { _, err := l.ReadAt(p, 0); return err },
		"write":   func() error { _, err := l.WriteAt(p, 0); return err },
		"zero":    func() error { return l.ZeroAt(0, 512) },
		"discard": func() error { return l.DiscardAt(0, 512) },
		"sync":    func() error { return l.Sync() },
		"check":   func() error { return l.Check() },
	} {
		if err := do(); !errors.Is(err, errPulled) {
			t.Errorf("%s during a replay: %v", what, err)
		}
	}
	if l.Unsynced() != 512 || len(l.Spans()) != 1 {
		t.Error("what is unsynced cannot be told")
	}
	close(release)
	must(t, <-replayed)
}

// A detached log takes everything, whatever the bound, and asks nobody.
func TestDetached(t *testing.T) {
	s := newStick()
	l := newLog(s, 10_000)
	mustWrite(t, l, 0, fill(9000, 'a'))
	s.pull()
	asked := 0
	s.before = func(string) error { asked++; return nil }
	l.Detach()
	for i := range 50 {
		mustWrite(t, l, int64(i)*4096, fill(4096, byte(i)))
	}
	must(t, l.Sync())
	must(t, l.ZeroAt(0, 100))
	must(t, l.DiscardAt(0, 100))
	must(t, l.Check())
	if n := l.Unsynced(); n != 9000+50*4096+100 || asked != 0 {
		t.Errorf("%d bytes unsynced, %d calls", n, asked)
	}
	for _, bad := range []struct{ off, n int64 }{{-1, 10}, {testSize - 5, 10}, {testSize + 1, 1}, {1 << 62, 1 << 62}} {
		if err := l.ZeroAt(bad.off, bad.n); !errors.Is(err, device.ErrBounds) {
			t.Errorf("zero of %d at %d: %v", bad.n, bad.off, err)
		}
	}
	if _, err := l.WriteAt(fill(10, 0), testSize-5); !errors.Is(err, device.ErrBounds) {
		t.Errorf("write beyond the end: %v", err)
	}
}

// What a detached log keeps is read as it was written, where the medium still answers.
func TestDetachedReads(t *testing.T) {
	l, s := newTestLog()
	mustWrite(t, l, 0, fill(8192, 'a'))
	want := bytes.Clone(s.cache)
	s.before = func(string) error { return syscall.EROFS }
	l.Detach()
	for i, off := range []int64{4000, 100, 8000, 4096, 300_000, 4001} {
		mustWrite(t, l, off, fill(300, byte('b'+i)))
		copy(want[off:], fill(300, byte('b'+i)))
	}
	must(t, l.ZeroAt(4100, 50))
	clear(want[4100:4150])
	for _, r := range []struct{ off, n int64 }{{0, 512}, {4096, 4096}, {4150, 10}, {299_990, 20}, {0, testSize}, {8299, 1}, {8300, 1}} {
		got := make([]byte, r.n)
		if _, err := l.ReadAt(got, r.off); err != nil || !bytes.Equal(got, want[r.off:r.off+r.n]) {
			t.Errorf("%d bytes at %d are not what was written (%v)", r.n, r.off, err)
		}
	}
}

// TestReplayGoesOn: a medium that goes before the end of each replay has all in the end.
func TestReplayGoesOn(t *testing.T) {
	const part, parts = 64 << 10, 400 // 25 MiB
	l, s := newTestLog()
	for i := range int64(parts) {
		mustWrite(t, l, i*part%testSize, fill(part, byte(i)))
	}
	s.pull()
	medium := s.back()
	attempts := 0
	for before := l.Unsynced(); before > 0; {
		attempts++
		writes := 0
		medium.before = func(op string) error {
			if op == "write" {
				writes++
			}
			if writes > 150 { // of 64 KiB: 9.4 MiB
				return errPulled
			}
			return nil
		}
		must(t, l.Verify(medium))
		err := l.Replay(medium)
		now := l.Unsynced()
		if (err == nil) != (now == 0) || now >= before {
			t.Fatalf("attempt %d: %v; %d bytes are unsynced, %d were", attempts, err, now, before)
		}
		before = now
		medium = medium.back()
	}
	if !bytes.Equal(medium.stable, s.cache) {
		t.Error("the medium is not what was written")
	}
	if attempts != 3 {
		t.Errorf("%d attempts", attempts)
	}
}

// TestReplayOfMuchZeroed: zeros take no memory, and time all the same: they are written again a part at a time, like all else.
func TestReplayOfMuchZeroed(t *testing.T) {
	const size, part = 64 << 20, replayStep + 2*block // the next step fails at once
	medium := &zeroing{size: size, written: make([]byte, size), steady: true}
	l := newLog(medium, 0)
	l.Keep(0, make([]byte, block))
	l.Keep(size-block, fill(block, 7))
	copy(medium.written[size-block:], fill(block, 7))
	mustWrite(t, l, block, fill(block, 5))
	copy(medium.written[replayStep:], fill(block, 8)) // within the zeros, which begin with half a block
	l.Keep(replayStep, fill(block, 8))
	must(t, l.ZeroAt(block/2, size-block/2))
	mustWrite(t, l, size/2, fill(block, 6))
	back := &zeroing{size: size, written: fill(size, 1)}
	clear(back.written[:block])
	copy(back.written[replayStep:], fill(block, 8))
	copy(back.written[size-block:], fill(block, 7))
	for attempt := 0; l.Unsynced() > 0; attempt++ {
		before := l.Unsynced()
		back.left = part
		must(t, l.Verify(back))
		if err := l.Replay(back); err != nil && !errors.Is(err, errPulled) {
			t.Fatal(err)
		}
		if now := l.Unsynced(); now >= before {
			t.Fatalf("attempt %d: %d bytes are unsynced, %d were", attempt, now, before)
		}
	}
	want := make([]byte, size)
	copy(want[size/2:], fill(block, 6))
	if !bytes.Equal(back.written, want) {
		t.Error("the medium is not what was written")
	}
	must(t, l.Verify(back))
	back.written[size-1] = 7
	if err := l.Verify(back); !errors.Is(err, ErrChanged) {
		t.Errorf("a block that was zeroed, and was changed since: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) != 0 || l.bytes != 0 {
		t.Errorf("%d entries of %d bytes are left", len(l.entries), l.bytes)
	}
}

// A zeroing is a medium that is pulled when so many bytes were written to it; what was is there.
type zeroing struct {
	size    int64
	written []byte
	steady  bool // it is never pulled
	left    int64
}

func (z *zeroing) Size() int64 { return z.size }
func (z *zeroing) Sync() error { return nil }

func (z *zeroing) ReadAt(p []byte, off int64) (int, error) { return copy(p, z.written[off:]), nil }

func (z *zeroing) WriteAt(p []byte, off int64) (int, error) {
	if z.left -= int64(len(p)); z.left < 0 && !z.steady {
		return 0, errPulled
	}
	return copy(z.written[off:], p), nil
}

func TestSpans(t *testing.T) {
	l, _ := newTestLog()
	for _, p := range []Piece{{1000, 100}, {5000, 50}, {1050, 200}, {900, 100}, {5050, 1}, {1060, 10}} {
		mustWrite(t, l, p.Off, fill(int(p.N), 1))
	}
	s := l.Spans()
	if len(s) != 2 || s[0] != (Piece{900, 350}) || s[1] != (Piece{5000, 51}) || s.Bytes() != 401 {
		t.Fatalf("%v", s)
	}
	for _, tc := range []struct {
		off, n int64
		want   bool
	}{
		{0, 900, false}, {0, 901, true}, {899, 1, false}, {900, 1, true}, {1249, 1, true}, {1250, 1, false},
		{1250, 3750, false}, {1250, 3751, true}, {5050, 10, true}, {5051, 10, false}, {0, testSize, true}, {1000, 0, false},
	} {
		if got := s.Meet(tc.off, tc.n); got != tc.want {
			t.Errorf("%d bytes at %d: %v", tc.n, tc.off, got)
		}
	}
	if (Spans{}).Meet(0, 10) {
		t.Error("nothing meets something")
	}
}
