//go:build linux

package vm

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

const (
	hostDir   = "/media/stick"            // where the stick's file system is mounted
	imagePath = hostDir + "/" + imageName // the image on it
	volumeDir = "/mnt/volume"             // where fatvol mounts the volume
)

const (
	// statePatience bounds the wait for a state of the medium. A verifier that nothing wakes looks
	// again after half a minute at the latest.
	statePatience = 4 * time.Minute
	// ioTimeout is what the scenes give the host for a call: as long as users do, since a machine that
	// is emulated beside other things may well stop for some seconds.
	ioTimeout = 30 * time.Second
)

// Scene is a stick with an image on it, and fatvol serving the volume in that.
type Scene struct {
	*VM
	stick *Stick
	disk  guestapi.Disk
	pid   int // of fatvol
}

// newScene makes a stick of the given file system with an image on it, plugs it in, mounts it, and has
// fatvol mount the image with the options.
func newScene(v *VM, fsType string, options ...string) *Scene {
	v.t.Helper()
	return newSceneOn(v, NewStick(v.t, fsType, sceneImage(v.t), 512), options...)
}

// sceneImage is the image of most scenes.
func sceneImage(t testing.TB, mkfs ...string) string {
	t.Helper()
	return newImage(t, 40<<20, append([]string{"-F", "32", "-s", "1", "-n", "FATVOLTEST"}, mkfs...)...)
}

func newSceneOn(v *VM, stick *Stick, options ...string) *Scene {
	v.t.Helper()
	s := &Scene{VM: v, stick: stick}
	v.Run("mkdir", "-p", hostDir, volumeDir)
	s.plug(s.stick)
	s.serve(options...)
	return s
}

// plug plugs a stick in and mounts its file system where it always is, as a desktop does.
func (s *Scene) plug(stick *Stick, options ...string) {
	s.t.Helper()
	s.disk = s.Plug(stick)
	if len(s.disk.Partitions) != 1 {
		s.t.Fatalf("disk %+v, want one partition", s.disk)
	}
	s.mountHost(stick, options...)
}

func (s *Scene) mountHost(stick *Stick, options ...string) {
	s.t.Helper()
	s.Run("mount", "-t", stick.FS, "-o", strings.Join(append(options, "noatime"), ","), "/dev/"+s.disk.Partitions[0], hostDir)
}

// serve starts fatvol on the image, with its log on standard error.
func (s *Scene) serve(options ...string) {
	s.t.Helper()
	options = append([]string{"iotimeout=" + ioTimeout.String()}, options...)
	s.pid = s.VM.Start(guestapi.Command{Args: []string{"fatvol", "mount", "-f", "-o", strings.Join(options, ","), imagePath, volumeDir}})
	err := s.callWithin(statePatience+callSlack, "WaitMounted", guestapi.MountedArgs{Dir: volumeDir, Timeout: statePatience}, &guestapi.None{})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, text(s.Output(s.pid)))
	}
}

// pull pulls the stick.
func (s *Scene) pull() Pulled {
	s.t.Helper()
	return s.Pull(s.stick)
}

// back plugs a stick in where the pulled one was. The dead file system is unmounted first, which
// works only if nobody holds it any more.
func (s *Scene) back(stick *Stick) {
	s.t.Helper()
	s.unmountHost()
	s.stick = stick
	s.plug(stick)
}

func (s *Scene) unmountHost() {
	s.t.Helper()
	// fatvol may be looking at the stick right now; that look fails as soon as the stick does.
	const look = ioTimeout
	var exit guestapi.Exit
	s.must(s.call("Until", guestapi.UntilArgs{Command: guestapi.Command{Args: []string{"umount", hostDir}}, Every: 50 * time.Millisecond, Timeout: look}, &exit))
	if exit.TimedOut {
		s.t.Errorf("the dead host cannot be unmounted: somebody holds it: %s\n%s", exit.Stderr, s.holders())
		s.must(s.call("Detach", hostDir, &guestapi.None{}))
	}
}

// holders are the descriptors of fatvol.
func (s *Scene) holders() string {
	exit := s.Exit(guestapi.Command{Args: []string{"ls", "-l", fmt.Sprintf("/proc/%d/fd", s.pid)}})
	return string(exit.Stdout)
}

// Status is the part of `fatvol status --json` that the scenes look at.
type Status struct {
	State      string            `json:"state"`
	Reason     string            `json:"reason"`
	Since      time.Time         `json:"since"`
	Generation uint64            `json:"generation"`
	Unsynced   int64             `json:"unsynced_bytes"`
	Files      int               `json:"unsynced_files"`
	Names      bool              `json:"unsynced_names"`
	Calls      int64             `json:"host_calls"`
	Abandoned  int64             `json:"abandoned_calls"`
	Detectors  map[string]string `json:"detectors"`
}

func (s *Scene) status() (st Status) {
	s.t.Helper()
	s.must(json.Unmarshal([]byte(s.Run("fatvol", "status", "--json", volumeDir)), &st))
	return st
}

// await waits for a state, of a generation at least, and for a reason that the pattern matches.
func (s *Scene) await(state string, generation uint64, reason string) Status {
	s.t.Helper()
	var st Status
	for end := time.Now().Add(statePatience); ; time.Sleep(20 * time.Millisecond) {
		st = s.status()
		if st.State == state && st.Generation >= generation && regexp.MustCompile(reason).MatchString(st.Reason) {
			return st
		}
		if time.Now().After(end) {
			s.t.Fatalf("the medium is %+v, want %s of generation %d for %q\n%s", st, state, generation, reason, s.log())
		}
	}
}

// since is the guest's instant from which on the medium has been in the state.
func (s *Scene) since(st Status) int64 {
	s.t.Helper()
	var ahead int64
	s.must(s.call("WallClock", guestapi.None{}, &ahead))
	return st.Since.UnixNano() - ahead
}

// log is what fatvol has logged.
func (s *Scene) log() string { return text(s.Output(s.pid)) }

func text(lines []guestapi.Line) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%.3f s: %s\n", float64(l.At)/1e9, l.Text)
	}
	return b.String()
}

// logSince is what fatvol has logged after an instant.
func (s *Scene) logSince(at int64) (lines []guestapi.Line) {
	for _, l := range s.Output(s.pid) {
		if l.At >= at {
			lines = append(lines, l)
		}
	}
	return lines
}

// end unmounts the volume and returns how fatvol ended. It must not take longer than the issue allows.
func (s *Scene) end() (umount, server guestapi.Exit) {
	s.t.Helper()
	umount = s.Exit(guestapi.Command{Args: []string{"fatvol", "umount", volumeDir}, Timeout: 2 * ioTimeout})
	if took := time.Duration(umount.End - umount.Start); took > ioTimeout+2*time.Second {
		s.t.Errorf("unmounting took %v, want at most %v", took, ioTimeout+2*time.Second)
	}
	state := s.Wait(s.pid, 2*ioTimeout)
	if !state.Ended {
		s.t.Fatalf("fatvol does not end after the unmount\n%s", text(state.Output))
	}
	return umount, state.Exit
}

// endClean is end where everything is as it should be: the volume is whole, and the kernel's vfat
// finds in it what the ledgers say.
func (s *Scene) endClean(reports []guestapi.WorkReport) {
	s.t.Helper()
	umount, server := s.end()
	if umount.Code != 0 || server.Code != 0 {
		s.t.Errorf("umount: exit code %d, fatvol: %d\n%s\n%s", umount.Code, server.Code, umount.Stderr, s.log())
	}
	s.fsck(imagePath)
	s.verifyOn(kernel, reports)
}

// verifyOn mounts the image with a driver and verifies all files there.
func (s *Scene) verifyOn(d driver, reports []guestapi.WorkReport) {
	s.t.Helper()
	const dir = "/mnt/check"
	s.mount(d, imagePath, dir, "ro")
	for _, r := range reports {
		s.verify(r, strings.Replace(r.Work.Dir, volumeDir, dir, 1))
	}
	s.unmount(d, dir)
}

// verify checks the files of a worker against its ledger.
func (s *Scene) verify(r guestapi.WorkReport, dir string) {
	s.t.Helper()
	findings := s.Verify(guestapi.VerifyArgs{Work: r.Work, Ledger: r.Ledger, Dir: dir})
	if len(findings) > 0 {
		s.t.Errorf("files of the %s (fsync after every %d):\n%s", r.Work.Kind, r.Work.FsyncEvery, strings.Join(findings, "\n"))
	}
}

// noBlocked fails the test where a thread of the guest hangs in the kernel.
func (s *Scene) noBlocked() {
	s.t.Helper()
	// A thread that waits for a disk for a moment is no hung one.
	var tasks []guestapi.Task
	for range 20 {
		tasks = nil
		s.must(s.call("Blocked", guestapi.None{}, &tasks))
		if len(tasks) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, task := range tasks {
		s.t.Errorf("thread %d of %d (%s) hangs in the kernel:\n%s", task.TID, task.PID, task.Name, task.Stack)
	}
}
