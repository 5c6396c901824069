package faultdev

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"fatvol/image/device"
)

func contents(t *testing.T, d device.Device) []byte {
	t.Helper()
	p := make([]byte, d.Size())
	if _, err := d.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestReplayEveryPrefix makes random changes and compares each prefix of the log with the state
// that the device really was in.
func TestReplayEveryPrefix(t *testing.T) {
	const size = 20_000
	base := device.NewMem(size)
	base.WriteAt(bytes.Repeat([]byte("base"), size/4), 0)
	r := NewRecorder(base.Clone())
	rng := rand.New(rand.NewPCG(5, 6))
	states := [][]byte{contents(t, r)}
	for i := range 100 {
		off := rng.Int64N(size - 3000)
		n := rng.Int64N(3000)
		switch rng.IntN(5) {
		case 0, 1:
			p := bytes.Repeat([]byte{byte(i)}, int(n))
			r.WriteAt(p, off)
			if n == 0 {
				continue // nothing was written, nothing is logged
			}
			clear(p) // the log must have its own copy
		case 2:
			r.ZeroAt(off, n)
		case 3:
			r.Sync()
		case 4:
			r.Mark(fmt.Sprint("operation ", i))
		}
		states = append(states, contents(t, r))
	}
	if r.Len() != len(states)-1 {
		t.Fatalf("%d entries for %d operations", r.Len(), len(states)-1)
	}
	for k, want := range states {
		d := base.Clone()
		if err := r.Replay(d, k); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(contents(t, d), want) {
			t.Fatalf("after %d entries, the last one %v, contents differ", k, r.Log()[max(k, 1)-1])
		}
	}
}

func TestRecorderLog(t *testing.T) {
	f := New(device.NewMem(1 << 20))
	r := NewRecorder(f)
	scenario(r)
	r.Mark("done")
	// What fails is logged as far as it went; a sync that fails is not.
	f.Inject(Rule{Effect: Torn, Sectors: 1})
	if err := r.Sync(); !errors.Is(err, ErrInjected) {
		t.Error(err)
	}
	r.WriteAt(make([]byte, 1024), 0)
	r.ZeroAt(0, 1024)
	r.DiscardAt(0, 1024)
	want := []string{
		"write of 2048 bytes at offset 512", "zero of 4096 bytes at offset 8192", "discard of 512 bytes at offset 20000",
		"sync of the first 3", "write of 512 bytes at offset 100", "mark done", "write of 512 bytes at offset 0",
	}
	log := r.Log()
	if len(log) != len(want) {
		t.Fatalf("%d entries: %v", len(log), log)
	}
	for i, e := range log {
		if e.String() != want[i] {
			t.Errorf("entry %d: %v, want %v", i, e, want[i])
		}
	}
	for upTo, n := range map[int]int{0: 0, 3: 0, 4: 3, 7: 3} {
		if got := Synced(log, upTo); got != n {
			t.Errorf("Synced(%d) = %d, want %d", upTo, got, n)
		}
	}
}

// TestSyncCovers has a write end while a sync is under way: the sync does not cover it.
func TestSyncCovers(t *testing.T) {
	f := New(device.NewMem(4096))
	g := NewGate()
	f.Inject(Rule{Kinds: Of(Sync), Gate: g})
	r := NewRecorder(f)
	r.WriteAt([]byte{1}, 0)
	done := make(chan error)
	go func() { done <- r.Sync() }()
	<-g.Reached()
	r.WriteAt([]byte{2}, 512)
	g.Open()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := Synced(r.Log(), r.Len()); n != 1 {
		t.Errorf("%d entries are covered, want 1", n)
	}
}

// TestTorn cuts a write of four sectors after each of them.
func TestTorn(t *testing.T) {
	base := device.NewMem(8192)
	r := NewRecorder(base.Clone())
	r.WriteAt([]byte{9}, 8000)
	r.WriteAt(bytes.Repeat([]byte{1}, 2048), 1024)
	for sectors := range 6 {
		d := base.Clone()
		if err := r.Torn(d, 1, sectors); err != nil {
			t.Fatal(err)
		}
		got := contents(t, d)
		if n := bytes.Count(got, []byte{1}); n != min(sectors*512, 2048) || got[8000] != 9 {
			t.Errorf("%d sectors: %d bytes", sectors, n)
		}
	}
	if err := r.Torn(base.Clone(), r.Len(), 1); err != nil {
		t.Errorf("nothing to tear: %v", err)
	}
}

// TestScatter checks on many seeds that what is synced is there, that each sector has a state which
// it was in, that all combinations come up, and that a seed gives the same result twice.
func TestScatter(t *testing.T) {
	base := device.NewMem(4096)
	r := NewRecorder(base.Clone())
	fill := func(v byte, off int64, n int) { r.WriteAt(bytes.Repeat([]byte{v}, n), off) }
	fill(1, 0, 2048)
	r.Sync()
	fill(2, 0, 1024)
	fill(3, 512, 1024)
	r.ZeroAt(1536, 512)
	seen := make(map[[4]byte]int)
	for seed := range uint64(500) {
		d, again := base.Clone(), base.Clone()
		if err := r.Scatter(d, r.Len(), rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		if err := r.Scatter(again, r.Len(), rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		if diff, eq := d.Equal(again); !eq {
			t.Fatalf("seed %d gives two results, at %d", seed, diff)
		}
		got := contents(t, d)
		var state [4]byte
		for s := range 4 {
			sector := got[s*512 : (s+1)*512]
			if !bytes.Equal(sector, bytes.Repeat(sector[:1], 512)) {
				t.Fatalf("seed %d: sector %d is torn", seed, s)
			}
			state[s] = sector[0]
		}
		seen[state]++
	}
	allowed := [4][]byte{{1, 2}, {1, 2, 3}, {1, 3}, {1, 0}}
	for state := range seen {
		for s, v := range state {
			if !bytes.Contains(allowed[s], []byte{v}) {
				t.Errorf("sector %d has %d, which it never had after the sync", s, v)
			}
		}
	}
	if len(seen) != 2*3*2*2 {
		t.Errorf("%d of 24 combinations came up", len(seen))
	}
}

func TestSubset(t *testing.T) {
	base := device.NewMem(4096)
	r := NewRecorder(base.Clone())
	r.WriteAt([]byte{1}, 0)
	r.Sync()
	r.WriteAt([]byte{2}, 1)
	r.WriteAt([]byte{3}, 2)
	seen := make(map[string]bool)
	for seed := range uint64(50) {
		d := base.Clone()
		if err := r.Subset(d, r.Len(), rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		seen[string(contents(t, d)[:3])] = true
	}
	want := []string{"\x01\x00\x00", "\x01\x02\x00", "\x01\x00\x03", "\x01\x02\x03"}
	for _, w := range want {
		if !seen[w] {
			t.Errorf("%q did not come up", w)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("came up: %v", seen)
	}
}

func TestCrash(t *testing.T) {
	base := device.NewMem(4096)
	base.WriteAt([]byte("old!"), 0)
	c := NewCrash(base)
	c.WriteAt([]byte("new"), 0)
	if got := contents(t, c)[:4]; string(got) != "new!" {
		t.Errorf("reads %q", got)
	}
	if got := contents(t, c.Cut())[:4]; string(got) != "old!" {
		t.Errorf("after a cut: %q", got)
	}
	if err := c.Sync(); err != nil {
		t.Fatal(err)
	}
	c.ZeroAt(0, 4)
	cut := c.Cut()
	if got := contents(t, cut)[:4]; string(got) != "new!" {
		t.Errorf("after a sync and a cut: %q", got)
	}
	c.Sync()
	if got := contents(t, cut)[:4]; string(got) != "new!" {
		t.Errorf("what a cut left changed later: %q", got)
	}
	if got := contents(t, base)[:4]; string(got) != "old!" {
		t.Errorf("the base changed: %q", got)
	}
}

// TestRecorderConcurrent checks that the log has changes of one byte in the order in which they
// took place.
func TestRecorderConcurrent(t *testing.T) {
	base := device.NewMem(4096)
	r := NewRecorder(base.Clone())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				r.WriteAt(bytes.Repeat([]byte{byte(w + 1)}, 700), int64(i))
				if i%10 == 0 {
					r.Sync()
				}
			}
		})
	}
	wg.Wait()
	d := base.Clone()
	if err := r.Replay(d, r.Len()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(contents(t, d), contents(t, r)) {
		t.Error("the log replays to something else")
	}
}

// TestEachCut compares the states at each moment of a log with what is rebuilt from its beginning.
func TestEachCut(t *testing.T) {
	base := device.NewMem(1 << 16)
	r := NewRecorder(base.Clone())
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range 60 {
		r.WriteAt(bytes.Repeat([]byte{byte(i + 1)}, 1+rng.IntN(3000)), rng.Int64N(1<<16-3000))
		if rng.IntN(4) == 0 {
			r.Sync()
		}
	}
	log, at := r.Log(), 0
	same := func(what string, got *device.Mem, err error, rebuild func(*device.Mem) error) {
		t.Helper()
		want := base.Clone()
		if err := errors.Join(err, rebuild(want)); err != nil {
			t.Fatal(err)
		}
		if diff, equal := got.Equal(want); !equal {
			t.Fatalf("after %d entries, %s: differs at %d", at, what, diff)
		}
	}
	err := EachCut(base, log, func(c *Cut) error {
		if c.At != at || c.Covered != Synced(log, at) || c.Open() != at-c.Covered {
			t.Fatalf("moment %d: %+v", at, c)
		}
		seeded := func() *rand.Rand { return rand.New(rand.NewPCG(uint64(at), 0)) }
		same("in order", c.InOrder(), nil, func(m *device.Mem) error { return r.Replay(m, at) })
		torn, err := c.Torn(2)
		same("torn", torn, err, func(m *device.Mem) error { return r.Torn(m, at, 2) })
		scattered, err := c.Scattered(seeded())
		same("scattered", scattered, err, func(m *device.Mem) error { return r.Scatter(m, at, seeded()) })
		selected, err := c.Selected(seeded())
		same("selected", selected, err, func(m *device.Mem) error { return r.Subset(m, at, seeded()) })
		at++
		return nil
	})
	if err != nil || at != len(log)+1 {
		t.Errorf("%d moments of %d entries: %v", at, len(log), err)
	}
}
