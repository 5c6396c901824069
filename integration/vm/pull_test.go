//go:build linux

package vm

import (
	"strings"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

// Limits of the issue: from the pull to the last success.
const (
	limitLoaded = 100 * time.Millisecond
	limitProbe  = 1500 * time.Millisecond // idle, where only the probe tells
	limitUevent = 100 * time.Millisecond  // idle, where the kernel's events tell
)

// TestPullUnderLoad: the stick is pulled while everything runs, stays away for a while, and comes
// back under another device name.
func TestPullUnderLoad(t *testing.T) {
	v := shared(t)
	for _, fsType := range []string{"ext4", "vfat"} {
		t.Run(fsType, func(t *testing.T) {
			pullUnderLoad(t, newScene(v.in(t), fsType))
		})
	}
}

func pullUnderLoad(t *testing.T, s *Scene) {
	t.Helper()
	crew := s.Crew(volumeDir)
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 20 && p.Failures == 0 })

	mark := s.KernelMark()
	p := s.pull()
	crew.Await(func(p guestapi.Progress) bool { return p.Failures >= 10 || crew.pulses[p.ID] })
	gone := s.await("gone", 1, "")
	went := s.since(gone)
	s.noBlocked()
	crew.awaitFailures(s.readClock().guest.At)
	away := s.readClock().guest.At

	s.back(s.stick)
	s.await("present", gone.Generation+1, "")
	present := s.readClock().guest.At
	crew.Await(func(p guestapi.Progress) bool { return p.LastOK > present })
	reports := crew.Stop()

	checkGone(s, reports, mark, p, went, away)
	after := span{present, 1 << 62}
	if bad := failures(tallyOf(reports, after)); len(bad) > 0 {
		t.Errorf("calls failed although the medium was back:\n%v", bad)
	}
	for _, r := range reports {
		s.verify(r, "")
	}
	if lines := mediumLines(s.logSince(p.Before.At)); len(lines) != 2 {
		t.Errorf("fatvol logged %d lines about the pull and the return, want 2:\n%s", len(lines), text(lines))
	}
	s.endClean(reports)
}

// late fails the test where something took longer than the limit from the pull on, besides what the guest was
// stopped for. Instants are the guest's.
func (v *VM) late(what string, p Pulled, at int64, limit time.Duration, reports []guestapi.WorkReport) {
	v.t.Helper()
	took := at - p.Before.At
	lost := stolen(reports, span{p.Before.At, at})
	unsure := p.Before.Error + (p.After.At - p.Before.At)
	v.t.Logf("from the pull to %s: %.1f ms, of which the guest was stopped for %.1f ms; the pull is known to %.1f ms", what, ms(took), ms(lost), ms(unsure))
	if took > int64(limit)+lost+unsure {
		v.t.Errorf("from the pull to %s: %.1f ms while the guest ran, want at most %v", what, ms(took-lost), limit)
	}
}

// checkGone checks what the callers saw from the pull on until an instant at which the stick was still away. At
// went, fatvol knew: what asked it from then on failed, and what the kernel answered for it is what was to end.
func checkGone(s *Scene, reports []guestapi.WorkReport, mark uint64, p Pulled, went, away int64) {
	s.t.Helper()
	last := lastSuccess(reports, away)
	s.t.Logf("from the pull to the kernel's message: %.1f ms; until fatvol knew: %.1f ms; until the last success began: %.1f ms (%v)",
		ms(s.kernelLine(mark, "USB disconnect").At-p.Before.At), ms(went-p.Before.At), ms(last.Start-p.Before.At), last)
	end := max(went, last.Start)
	s.late("the last success", p, end, limitLoaded, reports)
	gone := span{end + 1, away}
	s.checkAnswers(reports, p.Before.At, gone, ioTimeout+time.Second)
	for _, w := range reports {
		if w.Work.Kind != guestapi.Pulse && len(tallyOf([]guestapi.WorkReport{w}, gone)) == 0 {
			s.t.Errorf("the %s made no call while the stick was away", w.Work.Kind)
		}
	}
}

// checkAnswers checks the answers to calls: the truth from an instant on, nothing but EIO in the span that begins after it,
// each within the limit.
func (v *VM) checkAnswers(reports []guestapi.WorkReport, from int64, gone span, limit time.Duration) {
	v.t.Helper()
	if other := onlyEIO(tallyOf(reports, gone)); len(other) > 0 {
		v.t.Errorf("while the medium was away, calls ended with anything but EIO:\n%v", other)
	}
	if lies := wrong(reports, span{from, gone.to}); len(lies) > 0 {
		v.t.Errorf("callers were told what is not so:\n%s", strings.Join(lies[:min(len(lies), 10)], "\n"))
	}
	if slow := slowest(reports, span{from - int64(time.Second), gone.to}); slow.End-slow.Start > int64(limit) {
		v.t.Errorf("a call took %.1f ms: %v", ms(slow.End-slow.Start), slow)
	}
}

// failures are the outcomes that are no success.
func failures(t tally) tally {
	bad := tally{}
	for o, n := range t {
		if o.Result != guestapi.ResultOK {
			bad[o] = n
		}
	}
	return bad
}

// mediumLines are the lines of a log that somebody would be alarmed by. About a pull and the return there
// should be one each.
func mediumLines(lines []guestapi.Line) (about []guestapi.Line) {
	for _, l := range lines {
		if strings.Contains(l.Text, "level=ERROR") || strings.Contains(l.Text, "level=WARN") {
			about = append(about, l)
		}
	}
	return about
}
