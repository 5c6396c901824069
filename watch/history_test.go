package watch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/watch"
)

// A pull, the looks at a wrong medium, and the return are entries, each with its time.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := false
		r := newRig(t, func(_ *rig, cfg *watch.Config) {
			cfg.Verify = func(context.Context, *watch.Candidate) error {
				if refuse {
					return errors.New("another volume")
				}
				return nil
			}
		})
		defer r.close()
		began := time.Now()
		time.Sleep(time.Minute)
		r.pull()
		lost := time.Now()
		refuse = true
		for range 2 {
			r.back(r.stick)
		}
		refused := time.Now()
		refuse = false
		r.back(r.stick)
		r.expect(watch.Present, 2)

		type entry struct {
			state    watch.State
			reason   bool
			attempts int // at least
			from, to time.Time
		}
		want := []entry{
			{watch.Present, false, 0, began, began},
			{watch.Gone, true, 0, lost, lost},
			{watch.Gone, true, 2, lost, refused},
			{watch.Verifying, true, 0, refused, time.Now()},
			{watch.Present, false, 0, refused, time.Now()},
		}
		list := r.History()
		if len(list) != len(want) {
			t.Fatalf("%+v", list)
		}
		for i, w := range want {
			c := list[i]
			if c.State != w.state || c.Attempts < w.attempts || w.attempts == 0 && c.Attempts > 0 || (c.Reason != "") != w.reason || c.At.Before(w.from) || c.At.After(w.to) {
				t.Errorf("%d: %+v, want %+v", i, c, w)
			}
		}
		if n := r.Counters().Losses; n != 1 {
			t.Errorf("%d losses", n)
		}
	})
}

// The history is bounded, and its end is what is.
func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cycles = 100
		r := newRig(t, nil)
		defer r.close()
		for range cycles {
			r.pull()
			r.back(r.stick)
		}
		list := r.History()
		if n := len(list); n > 64 {
			t.Errorf("%d entries", n)
		}
		if last := list[len(list)-1]; last.Status != r.Status() || !last.At.Equal(last.Since) {
			t.Errorf("%+v, now %+v", last, r.Status())
		}
		if n := r.Counters().Losses; n != cycles {
			t.Errorf("%d losses, want %d", n, cycles)
		}
	})
}
