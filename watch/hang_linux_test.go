package watch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/watch"
	"fatvol/watch/fakemedium"
)

// faults are what a host may answer to a call; 0 is no answer at all.
var faults = []syscall.Errno{
	0, syscall.EIO, syscall.ENXIO, syscall.ENODEV, syscall.ENOMEDIUM, syscall.ESTALE, syscall.ENOTCONN,
	syscall.EREMOTEIO, syscall.ESHUTDOWN, syscall.EBADF, syscall.ETIMEDOUT, syscall.EROFS,
}

// TestFaultAtEachCall has the host fail or hang at the first, the second … the fiftieth call of a run in
// which everything happens, and once more with every call from there on: nothing lasts longer than the
// deadline and a second, and once the host answers again all is well.
func TestFaultAtEachCall(t *testing.T) {
	if n := cleanRun(t); n < 50 {
		t.Fatalf("a run without faults makes %d calls of the host: fewer than 50", n)
	}
	for _, errno := range faults {
		for n := 2; n <= 51; n++ { // the first call is the open that New is given
			for _, once := range []bool{true, false} {
				name := fmt.Sprintf("call %d, %v, once %v", n, errno, once)
				synctest.Test(t, func(t *testing.T) { faultyRun(t, name, n, errno, once) })
			}
		}
	}
}

func cleanRun(t *testing.T) (calls int) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, everything)
		story(r, "no fault")
		if st := r.Status(); st.State != watch.Present || st.Generation != 3 {
			t.Errorf("a run without faults ends %+v", st)
		}
		calls = r.slot.Calls()
		r.close()
	})
	return calls
}

func faultyRun(t *testing.T, name string, n int, errno syscall.Errno, once bool) {
	g := make(gate)
	r := newRig(t, everything)
	r.slot.SetHook(func(c fakemedium.Call) error {
		switch {
		case c.N < n || once && c.N > n:
			return nil
		case errno != 0:
			return errno
		}
		g.wait()
		return nil
	})
	story(r, name)
	r.slot.SetHook(nil)
	close(g)
	time.Sleep(time.Minute)
	for range 2 { // a host that refused a change without being read-only is tried again after a while
		r.Sync()
		time.Sleep(time.Minute)
	}
	synctest.Wait()
	if st := r.Status(); st.State != watch.Present || st.ReadOnly {
		t.Errorf("%s: ends %+v", name, st)
	}
	if c := r.Counters(); c.Stuck != 0 {
		t.Errorf("%s: %d calls are stuck", name, c.Stuck)
	}
	if open := r.slot.OpenHosts(); open != 1 {
		t.Errorf("%s: %d descriptors", name, open)
	}
	r.close()
}

// story goes through two pulls and returns with all kinds of operations, several at a time.
func story(r *rig, name string) {
	timed := func(what string, fn func()) {
		began := time.Now()
		fn()
		if d := time.Since(began); d > ioTimeout+time.Second {
			r.t.Errorf("%s: %s took %v", name, what, d)
		}
	}
	p := make([]byte, 1024)
	ops := []func(){
		func() { timed("read", func() { r.ReadAt(p, 0) }) },
		func() { timed("write", func() { r.WriteAt(bytes.Repeat([]byte{7}, 512), 512) }) },
		func() { timed("sync", func() { r.Sync() }) },
		func() { timed("zero", func() { r.ZeroAt(1024, 512) }) },
		func() { timed("discard", func() { r.DiscardAt(2048, 512) }) },
	}
	for range 3 {
		for range 2 {
			for _, op := range ops {
				op()
			}
			var wg sync.WaitGroup
			for _, op := range ops[1:] {
				wg.Go(op)
			}
			wg.Wait()
		}
		time.Sleep(1500 * time.Millisecond) // a probe
		if r.Status().Generation < 3 {
			r.slot.Pull()
			r.Doubt()
			time.Sleep(100 * time.Millisecond)
			r.slot.Plug(r.stick)
			r.Look()
			time.Sleep(2 * time.Second)
		}
	}
	synctest.Wait()
}

// TestLateCallsDoNoHarm ends a read that was given up on when its buffer could have another use.
func TestLateCallsDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.stick.Edit(func(b []byte) []byte { copy(b, bytes.Repeat([]byte{9}, 512)); return b })
		g := make(gate)
		r.slot.SetHook(g.hook(op("read")))
		p := make([]byte, 512)
		if _, err := r.ReadAt(p, 0); !isGone(err) {
			t.Fatalf("read of a hung host: %v", err)
		}
		r.slot.SetHook(nil)
		time.Sleep(2 * time.Second)
		r.expect(watch.Present, 2)
		q := make([]byte, 512)
		if _, err := r.ReadAt(q, 512); err != nil {
			t.Fatal(err)
		}
		close(g)
		synctest.Wait()
		if p[0] != 0 || q[0] != 0 {
			t.Error("a read that was given up on has written into a buffer")
		}
	})
}

// TestStuckCallsAreBounded hangs all that asks the host, again and again.
func TestStuckCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		g := make(gate)
		hang := func(c fakemedium.Call) bool { return c.Op == "write" || c.Op == "close" }
		r.slot.SetHook(g.hook(hang))
		for range 20 {
			var wg sync.WaitGroup
			for range 200 {
				wg.Go(func() {
					began := time.Now()
					if err := r.write(0, 1); !isGone(err) {
						t.Errorf("write: %v", err)
					}
					if d := time.Since(began); d > ioTimeout+time.Second {
						t.Errorf("write took %v", d)
					}
				})
			}
			wg.Wait()
			r.Look()
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if n := r.Counters().Stuck; n < 64 || n > 128 {
			t.Errorf("%d calls are stuck", n)
		}
		if st := r.Status(); st.State != watch.Gone {
			t.Errorf("%+v", st)
		}
		looks := r.slot.Calls()
		time.Sleep(time.Hour)
		if n := r.slot.Calls() - looks; n != 0 {
			t.Errorf("%d further calls of a host that answers none", n)
		}
		close(g)
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := r.Status(); st.State != watch.Present || r.Counters().Stuck != 0 {
			t.Errorf("%+v, %+v", st, r.Counters())
		}
	})
}

// TestHostAnswersAgain: a host that hung and answers again ends what hung in it one call after the other. Until it has
// ended all of them the image cannot be opened again, which is nothing to tell anybody.
func TestHostAnswersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writing atomic.Int64
		r := newRig(t, func(r *rig, cfg *watch.Config) {
			open := cfg.Open
			cfg.Open = func() (watch.Host, error) {
				h, err := open()
				if err == nil && writing.Load() > 0 {
					h.Close()
					return nil, errors.New("somebody else has it") // the lock of a call that has not ended
				}
				return h, err
			}
		})
		defer r.close()
		opens, writes := make(gate), make(gate)
		r.slot.SetHook(func(c fakemedium.Call) error {
			switch c.Op {
			case "open":
				opens.wait()
			case "write":
				writing.Add(1)
				writes.wait()
				writing.Add(-1)
			}
			return nil
		})
		if err := r.write(0, 1); !isGone(err) {
			t.Fatalf("write to a hung host: %v", err)
		}
		r.Look()
		time.Sleep(time.Minute)
		r.expect(watch.Gone, 1)
		close(opens)
		r.Look()
		time.Sleep(5 * time.Second)
		close(writes)
		time.Sleep(2 * time.Second)
		r.expect(watch.Present, 2)
		if said := r.handler.with("not taken"); len(said) > 0 {
			t.Errorf("log: %q", said)
		}
	})
}

// TestHungOpen: while one attempt to open the image hangs, only events lead to others.
func TestHungOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.pull()
		r.slot.Plug(r.stick)
		g := make(gate)
		r.slot.SetHook(g.hook(op("open")))
		time.Sleep(time.Hour)
		if n := r.Counters().Stuck; n != 1 {
			t.Errorf("%d calls are stuck", n)
		}
		r.Look()
		time.Sleep(time.Hour)
		if n := r.Counters().Stuck; n != 2 {
			t.Errorf("%d calls are stuck after an event", n)
		}
		r.slot.SetHook(nil)
		r.back(r.stick)
		r.expect(watch.Present, 2)
		close(g)
		synctest.Wait()
		if n := r.slot.OpenHosts(); n != 1 {
			t.Errorf("%d descriptors are open", n)
		}
	})
}

// TestCloseEnds closes the medium in the middle of everything.
func TestCloseEnds(t *testing.T) {
	for _, hung := range []string{"open", "read", "write", "sync", "probe", "close", "verify", "changed", "nothing"} {
		for _, after := range []time.Duration{0, time.Second, 3 * time.Second, time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				g := make(gate)
				defer close(g)
				r := newRig(t, func(r *rig, cfg *watch.Config) {
					everything(r, cfg)
					if hung == "verify" {
						cfg.Verify = func(ctx context.Context, _ *watch.Candidate) error {
							<-ctx.Done()
							return ctx.Err()
						}
					}
					if hung == "changed" {
						cfg.Changed = func(watch.Status) { g.wait() }
					}
				})
				r.slot.SetHook(g.hook(op(hung)))
				var wg sync.WaitGroup
				wg.Go(func() { r.read(0) })
				wg.Go(func() { r.write(0, 1) })
				wg.Go(func() { r.Sync() })
				time.Sleep(after)
				if after > time.Second {
					r.slot.Pull()
					r.Doubt()
					time.Sleep(time.Second)
					r.slot.Plug(r.stick)
					r.Look()
					time.Sleep(time.Second)
				}
				began := time.Now()
				err := r.Close()
				if d := time.Since(began); d > ioTimeout+time.Second {
					t.Errorf("%s hung: Close took %v", hung, d)
				}
				waits := hung == "close" || hung == "changed"
				if err != nil && !waits {
					t.Errorf("%s hung, %v: Close: %v", hung, after, err)
				}
				wg.Wait()
				if r.Close() == nil && waits && err != nil {
					t.Errorf("%s hung: a second Close says that all is well", hung)
				}
			})
		}
	}
}
