package watch

import "time"

const (
	// The pauses between two looks at the path while the medium is gone: the shortest, and the longest
	// where no event asks for one.
	minLook = time.Second
	maxLook = 30 * time.Second
	// steady is how long a medium must have been there for its next outage to be a new one. One that
	// goes again at once, a stick that fails each sync for instance, is looked at less and less often.
	steady = 10 * time.Second
)

// A pace says when the verifier looks next.
type pace struct {
	outage time.Time     // when the medium went
	back   time.Time     // when it last came back
	last   time.Time     // the last look
	next   time.Time     // the next one
	wait   time.Duration // the pause after that
	event  bool          // an event asked for the next one
}

// begin takes note of the outage that began at a time.
func (p *pace) begin(outage time.Time) {
	if p.outage.Equal(outage) {
		return
	}
	p.outage = outage
	if p.wait == 0 || outage.Sub(p.back) >= steady {
		p.wait = minLook
	}
	p.next, p.event = p.notBefore(outage.Add(p.wait)), false
}

// hurry takes note of an event: what it brought may need a moment, so the pauses are short again.
func (p *pace) hurry(now time.Time) {
	p.wait = minLook
	if t := p.notBefore(now); t.Before(p.next) {
		p.next = t
	}
	p.event = true
}

// looked takes note of a look.
func (p *pace) looked(now time.Time) {
	p.last, p.event = now, false
	p.next = now.Add(p.wait)
	p.wait = min(2*p.wait, maxLook)
}

func (p *pace) notBefore(t time.Time) time.Time {
	if first := p.last.Add(minLook); !p.last.IsZero() && t.Before(first) {
		return first
	}
	return t
}
