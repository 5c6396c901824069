//go:build linux

package vm

import (
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

// join mounts the share.
func (s *share) join(options string) {
	s.t.Helper()
	s.Run("mount", "-i", "-t", "nfs", "-o", "vers=3,nolock,proto=tcp,mountproto=tcp,addr="+shareAddress+",port="+sharePort+
		",mountport="+sharePort+","+options, shareAddress+":/", hostDir)
}

func (s *share) signal(sig syscall.Signal) {
	s.t.Helper()
	s.must(s.call("Signal", guestapi.SignalArgs{PID: s.server, Signal: int(sig)}, &guestapi.None{}))
}

// TestShareWithoutAnswer: the server of a network share answers nobody any more, as when a cable is pulled, and
// does again later. A hard mount never gives a call up; a soft one fails it in the end. Threads of fatvol wait as long
// as that takes; nobody else does.
func TestShareWithoutAnswer(t *testing.T) {
	v := shared(t)
	for name, options := range map[string]string{"hard": "hard", "soft": "soft,timeo=10,retrans=1"} {
		t.Run(name, func(t *testing.T) {
			s := newShare(v.in(t), options)
			crew := s.Crew(volumeDir)
			crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 20 && p.Failures == 0 })

			stopped := s.readClock().guest.At
			s.signal(syscall.SIGSTOP)
			crew.Await(func(p guestapi.Progress) bool { return p.Failures >= 10 || crew.pulses[p.ID] })
			gone := s.await("gone", 1, "")
			went := s.since(gone)
			away := s.readClock().guest.At
			s.signal(syscall.SIGCONT)
			s.await("present", gone.Generation+1, "")
			present := s.readClock().guest.At
			crew.Await(func(p guestapi.Progress) bool { return p.LastOK > present })
			reports := crew.Stop()

			s.checkAway(reports, stopped, went, away)
			s.checkBack(reports, stopped, present)
			s.endClean(reports)
			s.Run("umount", hostDir)
		})
	}
}

// checkAway checks what callers saw from when the server was gone, and from when fatvol knew, until an instant.
func (s *share) checkAway(reports []guestapi.WorkReport, from, went, away int64) {
	s.t.Helper()
	if lies := wrong(reports, span{from, away}); len(lies) > 0 {
		s.t.Errorf("callers were told what is not so:\n%s", strings.Join(lies[:min(len(lies), 10)], "\n"))
	}
	// What the kernel answers for fatvol ends a moment later.
	end := max(went, lastSuccess(reports, away).Start)
	s.late("the last success", Pulled{Instant{went, 0}, Instant{went, 0}}, end, limitLoaded, reports)
	if other := onlyEIO(tallyOf(reports, span{end + 1, away})); len(other) > 0 {
		s.t.Errorf("while the server did not answer, calls ended with anything but EIO:\n%v", other)
	}
	if slow := slowest(reports, span{from, away}); slow.End-slow.Start > int64(shareTimeout+2*time.Second) {
		s.t.Errorf("a call took %.1f ms: %v", ms(slow.End-slow.Start), slow)
	}
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
	if lines := mediumLines(s.logSince(from)); len(lines) != 2 {
		s.t.Errorf("fatvol logged %d lines, want 2:\n%s", len(lines), text(lines))
	}
}

// TestShareAnew: the server of a network share dies, and another takes its place, which knows nothing of what was open.
// The share is mounted anew, as after a reboot of the server by who finds the old mount dead.
func TestShareAnew(t *testing.T) {
	const options = "soft,timeo=10,retrans=1"
	s := newShare(shared(t), options)
	crew := s.Crew(volumeDir)
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 20 && p.Failures == 0 })

	died := s.readClock().guest.At
	s.signal(syscall.SIGKILL)
	crew.Await(func(p guestapi.Progress) bool { return p.Failures >= 10 || crew.pulses[p.ID] })
	gone := s.await("gone", 1, "")
	went := s.since(gone)
	away := s.readClock().guest.At
	s.must(s.call("Detach", hostDir, &guestapi.None{}))
	s.export()
	s.join(options)
	s.await("present", gone.Generation+1, "")
	present := s.readClock().guest.At
	crew.Await(func(p guestapi.Progress) bool { return p.LastOK > present })
	reports := crew.Stop()

	s.checkAway(reports, died, went, away)
	s.checkBack(reports, died, present)
	s.endClean(reports)
	s.Run("umount", hostDir)
}
