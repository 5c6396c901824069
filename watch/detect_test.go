package watch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/watch"
)

// TestProbeIdle: with nobody using the volume, a pull is noticed within a second, and while gone and
// after Close nothing is asked.
func TestProbeIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, cfg *watch.Config) { cfg.Detectors = []watch.Detector{watch.Prober{}} })
		defer r.close()
		time.Sleep(10*time.Second + 500*time.Millisecond)
		if c := r.Counters(); c.Calls != 11 { // that of New, and ten probes
			t.Errorf("%+v", c)
		}
		r.slot.Pull()
		r.slot.Unmount()
		began := time.Now()
		for r.Status().State == watch.Present {
			time.Sleep(time.Millisecond)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("noticed after %v", d)
		}
		calls := r.Counters().Calls
		time.Sleep(time.Hour)
		if c := r.Counters(); c.Calls != calls {
			t.Errorf("%d calls while gone", c.Calls-calls)
		}
		r.back(r.stick)
		r.expect(watch.Present, 2)
		calls = r.Counters().Calls
		time.Sleep(10 * time.Second)
		if c := r.Counters(); c.Calls < calls+9 || c.Calls > calls+11 {
			t.Errorf("%d probes in 10 s after the return", c.Calls-calls)
		}
	})
}

// TestDetectorsThatDoNotWork: the Medium works without any of them, and says which ones do.
func TestDetectorsThatDoNotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, cfg *watch.Config) {
			cfg.Detectors = []watch.Detector{
				odd{"broken", func(context.Context, *watch.Scene) error { return errors.New("no such thing here") }},
				odd{"short", func(context.Context, *watch.Scene) error { return nil }},
				odd{"blind", func(ctx context.Context, s *watch.Scene) error { s.Blind("too dark"); <-ctx.Done(); return nil }},
				odd{"fine", func(ctx context.Context, _ *watch.Scene) error { <-ctx.Done(); return nil }},
			}
		})
		defer r.close()
		synctest.Wait()
		got := r.Detectors()
		for name, want := range map[string]string{"broken": "no such thing here", "short": "it ended", "blind": "too dark", "fine": ""} {
			if got[name] != want {
				t.Errorf("%s: %q, want %q", name, got[name], want)
			}
		}
		r.pull()
		time.Sleep(time.Minute)
		r.slot.Plug(r.stick)
		time.Sleep(time.Minute)
		r.expect(watch.Present, 2)
	})
}

type odd struct {
	name  string
	watch func(context.Context, *watch.Scene) error
}

func (d odd) Name() string                                    { return d.name }
func (d odd) Watch(ctx context.Context, s *watch.Scene) error { return d.watch(ctx, s) }

// TestDetectorAsksHungHost: a detector that asks a host which does not answer holds up nobody, asks no
// second time before that is over, and ends with the Medium.
func TestDetectorAsksHungHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		asked, errs := 0, []error{}
		r := newRig(t, func(_ *rig, cfg *watch.Config) {
			cfg.Detectors = []watch.Detector{odd{"asks", func(ctx context.Context, s *watch.Scene) error {
				for ctx.Err() == nil {
					errs = append(errs, s.Ask(ctx, "stat", func() error { asked++; g.wait(); return nil }))
				}
				return nil
			}}, watch.Prober{}}
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		if asked != 1 || len(errs) != 1 || errs[0] == nil || r.Counters().Stuck != 1 {
			t.Errorf("asked %d times: %v; %+v", asked, errs, r.Counters())
		}
		r.pull()
		r.back(r.stick)
		r.expect(watch.Present, 2)
		r.close()
		close(g)
	})
}

// TestPlaceChanges: detectors are told of each generation's place.
func TestPlaceChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var places []watch.Place
		r := newRig(t, func(_ *rig, cfg *watch.Config) {
			cfg.Detectors = []watch.Detector{odd{"places", func(ctx context.Context, s *watch.Scene) error {
				for {
					p, changed := s.Place()
					places = append(places, p)
					select {
					case <-ctx.Done():
						return nil
					case <-changed:
					}
				}
			}}}
		})
		defer r.close()
		synctest.Wait()
		r.pull()
		r.back(r.stick)
		synctest.Wait()
		var gens []uint64
		for _, p := range places {
			gens = append(gens, p.Generation)
			if p.Asked != "/stick/image" {
				t.Errorf("%+v", p)
			}
		}
		if len(gens) < 3 || gens[0] != 1 || gens[1] != 0 || gens[len(gens)-1] != 2 {
			t.Errorf("generations %v", gens)
		}
	})
}

// TestUnmountedUnderUs: what is held back is written while the host still takes it.
func TestUnmountedUnderUs(t *testing.T) {
	for _, c := range []struct {
		name    string
		leaving func(r *rig, ctx context.Context) error
		after   time.Duration
		says    string
	}{
		{"no hook", nil, 0, "unmounted"},
		{"writes", func(r *rig, _ context.Context) error { return errors.Join(r.write(512, 5), r.Sync()) }, 0, "unmounted"},
		{"fails", func(*rig, context.Context) error { return errors.New("no room") }, 0, "no room"},
		{"slow", func(r *rig, _ context.Context) error { time.Sleep(time.Second); return r.Sync() }, time.Second, "unmounted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &puppet{}
				r := newRig(t, func(r *rig, cfg *watch.Config) {
					cfg.Detectors = []watch.Detector{d}
					if c.leaving != nil {
						cfg.Leaving = func(ctx context.Context) error { return c.leaving(r, ctx) }
					}
				})
				defer r.close()
				synctest.Wait()
				if err := r.write(0, 4); err != nil {
					t.Fatal(err)
				}
				d.scene.Report(watch.Report{Signal: watch.Unmounted, Generation: 1, Detail: "the host was unmounted"})
				time.Sleep(c.after)
				r.expect(watch.Gone, 1)
				if st := r.Status(); !strings.Contains(st.Reason, c.says) {
					t.Errorf("reason %q", st.Reason)
				}
				if n := r.slot.OpenHosts(); n != 0 {
					t.Errorf("%d descriptors are open", n)
				}
				if c.name == "fails" {
					return
				}
				if b := r.stick.Contents(); b[0] != 4 || c.name == "writes" && b[512] != 5 {
					t.Error("what was held back is not on the stick")
				}
			})
		})
	}
}

// TestPulledWhileLeaving: the hook's context ends with the generation, and news of the next are heard.
func TestPulledWhileLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &puppet{}
		calls := 0
		r := newRig(t, func(_ *rig, cfg *watch.Config) {
			cfg.Detectors = []watch.Detector{d}
			cfg.Leaving = func(ctx context.Context) error { calls++; <-ctx.Done(); return ctx.Err() }
		})
		defer r.close()
		synctest.Wait()
		for generation := uint64(1); generation < 4; generation++ {
			d.scene.Report(watch.Report{Signal: watch.Unmounted, Generation: generation})
			time.Sleep(time.Second)
			r.expect(watch.Present, generation)
			r.pull()
			r.back(r.stick)
			r.expect(watch.Present, generation+1)
		}
		if calls != 3 {
			t.Errorf("left %d times", calls)
		}
	})
}
