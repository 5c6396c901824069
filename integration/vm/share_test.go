//go:build linux

package vm

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

const (
	exportDir    = "/srv" // what the server of the share has
	shareAddress = "127.0.0.1"
	sharePort    = "2049"
	// shareTimeout is what the host gets for a call where the test waits for that to pass.
	shareTimeout = 5 * time.Second
)

// A share is a Scene whose image lies on a network share, of a server in the guest.
type share struct {
	*Scene
	server int // its process
}

// newShare exports a stick by NFS and mounts that where the stick would be, with the options.
func newShare(v *VM, options string) *share {
	v.t.Helper()
	s := &share{Scene: &Scene{VM: v, stick: NewStick(v.t, "ext4", sceneImage(v.t), 512)}}
	v.Run("mkdir", "-p", hostDir, volumeDir, exportDir)
	s.disk = s.Plug(s.stick)
	v.Run("mount", "-t", "ext4", "/dev/"+s.disk.Partitions[0], exportDir)
	v.Run("ip", "link", "set", "lo", "up")
	v.t.Cleanup(func() { s.signal(syscall.SIGCONT) }) // whoever waits for it is to end
	s.export()
	s.join(options)
	s.serve("iotimeout=" + shareTimeout.String())
	return s
}

// export starts the server, which knows nothing of those before it.
func (s *share) export() {
	s.t.Helper()
	s.server = s.Start(guestapi.Command{Args: []string{"nfsserver", exportDir, shareAddress + ":" + sharePort}})
	for end := time.Now().Add(statePatience); !strings.Contains(text(s.Output(s.server)), "listening"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("the server does not listen: %s", text(s.Output(s.server)))
		}
	}
}

// join mounts the share: again where a soft mount had no answer in time.
func (s *share) join(options string) {
	s.t.Helper()
	mount := guestapi.Command{Args: []string{"mount", "-i", "-t", "nfs", "-o", "vers=3,nolock,proto=tcp,mountproto=tcp,addr=" + shareAddress +
		",port=" + sharePort + ",mountport=" + sharePort + "," + options, shareAddress + ":/", hostDir}}
	for end := time.Now().Add(statePatience); ; {
		exit := s.Exit(mount)
		if exit.Code == 0 && !exit.TimedOut {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the share cannot be mounted: exit code %d, says %s", exit.Code, exit.Stderr)
		}
	}
}

func (s *share) signal(sig syscall.Signal) {
	s.t.Helper()
	s.must(s.call("Signal", guestapi.SignalArgs{PID: s.server, Signal: int(sig)}, &guestapi.None{}))
}

// softMount fails a call that has no answer in the end, where a hard one never gives it up.
const softMount = "soft,timeo=10,retrans=1"

// TestShareWithoutAnswer: the server of a network share answers nobody any more, as when a cable is pulled, and
// does again later. Threads of fatvol wait as long as the mount lets them; nobody else does.
func TestShareWithoutAnswer(t *testing.T) {
	v := shared(t)
	for _, options := range []string{"hard", softMount} {
		t.Run(options, func(t *testing.T) {
			s := newShare(v.in(t), options)
			s.vanish(func() { s.signal(syscall.SIGSTOP) }, func() { s.signal(syscall.SIGCONT) })
		})
	}
}

// TestShareAnew: the server of a network share dies, and another takes its place, which knows nothing of what was open.
// Whoever finds the old mount dead mounts the share anew.
func TestShareAnew(t *testing.T) {
	s := newShare(shared(t), softMount)
	s.vanish(func() { s.signal(syscall.SIGKILL) }, func() {
		s.must(s.call("Detach", hostDir, &guestapi.None{}))
		s.export()
		s.join(softMount)
	})
}

// vanish has the share go and come back while everything runs, and checks what callers saw and what is left.
func (s *share) vanish(leave, comeBack func()) {
	s.t.Helper()
	crew := s.Crew(volumeDir)
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 20 && p.Failures == 0 })

	left := s.readClock().guest.At
	leave()
	crew.Await(func(p guestapi.Progress) bool { return p.Failures >= 10 || crew.pulses[p.ID] })
	gone := s.await("gone", 1, "")
	went := s.since(gone)
	away := s.readClock().guest.At
	comeBack()
	s.await("present", gone.Generation+1, "")
	present := s.readClock().guest.At
	crew.Await(func(p guestapi.Progress) bool { return p.LastOK > present })
	reports := crew.Stop()

	s.checkAway(reports, left, went, away)
	s.checkBack(reports, left, present)
	s.endClean(reports)
	s.Run("umount", hostDir)
}

// checkAway checks what callers saw from when the server was gone, and from when fatvol knew, until an instant.
func (s *share) checkAway(reports []guestapi.WorkReport, from, went, away int64) {
	s.t.Helper()
	// What the kernel answers for fatvol ends a moment later.
	end := max(went, lastSuccess(reports, away).Start)
	s.late("the last success", Pulled{Instant{went, 0}, Instant{went, 0}}, end, limitLoaded, reports)
	s.checkAnswers(reports, from, span{end + 1, away}, shareTimeout+2*time.Second)
}

// checkBack checks that nothing fails once the medium is back, and that nothing acknowledged is lost.
func (s *share) checkBack(reports []guestapi.WorkReport, from, present int64) {
	s.t.Helper()
	if bad := failures(tallyOf(reports, span{present, 1 << 62})); len(bad) > 0 {
		s.t.Errorf("calls failed although the share was back:\n%v", bad)
	}
	for _, r := range reports {
		s.verify(r, "")
	}
	// The client may end a call of ours only a moment after the server is back, until when the image is not taken up: one more
	// line says so, and no more than one.
	lines, want := mediumLines(s.logSince(from)), 2
	if slices.ContainsFunc(lines, func(l guestapi.Line) bool { return strings.Contains(l.Text, "the host has not ended a call") }) {
		want++
	}
	if len(lines) != want {
		s.t.Errorf("fatvol logged %d lines, want %d:\n%s", len(lines), want, text(lines))
	}
}
