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
	v := scene(t)
	for _, fsType := range []string{"ext4", "vfat"} {
		t.Run(fsType, func(t *testing.T) {
			s := newScene(v.in(t), fsType)
			crew := s.Crew(volumeDir)
			crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 40 && p.Failures == 0 })

			mark := s.KernelMark()
			p := s.pull()
			crew.Await(func(p guestapi.Progress) bool { return p.Failures >= 20 || crew.pulses[p.ID] })
			gone := s.await("gone", 1, "")
			s.noBlocked()
			away := s.readClock().guest.At

			s.back(s.stick)
			s.await("present", gone.Generation+1, "")
			present := s.readClock().guest.At
			crew.Await(func(p guestapi.Progress) bool { return p.LastOK > present })
			reports := crew.Stop()

			checkGone(s, reports, mark, p, away)
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
		})
	}
}

// checkGone checks what the callers saw from the pull on until an instant at which the stick was
// still away.
func checkGone(s *Scene, reports []guestapi.WorkReport, mark uint64, p Pulled, away int64) {
	s.t.Helper()
	last := lastSuccess(reports, away)
	lost := stolen(reports, span{p.Before.At, max(last.End, p.After.At)})
	took := last.End - p.Before.At
	limit := int64(limitLoaded) + lost + p.Before.Error + (p.After.At - p.Before.At)
	s.t.Logf("from the pull to the last success: %.1f ms (%v); the guest did not run for %.1f ms of that; the pull itself took %.1f ms; the kernel noticed after %.1f ms",
		ms(took), last.Op, ms(lost), ms(p.After.At-p.Before.At), ms(s.kernelLine(mark, "USB disconnect").At-p.Before.At))
	if took > limit {
		s.t.Errorf("a call succeeded %.1f ms after the pull, want at most %.1f ms: %v", ms(took), ms(limit), last)
	}
	gone := span{p.Before.At + limit, away}
	if other := onlyEIO(tallyOf(reports, gone)); len(other) > 0 {
		s.t.Errorf("while the stick was away, calls ended with anything but EIO:\n%v", other)
	}
	if lies := wrong(reports, span{p.Before.At, away}); len(lies) > 0 {
		s.t.Errorf("callers were told what is not so:\n%s", strings.Join(lies[:min(len(lies), 10)], "\n"))
	}
	if slow := slowest(reports, span{p.Before.At - int64(time.Second), away}); slow.End-slow.Start > int64(ioTimeout+time.Second) {
		s.t.Errorf("a call took %.1f ms: %v", ms(slow.End-slow.Start), slow)
	}
	for _, w := range reports {
		if w.Work.Kind != guestapi.Pulse && len(tallyOf([]guestapi.WorkReport{w}, gone)) == 0 {
			s.t.Errorf("the %s made no call while the stick was away", w.Work.Kind)
		}
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

// mediumLines are the lines of a log that tell of the medium's state.
func mediumLines(lines []guestapi.Line) (about []guestapi.Line) {
	for _, l := range lines {
		if strings.Contains(l.Text, `msg="medium is`) {
			about = append(about, l)
		}
	}
	return about
}
