//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startTime is how long a server may take to be ready, and to end.
const startTime = time.Minute

// A server is a process that serves a mount.
type server struct {
	cmd   *exec.Cmd // nil: the kernel does
	dir   string
	log   *bytes.Buffer
	ended chan struct{}
	began time.Time
	ready time.Duration // from the start to there
}

func run(cmd *exec.Cmd, dir string) (*server, error) {
	s := &server{cmd: cmd, dir: dir, log: &bytes.Buffer{}, ended: make(chan struct{}), began: time.Now()}
	cmd.Stderr = s.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(s.ended)
	}()
	return s, nil
}

// startNotifying starts a server that tells systemd when it is ready.
func startNotifying(b *bench, cmd *exec.Cmd, dir string) (*server, error) {
	tmp, err := os.MkdirTemp(b.work, "n")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	addr := &net.UnixAddr{Name: filepath.Join(tmp, "s"), Net: "unixgram"}
	socket, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+addr.Name)
	s, err := run(cmd, dir)
	if err != nil {
		return nil, err
	}
	return s.whenReady(func() error {
		_ = socket.SetReadDeadline(time.Now().Add(startTime))
		go func() {
			<-s.ended
			_ = socket.SetReadDeadline(time.Unix(1, 0))
		}()
		for buf := make([]byte, 4096); ; {
			n, err := socket.Read(buf)
			if err != nil || strings.Contains("\n"+string(buf[:n])+"\n", "\nREADY=1\n") {
				return err
			}
		}
	})
}

// startSaying starts a server that prints a line when it is ready.
func startSaying(cmd *exec.Cmd, line, dir string) (*server, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout = in
	s, err := run(cmd, dir)
	in.Close()
	if err != nil {
		return nil, err
	}
	return s.whenReady(func() error {
		_ = out.SetReadDeadline(time.Now().Add(startTime))
		got := make([]byte, len(line))
		if _, err := io.ReadFull(out, got); err != nil || string(got) != line {
			return fmt.Errorf("%q instead of %q: %w", got, line, errors.Join(err))
		}
		return nil
	})
}

// startMounting starts a server that says nothing: the mount table tells.
func startMounting(cmd *exec.Cmd, dir string) (*server, error) {
	s, err := run(cmd, dir)
	if err != nil {
		return nil, err
	}
	return s.whenReady(func() error {
		for deadline := time.Now().Add(startTime); !isMounted(dir); time.Sleep(200 * time.Microsecond) {
			select {
			case <-s.ended:
				return errors.New("it ended")
			default:
			}
			if time.Now().After(deadline) {
				return errors.New("it is not mounted")
			}
		}
		return nil
	})
}

func (s *server) whenReady(wait func() error) (*server, error) {
	if err := wait(); err != nil {
		_ = s.cmd.Process.Kill()
		<-s.ended
		_ = unix.Unmount(s.dir, unix.MNT_DETACH)
		return nil, fmt.Errorf("%s is not ready: %w: %s", s.cmd.Path, err, s.log)
	}
	s.ready = time.Since(s.began)
	return s, nil
}

// stop unmounts, and returns once the server has written everything and ended.
func (s *server) stop() error {
	var err error
	for try := 0; try < 100; try++ {
		if err = unmount(s.dir); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(20 * time.Millisecond) // a RELEASE on its way
	}
	if err != nil {
		_ = unix.Unmount(s.dir, unix.MNT_DETACH)
	}
	if s.cmd == nil {
		return err
	}
	select {
	case <-s.ended:
	case <-time.After(startTime):
		_ = s.cmd.Process.Kill()
		<-s.ended
		return errors.Join(err, fmt.Errorf("%s did not end after the unmount", s.cmd.Path))
	}
	return err
}

func unmount(dir string) error {
	err := unix.Unmount(dir, 0)
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	if out, err := exec.Command("fusermount3", "-u", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("fusermount3: %w: %s: %w", err, out, unix.EBUSY)
	}
	return nil
}

func isMounted(dir string) bool {
	info, _ := os.ReadFile("/proc/self/mountinfo")
	return bytes.Contains(info, []byte(" "+dir+" "))
}

// cost is what a process has taken so far.
type cost struct {
	cpu  time.Duration
	peak int64 // bytes of memory
}

// cost returns that of the server; nothing where there is none.
func (s *server) cost() (c cost, err error) {
	if s == nil || s.cmd == nil {
		return c, nil
	}
	pid := s.cmd.Process.Pid
	// The clock of a process's CPU time, clock_getcpuclockid(3): /proc counts in hundredths of a second.
	const schedClock = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return c, err
	}
	c.cpu = time.Duration(t.Nano())
	c.peak, err = statusBytes(fmt.Sprintf("/proc/%d/status", pid), "VmHWM")
	return c, err
}

// statusBytes reads a size from a status file of /proc.
func statusBytes(file, field string) (int64, error) {
	status, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s: no %s", file, field)
}

// childCost is that of a program that has ended.
func childCost(st *os.ProcessState) cost {
	c := cost{cpu: st.UserTime() + st.SystemTime()}
	if u, ok := st.SysUsage().(*syscall.Rusage); ok {
		c.peak = int64(u.Maxrss) << 10
	}
	return c
}
