package watch_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/watch"
	"fatvol/watch/fakemedium"
)

// A slowHost is a host whose medium takes 1 MiB in a second.
type slowHost struct {
	mu     sync.Mutex
	cached map[int64]int64 // bytes, by MiB
	synced int64
	hangs  chan struct{} // what a call waits for once half is written; nil: nothing
}

func (h *slowHost) Size() int64                           { return 1 << 30 }
func (h *slowHost) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (h *slowHost) ZeroAt(int64, int64) error             { return nil }
func (h *slowHost) DiscardAt(int64, int64) error          { return nil }
func (h *slowHost) Probe() error                          { return nil }
func (h *slowHost) Close() error                          { return nil }

func (h *slowHost) WriteAt(p []byte, off int64) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cached[off>>20] += int64(len(p))
	return len(p), nil
}

// flush writes what is cached of some MiB.
func (h *slowHost) flush(want func(i int64) bool) error {
	h.mu.Lock()
	var n int64
	for i, bytes := range h.cached {
		if want(i) {
			n += bytes
			delete(h.cached, i)
		}
	}
	h.synced += n
	hang := h.hangs != nil && h.synced > 32<<20
	h.mu.Unlock()
	if hang {
		<-h.hangs
	}
	time.Sleep(time.Duration(n) * time.Second >> 20)
	return nil
}

func (h *slowHost) Sync() error { return h.flush(func(int64) bool { return true }) }

// A pieceHost is one that can write back a range.
type pieceHost struct{ *slowHost }

func (h pieceHost) WriteBack(off, n int64) error {
	return h.flush(func(i int64) bool { return i >= off>>20 && i <= (off+n-1)>>20 })
}

// An unableHost has the method and not the means.
type unableHost struct{ *slowHost }

func (unableHost) WriteBack(int64, int64) error { return errors.ErrUnsupported }

// TestSlowMedium syncs 64 MiB on a medium that needs a minute for it, and does not take it for one that
// hangs; one that hangs in the middle is.
func TestSlowMedium(t *testing.T) {
	for _, c := range []struct {
		name string
		host func(h *slowHost) watch.Host
		hang bool
		want watch.State
		took time.Duration
	}{
		{"in pieces", func(h *slowHost) watch.Host { return pieceHost{h} }, false, watch.Present, 64 * time.Second},
		{"hangs in the middle", func(h *slowHost) watch.Host { return pieceHost{h} }, true, watch.Gone, 62 * time.Second},
		{"no means", func(h *slowHost) watch.Host { return unableHost{h} }, false, watch.Gone, ioTimeout},
		{"at once", func(h *slowHost) watch.Host { return h }, false, watch.Gone, ioTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer time.Sleep(5 * time.Minute) // for the calls that were given up on
				h := &slowHost{cached: make(map[int64]int64)}
				if c.hang {
					h.hangs = make(chan struct{})
					defer close(h.hangs)
				}
				m := watch.New(c.host(h), watch.Config{
					Never: true, Log: slog.New(slog.DiscardHandler),
					Verify: func(context.Context, *watch.Candidate) error { return nil },
				})
				defer m.Close()
				for i := range int64(64) {
					if _, err := m.WriteAt(make([]byte, 1<<20), i<<20); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() {
						if err := m.Sync(); (err == nil) != (c.want == watch.Present) {
							t.Errorf("sync: %v", err)
						}
					})
				}
				wg.Wait()
				if d := time.Since(began); d < c.took || d > c.took+2*time.Second {
					t.Errorf("took %v, want %v", d, c.took)
				}
				if st := m.Status(); st.State != c.want {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A zeroHost has to write zeros, as vfat and exfat have, and whoever writes waits for the medium.
type zeroHost struct{ *slowHost }

func (zeroHost) ZeroAt(_, n int64) error {
	time.Sleep(time.Duration(n) * time.Second >> 20)
	return nil
}

// TestSlowZeros makes 64 MiB zeros on such a host, which takes a minute and is no hang; by whoever uses the medium, and by
// whoever brings it back.
func TestSlowZeros(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := func() (watch.Host, error) { return zeroHost{&slowHost{cached: make(map[int64]int64)}}, nil }
		h, _ := open()
		m := watch.New(h, watch.Config{
			Open: open, Log: slog.New(slog.DiscardHandler),
			Verify: func(_ context.Context, dev *watch.Candidate) error { return dev.ZeroAt(5000, 64<<20) },
		})
		defer m.Close()
		if err := m.ZeroAt(5000, 64<<20); err != nil {
			t.Fatal(err)
		}
		m.Lose(syscall.EIO)
		m.Look()
		time.Sleep(2 * time.Minute)
		if st := m.Status(); st.State != watch.Present || st.Generation != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// TestRefusedSync: what a host refused to sync it may have dropped, and it says so once. So it is not believed when it takes
// writes again, before all that is unsynced has been written again. Reads go on meanwhile.
func TestRefusedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		if err := r.write(0, 1); err != nil {
			t.Fatal(err)
		}
		r.slot.SetHook(func(c fakemedium.Call) error {
			if c.Op == "sync" {
				return syscall.EROFS
			}
			return nil
		})
		for range 60 {
			if err := r.Sync(); !errors.Is(err, syscall.EROFS) {
				t.Fatalf("sync: %v", err)
			}
			if b, err := r.read(0); b != 1 || err != nil {
				t.Fatalf("read: %d, %v", b, err)
			}
			time.Sleep(time.Second)
		}
		r.slot.SetHook(nil)
		var err error
		for range 60 {
			if err = r.Sync(); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.expect(watch.Present, 2)
		if n := r.verifies.Load(); n != 1 {
			t.Errorf("verified %d times", n)
		}
	})
}

// A onceHost reports the loss of what was written to the first Sync only, as Linux does.
type onceHost struct {
	*slowHost
	lost atomic.Bool
}

func (h *onceHost) Sync() error {
	if h.lost.Swap(true) {
		return nil
	}
	return syscall.EIO
}

// TestSyncAfterLoss: of several Syncs at once none succeeds after one has failed, whoever comes first.
func TestSyncAfterLoss(t *testing.T) {
	for range 200 {
		m := watch.New(&onceHost{slowHost: &slowHost{cached: make(map[int64]int64)}}, watch.Config{
			Never: true, Log: slog.New(slog.DiscardHandler),
			Verify: func(context.Context, *watch.Candidate) error { return nil },
		})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := m.Sync(); err == nil {
					t.Error("it succeeds")
				}
			})
		}
		wg.Wait()
		m.Close()
	}
}
