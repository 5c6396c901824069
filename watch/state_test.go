package watch

import (
	"testing"
	"time"
)

// TestTable checks each pair of state and event against the design.
func TestTable(t *testing.T) {
	const none = State(99)
	want := [states][events]State{
		//         failed removed deadline seen       same     refused close
		Present:   {Gone, Gone, Gone, none, none, none, Closed},
		Gone:      {Gone, Gone, Gone, Verifying, none, none, Closed},
		Verifying: {Verifying, Verifying, Verifying, none, Present, Gone, Closed},
		Closed:    {Closed, Closed, Closed, Closed, Closed, Closed, Closed},
	}
	for s := range want {
		for e, to := range want[s] {
			got, ignore, err := step(State(s), event(e))
			if (err != nil) != (to == none) {
				t.Errorf("%v in %v: %v", event(e), State(s), err)
			}
			if to != none && got != to {
				t.Errorf("%v in %v leads to %v, want %v", event(e), State(s), got, to)
			}
			if ignore != (to == none || to == State(s)) {
				t.Errorf("%v in %v: ignored: %v", event(e), State(s), ignore)
			}
		}
	}
}

// TestNewsOfEarlierGenerations: they change nothing.
func TestNewsOfEarlierGenerations(t *testing.T) {
	v := &view{Status: Status{State: Present, Generation: 7}}
	for _, e := range []event{evFailed, evRemoved, evDeadline} {
		for _, generation := range []uint64{0, 6, 8} {
			if w, err := v.after(news{event: e, generation: generation}, time.Now()); w != nil || err != nil {
				t.Errorf("%v of generation %d: %+v, %v", e, generation, w, err)
			}
		}
	}
}

func TestReasonsAndTimes(t *testing.T) {
	now := time.Now()
	after := func(v *view, n news) *view {
		t.Helper()
		now = now.Add(time.Second)
		w, err := v.after(n, now)
		if err != nil || w == nil {
			t.Fatalf("%v in %v: %v", n.event, v.State, err)
		}
		return w
	}
	v := &view{Status: Status{State: Present, Generation: 1, ReadOnly: true, Moved: "/x"}}
	v.place.Generation = 1
	v = after(v, news{event: evFailed, generation: 1, reason: "pulled"})
	lost := now
	for _, reason := range []string{"", "other volume", ""} {
		v = after(v, news{event: evSeen})
		v = after(v, news{event: evRefused, reason: reason})
	}
	if v.Reason != "other volume" || !v.Since.Equal(lost) || v.Generation != 1 || v.ReadOnly || v.Moved != "" || v.place.Generation != 0 {
		t.Errorf("gone: %+v, %+v", v.Status, v.place)
	}
	v = after(after(v, news{event: evSeen}), news{event: evSame, conn: &conn{}})
	if v.Reason != "" || !v.Since.Equal(now) || v.Generation != 2 || v.err != nil || v.conn == nil || v.place.Generation != 2 {
		t.Errorf("back: %+v", v.Status)
	}
	v = after(v, news{event: evClose, reason: "unmounted"})
	if v.Reason != "unmounted" || v.err == nil || v.conn != nil {
		t.Errorf("closed: %+v", v.Status)
	}
}

func TestPace(t *testing.T) {
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	var p pace
	p.begin(at(0))
	if !p.next.Equal(at(1)) {
		t.Errorf("first look at %v", p.next.Sub(start))
	}
	p.hurry(at(0.5))
	if !p.next.Equal(at(0.5)) || !p.event {
		t.Errorf("look after an event at %v", p.next.Sub(start))
	}
	p.looked(at(0.5))
	p.hurry(at(0.6))
	if !p.next.Equal(at(1.5)) {
		t.Errorf("look after a second event at %v", p.next.Sub(start))
	}
	p.looked(at(1.5))
	p.back = at(1.5)
	p.begin(at(2)) // gone again at once
	p.looked(at(4))
	p.back = at(4)
	p.begin(at(5))
	if d := p.next.Sub(at(5)); d < 2*time.Second {
		t.Errorf("a medium that goes again and again is looked at after %v", d)
	}
	p.back = at(10)
	p.begin(at(30))
	if !p.next.Equal(at(31)) {
		t.Errorf("a new outage is looked at after %v", p.next.Sub(at(30)))
	}
	for range 100 {
		p.looked(p.next)
	}
	if d := p.next.Sub(p.last); d != maxLook {
		t.Errorf("the longest pause is %v", d)
	}
}
