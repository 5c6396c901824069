package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/watch"
	"fatvol/watch/fakemedium"
)

// lookTimes has a slot note when the image is opened.
func lookTimes(r *rig) *[]time.Duration {
	began, list := time.Now(), new([]time.Duration)
	var mu sync.Mutex
	r.slot.SetHook(func(c fakemedium.Call) error {
		if c.Op == "open" {
			mu.Lock()
			defer mu.Unlock()
			*list = append(*list, time.Since(began))
		}
		return nil
	})
	return list
}

func seconds(list ...int) (out []time.Duration) {
	for _, s := range list {
		out = append(out, time.Duration(s)*time.Second)
	}
	return out
}

// TestBackOff watches the looks at a path where nothing is.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.pull()
		list := lookTimes(r)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if want := seconds(1, 2, 4, 8, 16, 32, 62, 92); !slices.Equal(*list, want) {
			t.Errorf("looks at %v, want %v", *list, want)
		}
		// An event is looked after at once, and makes the pauses short again.
		r.Look()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := seconds(120, 121, 123, 127); !slices.Equal((*list)[8:], want) {
			t.Errorf("looks at %v after an event, want %v", (*list)[8:], want)
		}
	})
}

// TestEventStorm reports a thousand events a second.
func TestEventStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.pull()
		list := lookTimes(r)
		for range 10_000 {
			r.Look()
			r.Doubt()
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if n := len(*list); n < 9 || n > 11 {
			t.Errorf("%d looks in 10 s: %v", n, *list)
		}
	})
}

// TestFlapping has a medium go each time as soon as it is back.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.slot.SetHook(func(c fakemedium.Call) error {
			if c.Op == "sync" {
				return syscall.EIO
			}
			return nil
		})
		for range 10 * 60 * 10 {
			r.Sync()
			time.Sleep(100 * time.Millisecond)
		}
		if st := r.Status(); st.Generation > 30 || st.Generation < 15 {
			t.Errorf("%d generations in 10 minutes", st.Generation)
		}
		// Once it stays, the next outage is a new one.
		r.slot.SetHook(nil)
		time.Sleep(2 * time.Minute)
		was := r.Status().Generation
		r.pull()
		r.slot.Plug(r.stick)
		time.Sleep(1100 * time.Millisecond)
		r.expect(watch.Present, was+1)
	})
}

// TestEventBeforeTheNews: what brings the medium back may be seen before anybody knows that it went.
func TestEventBeforeTheNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.slot.Pull()
		r.slot.Plug(r.stick)
		r.Look()
		time.Sleep(time.Minute)
		r.Doubt()
		time.Sleep(10 * time.Millisecond)
		r.expect(watch.Present, 2)
	})
}

// TestCopiedBack: an image that is being copied back to its path is not what it was, for as long as that takes. The log
// says so once.
func TestCopiedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.pull()
		was := len(r.History())
		for size := int64(512); size < imageSize; size += 4096 {
			r.back(fakemedium.Blank(size))
			r.expect(watch.Gone, 1)
			r.slot.Unmount()
		}
		if l := r.handler.with("shorter"); len(l) != 1 {
			t.Errorf("%d lines: %q", len(l), l)
		}
		if n := len(r.History()) - was; n != 1 {
			t.Errorf("%d entries of the history", n)
		}
		r.back(r.stick)
		r.expect(watch.Present, 2)
	})
}

// TestRefused has things come back that are not the medium, and then the medium.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := byte(1)
		r := newRig(t, func(_ *rig, cfg *watch.Config) {
			cfg.Verify = func(_ context.Context, dev *watch.Candidate) error {
				p := make([]byte, 512)
				if _, err := dev.ReadAt(p, 0); err != nil {
					return err
				}
				if p[0] != want {
					return fmt.Errorf("another volume: %d", p[0])
				}
				return nil
			}
		})
		defer r.close()
		if err := errors.Join(r.write(0, want), r.Sync()); err != nil {
			t.Fatal(err)
		}
		r.pull()
		since, reason := r.Status().Since, r.Status().Reason
		other := fakemedium.Blank(imageSize)
		for name, c := range map[string]struct {
			stick *fakemedium.Stick
			says  string
		}{
			"other volume": {other, "another volume"},
			"other size":   {fakemedium.Blank(imageSize / 2), "shorter than the 65536 bytes"},
		} {
			r.back(c.stick)
			r.expect(watch.Gone, 1)
			time.Sleep(time.Hour)
			if st := r.Status(); !strings.Contains(st.Reason, c.says) || !st.Since.Equal(since) {
				t.Errorf("%s: %+v", name, st)
			}
			if _, err := r.read(0); !isGone(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: read: %v", name, err)
			}
			if l := r.handler.with(c.says); len(l) != 1 {
				t.Errorf("%s: log: %q", name, l)
			}
			if n := r.slot.OpenHosts(); n != 0 {
				t.Errorf("%s: %d descriptors are open", name, n)
			}
			r.slot.Unmount()
		}
		if other.Writes() != 0 {
			t.Error("the other volume was written to")
		}
		if reason == "" {
			t.Error("no reason")
		}
		r.back(r.stick)
		r.expect(watch.Present, 2)
		if b, err := r.read(0); b != want || err != nil {
			t.Errorf("read: %d, %v", b, err)
		}
	})
}

// TestOpenFails: an image that cannot be opened is a reason, unless there is none.
func TestOpenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.pull()
		locked := errors.New("the image is in use by another program")
		r.slot.SetHook(func(c fakemedium.Call) error {
			if c.Op == "open" {
				return locked
			}
			return nil
		})
		r.back(r.stick)
		r.expect(watch.Gone, 1)
		time.Sleep(time.Minute)
		if st := r.Status(); st.Reason != locked.Error() {
			t.Errorf("%+v", st)
		}
		if l := r.handler.with("in use"); len(l) != 1 {
			t.Errorf("log: %q", l)
		}
		r.slot.SetHook(nil)
		time.Sleep(time.Minute)
		r.expect(watch.Present, 2)
	})
}

// TestPulledDuringVerification pulls the stick, swaps it or deletes the image at each call that the
// verification makes, the last one included.
func TestPulledDuringVerification(t *testing.T) {
	calls := 0
	for n := 1; n == 1 || n <= calls; n++ {
		for _, what := range []string{"pull", "pull and unmount", "delete", "nothing"} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, everything)
				defer r.close()
				r.pull()
				first := r.slot.Calls()
				r.slot.SetHook(func(c fakemedium.Call) error {
					if c.N-first == n {
						switch what {
						case "pull":
							r.slot.Pull()
						case "pull and unmount":
							r.slot.Pull()
							r.slot.Unmount()
						case "delete":
							r.slot.Delete()
						}
					}
					return nil
				})
				r.slot.Plug(r.stick)
				r.Look()
				time.Sleep(500 * time.Millisecond)
				synctest.Wait()
				if what == "nothing" {
					calls = r.slot.Calls() - first
					r.expect(watch.Present, 2)
					return
				}
				r.expect(watch.Gone, 1)
				if n := r.slot.OpenHosts(); n != 0 {
					t.Errorf("%d descriptors are open", n)
				}
				r.back(r.stick)
				r.expect(watch.Present, 2)
				if l := r.handler.all(); len(l) != 2 {
					t.Errorf("%s at call %d: log %q", what, n, l)
				}
			})
		}
	}
	if calls < 8 {
		t.Errorf("a verification makes %d calls", calls)
	}
}

// TestVerificationHasAnEnd: one that does not come to an end is given up.
func TestVerificationHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var forever atomic.Bool
		forever.Store(true)
		r := newRig(t, func(_ *rig, cfg *watch.Config) {
			cfg.Verify = func(ctx context.Context, dev *watch.Candidate) error {
				for forever.Load() {
					time.Sleep(time.Second)
					if _, err := dev.ReadAt(make([]byte, 512), 0); err != nil {
						return err
					}
				}
				return nil
			}
		})
		defer r.close()
		r.pull()
		r.back(r.stick)
		r.expect(watch.Verifying, 1)
		if _, err := r.read(0); !isGone(err) {
			t.Errorf("read: %v", err)
		}
		for range 1000 {
			r.Look()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Minute)
		forever.Store(false)
		if l := r.handler.with("longer than"); len(l) != 1 {
			t.Errorf("log: %q", r.handler.all())
		}
		time.Sleep(time.Minute)
		r.expect(watch.Present, 2)
	})
}

// TestFiftyCycles pulls and plugs as quickly as it goes.
func TestFiftyCycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, everything)
		defer r.close()
		for i := range 50 {
			r.pull()
			r.back(r.stick)
			r.expect(watch.Present, uint64(i)+2)
		}
		if l := r.handler.all(); len(l) != 100 {
			t.Errorf("%d lines", len(l))
		}
		if n := r.verifies.Load(); n != 50 {
			t.Errorf("%d verifications", n)
		}
	})
}
