//go:build linux

package vm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"fatvol/integration/vm/guestapi"
)

// span is a part of a scene, in nanoseconds of the guest's clock.
type span struct{ from, to int64 }

// inStep tells whether the call is one of those that the state of the medium decides about. Closing
// works in every state.
func inStep(r guestapi.Record) bool { return r.Op != guestapi.OpClose && r.Op != guestapi.OpPulse }

// tally are the calls that began in a span, by what they were and what came of them.
type tally map[guestapi.Outcome]int

func tallyOf(reports []guestapi.WorkReport, s span) tally {
	t := tally{}
	for _, w := range reports {
		for _, r := range w.Records {
			if inStep(r) && r.Start >= s.from && r.Start < s.to {
				t[guestapi.Outcome{Op: r.Op, Result: r.Result, Errno: int(r.Errno)}]++
			}
		}
	}
	return t
}

func (t tally) String() string {
	outcomes := make([]guestapi.Outcome, 0, len(t))
	for o := range t {
		outcomes = append(outcomes, o)
	}
	slices.SortFunc(outcomes, func(a, b guestapi.Outcome) int {
		return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.Result, b.Result), cmp.Compare(a.Errno, b.Errno))
	})
	var b strings.Builder
	for _, o := range outcomes {
		what := o.Result.String()
		if o.Errno != 0 {
			what = syscall.Errno(o.Errno).Error()
		}
		fmt.Fprintf(&b, "  %7d %v: %s\n", t[o], o.Op, what)
	}
	return b.String()
}

// lastSuccess is the success that began last of those that began before an instant. When a call ends that had to
// ask fatvol, is when its caller gets a processor again, which says nothing of when it was answered; the
// others are over at once.
func lastSuccess(reports []guestapi.WorkReport, before int64) (last guestapi.Record) {
	for _, w := range reports {
		for _, r := range w.Records {
			if inStep(r) && !r.Failed() && r.Start < before && r.Start > last.Start {
				last = r
			}
		}
	}
	return last
}

// stolen is how much of a span the guest's processors did not run in, as the pulses felt it. What goes
// from one processor to the other on its way can lose as much as both. It is counted off from
// measurements, which would otherwise be of the machine that emulates the guest.
func stolen(reports []guestapi.WorkReport, s span) (lost int64) {
	// What a sleep takes on a machine that has nothing else to do, timers and emulation included.
	const fair = guestapi.PulsePause + int64(time.Millisecond)
	for _, w := range reports {
		for _, r := range w.Records {
			if r.Op == guestapi.OpPulse && r.End >= s.from && r.Start < s.to {
				lost += max(0, min(r.End, s.to)-max(r.Start, s.from)-fair)
			}
		}
	}
	return lost
}

// wrong are the records of a span which say that a caller was told something that is not so: data
// that never was there, a listing or a read that is short, a name that is missing.
func wrong(reports []guestapi.WorkReport, s span) (lines []string) {
	for _, w := range reports {
		for _, r := range w.Records {
			lie := r.Result == guestapi.ResultShort || r.Result == guestapi.ResultWrong ||
				r.Result == guestapi.ResultErrno && r.Errno == syscall.ENOENT
			if lie && r.Start >= s.from && r.Start < s.to {
				lines = append(lines, fmt.Sprintf("%s: %v, %.1f ms into the span", w.Work.Kind, r, ms(r.Start-s.from)))
			}
		}
	}
	return lines
}

// onlyEIO returns what came of the calls in a span, if that is anything but EIO, or SIGBUS for a
// mapping.
func onlyEIO(t tally) tally {
	other := tally{}
	for o, n := range t {
		isEIO := o.Result == guestapi.ResultErrno && o.Errno == int(syscall.EIO)
		isFault := o.Op == guestapi.OpMmapRead && o.Result == guestapi.ResultSIGBUS
		if !isEIO && !isFault {
			other[o] = n
		}
	}
	return other
}

// slowest is the call that took longest of those that began in a span.
func slowest(reports []guestapi.WorkReport, s span) (worst guestapi.Record) {
	for _, w := range reports {
		for _, r := range w.Records {
			if inStep(r) && r.Start >= s.from && r.Start < s.to && r.End-r.Start > worst.End-worst.Start {
				worst = r
			}
		}
	}
	return worst
}
