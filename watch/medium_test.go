package watch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/watch"
	"fatvol/watch/fakemedium"
)

func TestPullAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		if err := errors.Join(r.write(0, 1), r.Sync(), r.write(512, 2)); err != nil {
			t.Fatal(err)
		}
		r.slot.Pull()
		// What was written is lost, and neither a write nor a read from the cache can tell.
		if err := r.write(1024, 3); err != nil {
			t.Fatal(err)
		}
		if b, err := r.read(512); b != 2 || err != nil {
			t.Fatal(b, err)
		}
		if err := r.Sync(); !isGone(err) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync: %v", err)
		}
		r.expect(watch.Gone, 1)
		if n := r.slot.OpenHosts(); n != 0 {
			t.Errorf("%d descriptors are open", n)
		}
		if st := r.Status(); st.Reason == "" || !st.Since.Equal(time.Now()) {
			t.Errorf("%+v", st)
		}
		for name, err := range map[string]error{
			"write": r.write(0, 1), "sync": r.Sync(), "zero": r.ZeroAt(0, 512), "discard": r.DiscardAt(0, 512), "check": r.Check(),
		} {
			if !isGone(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.read(0); !isGone(err) {
			t.Errorf("read: %v", err)
		}

		r.back(r.stick)
		r.expect(watch.Present, 2)
		for off, want := range map[int64]byte{0: 1, 512: 0, 1024: 0} {
			if b, err := r.read(off); b != want || err != nil {
				t.Errorf("at %d: %d, %v, want %d", off, b, err, want)
			}
		}
		if got, want := r.seen(), []watch.State{watch.Gone, watch.Verifying, watch.Present}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
		if l := r.handler.all(); len(l) != 2 || !strings.Contains(l[0], "medium is gone") || !strings.Contains(l[1], "medium is back") {
			t.Errorf("log: %q", l)
		}
	})
}

// TestGoneCostsNothing makes a million operations while the medium is gone.
func TestGoneCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.pull()
		calls, counted := r.slot.Calls(), r.Counters()
		p := make([]byte, 4096)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50_000 {
					_, rerr := r.ReadAt(p[:0], 0)
					_, werr := r.WriteAt(p, 0)
					for _, err := range []error{rerr, werr, r.Sync(), r.ZeroAt(0, 1), r.DiscardAt(0, 1)} {
						if !isGone(err) {
							t.Errorf("while gone: %v", err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		if n := r.slot.Calls(); n != calls {
			t.Errorf("%d calls of the host", n-calls)
		}
		if c := r.Counters(); c != counted {
			t.Errorf("counters went from %+v to %+v", counted, c)
		}
	})
}

// TestOneLine has many operations fail at the same moment.
func TestOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.slot.SetHook(func(fakemedium.Call) error { return syscall.EIO })
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if err := r.write(int64(i%100)*512, 1); !isGone(err) {
					t.Errorf("write: %v", err)
				}
			})
		}
		wg.Wait()
		r.expect(watch.Gone, 1)
		time.Sleep(time.Hour)
		if l := r.handler.all(); len(l) != 1 {
			t.Errorf("log: %q", l)
		}
		if got := r.seen(); len(got) != 1 {
			t.Errorf("states %v", got)
		}
	})
}

// TestChangedBeforeLog: whoever has the kernel forget what it holds learns that the medium is gone before the log does.
func TestChangedBeforeLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := -1 // in the log when the listener learned it
		r := newRig(t, func(r *rig, cfg *watch.Config) {
			cfg.Changed = func(s watch.Status) {
				if s.State == watch.Gone {
					lines = len(r.handler.with("gone"))
				}
			}
		})
		defer r.close()
		r.pull()
		synctest.Wait()
		if n := len(r.handler.with("gone")); lines != 0 || n != 1 {
			t.Errorf("%d lines in the log when the listener learned it, want 0; %d lines in the end, want 1", lines, n)
		}
	})
}

// TestDeadHostIsNotTaken leaves the host mounted after the pull, so that the image can be opened, and
// read as far as it is cached.
func TestDeadHostIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		if _, err := r.read(0); err != nil {
			t.Fatal(err)
		}
		r.slot.Pull()
		r.Doubt()
		r.expect(watch.Gone, 1)
		for range 60 {
			r.Look()
			time.Sleep(time.Second)
		}
		r.expect(watch.Gone, 1)
		if n := r.Counters().Looks; n < 50 {
			t.Errorf("%d looks", n)
		}
		if r.verifies.Load() != 0 || len(r.handler.all()) != 1 || len(r.seen()) != 1 || r.slot.OpenHosts() != 0 {
			t.Errorf("%d verifications, log %q, states %v, %d descriptors", r.verifies.Load(), r.handler.all(), r.seen(), r.slot.OpenHosts())
		}
		r.back(r.stick)
		r.expect(watch.Present, 2)
	})
}

// TestSyncFailureIsFinal: hosts forget what they could not write, so no later success counts.
func TestSyncFailureIsFinal(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil)
			defer r.close()
			r.slot.SetHook(func(call fakemedium.Call) error {
				if call.Op == "sync" {
					return errno
				}
				return nil
			})
			if err := r.Sync(); !isGone(err) {
				t.Errorf("sync: %v", err)
			}
			r.expect(watch.Gone, 1)
			r.slot.SetHook(nil)
			time.Sleep(2 * time.Second)
			r.expect(watch.Present, 2)
		})
	}
}

// TestBadSector: a part of the medium that fails is not the medium.
func TestBadSector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.slot.SetHook(func(call fakemedium.Call) error {
			if call.Op == "read" && call.Off == 4096 {
				return syscall.EIO
			}
			return nil
		})
		for range 100 {
			if _, err := r.read(4096); !errors.Is(err, syscall.EIO) || isGone(err) {
				t.Fatalf("read: %v", err)
			}
			if _, err := r.read(0); err != nil {
				t.Fatal(err)
			}
		}
		r.expect(watch.Present, 1)
		if l := r.handler.all(); len(l) != 1 || len(r.seen()) != 0 {
			t.Errorf("log %q, states %v", l, r.seen())
		}
		if c := r.Counters(); c.Errors != 100 {
			t.Errorf("%+v", c)
		}
	})
}

func TestHostTurnsReadOnly(t *testing.T) {
	for name, detectors := range map[string][]watch.Detector{"probed": {watch.Prober{}}, "found by a write": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(_ *rig, cfg *watch.Config) { cfg.Detectors = detectors })
				defer r.close()
				if err := r.write(0, 1); err != nil {
					t.Fatal(err)
				}
				r.slot.SetReadOnly(true)
				// The host's Sync succeeds, and has written nothing.
				if err := r.Sync(); !errors.Is(err, syscall.EROFS) || isGone(err) {
					t.Errorf("sync: %v", err)
				}
				time.Sleep(1500 * time.Millisecond)
				calls := r.slot.Calls()
				for name, err := range map[string]error{
					"write": r.write(0, 2), "sync": r.Sync(), "zero": r.ZeroAt(0, 1), "discard": r.DiscardAt(0, 1),
				} {
					if !errors.Is(err, syscall.EROFS) || isGone(err) {
						t.Errorf("%s: %v", name, err)
					}
				}
				if n := r.slot.Calls() - calls; n != 0 {
					t.Errorf("%d calls of the host for changes", n)
				}
				if b, err := r.read(0); b != 1 || err != nil {
					t.Errorf("read: %d, %v", b, err)
				}
				if st := r.Status(); !st.ReadOnly || st.State != watch.Present {
					t.Errorf("%+v", st)
				}
				r.slot.SetReadOnly(false)
				r.Doubt()
				synctest.Wait()
				if st := r.Status(); st.ReadOnly || st.Generation != 1 {
					t.Errorf("%+v", st)
				}
				if err := errors.Join(r.write(0, 3), r.Sync()); err != nil {
					t.Error(err)
				}
				if l := r.handler.all(); len(l) != 2 {
					t.Errorf("log: %q", l)
				}
			})
		})
	}
}

// TestReturnOnReadOnlyHost has the image be opened for reading at its return: it has to be opened again
// once the host takes writes.
func TestReturnOnReadOnlyHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.pull()
		r.slot.SetReadOnly(true)
		r.back(r.stick)
		r.expect(watch.Present, 2)
		if err := r.write(0, 1); !errors.Is(err, syscall.EROFS) || !r.Status().ReadOnly {
			t.Errorf("write: %v; %+v", err, r.Status())
		}
		r.Doubt()
		r.expect(watch.Present, 2)
		r.slot.SetReadOnly(false)
		r.Doubt()
		time.Sleep(2 * time.Second)
		r.expect(watch.Present, 3)
		if err := errors.Join(r.write(0, 1), r.Sync()); err != nil {
			t.Error(err)
		}
	})
}

func TestImageDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, cfg *watch.Config) { cfg.Detectors = []watch.Detector{watch.Prober{}} })
		defer r.close()
		r.slot.Delete()
		time.Sleep(1100 * time.Millisecond)
		r.expect(watch.Gone, 1)
		if st := r.Status(); !strings.Contains(st.Reason, "deleted") {
			t.Errorf("reason %q", st.Reason)
		}
		if n := r.slot.OpenHosts(); n != 0 {
			t.Errorf("%d descriptors are open", n)
		}
	})
}

func TestNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, cfg *watch.Config) { cfg.Never = true })
		defer r.close()
		r.pull()
		calls := r.slot.Calls()
		r.back(r.stick)
		time.Sleep(time.Hour)
		r.expect(watch.Gone, 1)
		if n := r.slot.Calls(); n != calls {
			t.Errorf("%d calls", n-calls)
		}
	})
}

// TestLateNews tells the Medium of things that happened to generations that are over.
func TestLateNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &puppet{}
		g := make(gate)
		r := newRig(t, func(_ *rig, cfg *watch.Config) { cfg.Detectors = []watch.Detector{d} })
		defer r.close()
		synctest.Wait()
		var late error
		first := true
		r.slot.SetHook(g.hook(func(c fakemedium.Call) bool { h := first && c.Op == "read"; first = first && !h; return h }))
		var wg sync.WaitGroup
		wg.Go(func() { _, late = r.read(0) })
		synctest.Wait()
		r.pull()
		wg.Wait() // the medium's going ended it; the host has not answered yet
		if !isGone(late) {
			t.Errorf("read: %v", late)
		}
		r.back(r.stick)
		r.expect(watch.Present, 2)
		if n := r.Counters().Stuck; n != 1 {
			t.Errorf("%d calls are stuck", n)
		}
		close(g)
		for _, s := range []watch.Signal{watch.Removed, watch.Unmounted} {
			d.scene.Report(watch.Report{Signal: s, Generation: 1, Detail: "late"})
			synctest.Wait()
		}
		d.scene.Report(watch.Report{Signal: watch.Suspect})
		time.Sleep(time.Minute)
		r.expect(watch.Present, 2)
		if n := r.Counters().Stuck; n != 0 {
			t.Errorf("%d calls are stuck", n)
		}
		d.scene.Report(watch.Report{Signal: watch.Removed, Generation: 2, Detail: "in time"})
		r.expect(watch.Gone, 2)
	})
}

// puppet is a detector that reports what the test wants.
type puppet struct{ scene *watch.Scene }

func (*puppet) Name() string { return "puppet" }

func (d *puppet) Watch(ctx context.Context, s *watch.Scene) error {
	d.scene = s
	<-ctx.Done()
	return nil
}

// TestHostRefusesWrites: a host that answers EROFS and says that it is mounted for writing, as one does
// after an error of its own, is read-only until it has taken a change; that is said once.
func TestHostRefusesWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, cfg *watch.Config) { cfg.Detectors = []watch.Detector{watch.Prober{}} })
		defer r.close()
		tried := 0
		r.slot.SetHook(func(c fakemedium.Call) error {
			if c.Op == "write" || c.Op == "sync" {
				tried++
				return syscall.EROFS
			}
			return nil
		})
		for range 600 {
			if err := r.write(0, 1); !errors.Is(err, syscall.EROFS) || isGone(err) {
				t.Fatalf("write: %v", err)
			}
			if _, err := r.read(0); err != nil {
				t.Fatal(err)
			}
			if !r.Status().ReadOnly {
				t.Fatal("not read-only")
			}
			time.Sleep(100 * time.Millisecond)
			if _, err := r.Room(); !errors.Is(err, syscall.EROFS) {
				t.Fatalf("it has room: %v", err)
			}
		}
		if tried < 3 || tried > 8 {
			t.Errorf("tried %d times in a minute", tried)
		}
		r.slot.SetHook(nil)
		for end := time.Now().Add(40 * time.Second); r.write(0, 2) != nil; time.Sleep(time.Second) {
			if time.Now().After(end) {
				t.Fatal("still refused")
			}
		}
		r.expect(watch.Present, 1)
		if err := r.Sync(); err != nil || r.Status().ReadOnly {
			t.Errorf("sync: %v; %+v", err, r.Status())
		}
		if l := r.handler.all(); len(l) != 2 {
			t.Errorf("log: %q", l)
		}
	})
}

// TestRoom: what the host says, as long as it is there; a host that does not answer is gone as with any other call.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		if n, err := r.Room(); n != 1<<40 || err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		r.slot.SetHook(func(c fakemedium.Call) error {
			if c.Op == "statfs" {
				return syscall.ENODEV
			}
			return nil
		})
		if _, err := r.Room(); !isGone(err) {
			t.Errorf("a host without a device: %v", err)
		}
		if _, err := r.Room(); !isGone(err) {
			t.Errorf("while it is gone: %v", err)
		}
	})
}

// TestLose: a write that failed after it was acknowledged ends the generation, once, and the medium comes back by itself.
func TestLose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.close()
		r.Lose(syscall.ENOSPC)
		r.Lose(syscall.ENOSPC)
		if err := r.write(0, 1); !isGone(err) {
			t.Errorf("write: %v", err)
		}
		time.Sleep(5 * time.Second)
		r.expect(watch.Present, 2)
		if err := r.write(0, 1); err != nil {
			t.Error(err)
		}
	})
}
