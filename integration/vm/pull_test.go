//go:build linux

package vm

import (
	"fmt"
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
			inTime(t, func(t *testing.T) latency { return pullUnderLoad(t, newScene(v.in(t), fsType)) })
		})
	}
}

// latency is how long something took from the pull on, and how long it might have, in nanoseconds of the
// guest's clock.
type latency struct{ took, limit int64 }

// inTime runs a scene until it was as quick as it should be, which every one but those is in which the
// machine that emulates the guest stops at the wrong moment. What is wrong otherwise is wrong at once.
func inTime(t *testing.T, scene func(t *testing.T) latency) {
	t.Helper()
	const pulls = 4
	for i := range pulls {
		var l latency
		if !t.Run(fmt.Sprintf("pull %d", i+1), func(t *testing.T) { l = scene(t) }) || l.took <= l.limit {
			return
		}
		t.Logf("pull %d: %.1f ms, want at most %.1f ms", i+1, ms(l.took), ms(l.limit))
	}
	t.Errorf("none of %d pulls was noticed in time", pulls)
}

// pullUnderLoad returns how long it took from the pull to the last success.
func pullUnderLoad(t *testing.T, s *Scene) latency {
	t.Helper()
	crew := s.Crew(volumeDir)
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 20 && p.Failures == 0 })

	mark := s.KernelMark()
	p := s.pull()
	crew.Await(func(p guestapi.Progress) bool { return p.Failures >= 10 || crew.pulses[p.ID] })
	gone := s.await("gone", 1, "")
	s.noBlocked()
	away := s.readClock().guest.At

	s.back(s.stick)
	s.await("present", gone.Generation+1, "")
	present := s.readClock().guest.At
	crew.Await(func(p guestapi.Progress) bool { return p.LastOK > present })
	reports := crew.Stop()

	noticed := checkGone(s, reports, mark, p, away)
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
	return noticed
}

// checkGone checks what the callers saw from the pull on until an instant at which the stick was
// still away.
func checkGone(s *Scene, reports []guestapi.WorkReport, mark uint64, p Pulled, away int64) latency {
	s.t.Helper()
	last := lastSuccess(reports, away)
	lost := stolen(reports, span{p.Before.At, max(last.End, p.After.At)})
	took := last.End - p.Before.At
	limit := int64(limitLoaded) + lost + p.Before.Error + (p.After.At - p.Before.At)
	s.t.Logf("from the pull to the last success: %.1f ms (%v); the guest did not run for %.1f ms of that; the pull itself took %.1f ms; the kernel noticed after %.1f ms",
		ms(took), last.Op, ms(lost), ms(p.After.At-p.Before.At), ms(s.kernelLine(mark, "USB disconnect").At-p.Before.At))
	gone := span{max(p.Before.At+limit, last.End), away}
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
	return latency{took, limit}
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
