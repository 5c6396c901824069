package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Three processes make an exec. The caller's (runExec) waits, and passes signals on. Its child (execServe)
// has name spaces of its own: of mounts, so that nobody else sees the volume, and of users where the caller
// may not mount otherwise; it mounts and serves the volume. The grandchild (execStart) becomes the command.
//
// The serving process must not exec the command by itself: between fork and exec Go's runtime stands still,
// and a command that lies on the volume could then not be read. It is in a process group of its own, so that
// what is typed at the terminal reaches the command, which is in the caller's, and not the mount.

// execReport is what the serving process writes at its end.
type execReport struct {
	Code  int    `json:"code"`            // exit code
	Error string `json:"error,omitempty"` // what went wrong with the volume
}

// Descriptors that the serving process finds, behind the standard ones.
const (
	execReportFD = 3 // to write its report to
	execLifeFD   = 4 // to read from: it ends when the caller's process does
)

// groupVariable tells the serving process the caller's process group.
const groupVariable = "_FATVOL_EXEC_GROUP"

// forwarded are the signals that are passed on to the command.
var forwarded = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// runExec is exec in the caller's process.
func runExec(image string, options, command []string) error {
	if _, err := parseMountOptions(currentCaller(), options, false); err != nil {
		return failf(exitExec, "exec %s: %w", image, err)
	}
	path, err := absoluteImage(image)
	if err != nil {
		return failf(exitExec, "exec %s: %w", image, imageError(image, err))
	}
	if err := fuseUsable(); err != nil {
		return failf(exitExec, "exec %s: %w", image, err)
	}
	dir, err := os.MkdirTemp("", "fatvol-exec-")
	if err != nil {
		return failf(exitExec, "exec %s: no place to mount on: %w", image, err)
	}
	defer os.Remove(dir) // nothing of the volume is in it, as this process sees it

	report, reportW, err := os.Pipe()
	if err != nil {
		return failf(exitExec, "exec: pipe: %w", err)
	}
	defer report.Close()
	lifeR, life, err := os.Pipe()
	if err != nil {
		return failf(exitExec, "exec: pipe: %w", err)
	}
	defer life.Close()
	self, err := os.Executable()
	if err != nil {
		return failf(exitExec, "exec: %w", err)
	}
	args := []string{execServeCommand}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	cmd := exec.Command(self, append(append(args, "--", path, dir), command...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{reportW, lifeR}
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", groupVariable, unix.Getpgrp()))
	cmd.SysProcAttr = ownNamespaces()

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, heeded(forwarded...)...)
	defer signal.Stop(signals)
	err = cmd.Start()
	reportW.Close()
	lifeR.Close()
	if err != nil {
		return failf(exitExec, "exec %s: %w", image, namespaceError(err))
	}
	go passOn(signals, cmd.Process)
	text, _ := io.ReadAll(report) // an error looks like the death that it stands for
	died := cmd.Wait()
	var r execReport
	if json.Unmarshal(text, &r) != nil {
		return failf(exitExec, "exec %s: the process that served the volume died (%v): 'fatvol check %s' tells whether it is whole", image, died, image)
	}
	switch {
	case r.Error != "":
		return failf(exitExec, "exec %s: %s", image, r.Error)
	case r.Code != exitOK:
		return &exitError{r.Code, errReported}
	}
	return nil
}

// passOn passes signals on to the serving process, but for those that the terminal has sent to the command
// as well.
func passOn(signals <-chan os.Signal, to *os.Process) {
	for sig := range signals {
		fromTerminal := sig == syscall.SIGINT || sig == syscall.SIGQUIT || sig == syscall.SIGHUP
		if fromTerminal && inForeground() {
			continue
		}
		_ = to.Signal(sig) // it may have ended
	}
}

// inForeground reports whether this process belongs to the job that its terminal sends signals to.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetUint32(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && int(group) == unix.Getpgrp()
}

// execServe is exec in the serving process.
func execServe(image, dir string, options, command []string) error {
	out := os.NewFile(execReportFD, "report")
	life := os.NewFile(execLifeFD, "life")
	syscall.CloseOnExec(execReportFD)
	syscall.CloseOnExec(execLifeFD)
	group := 0
	if _, err := fmt.Sscan(os.Getenv(groupVariable), &group); err != nil {
		return failf(exitBug, "%s: is called by 'fatvol exec' only", execServeCommand)
	}
	os.Unsetenv(groupVariable)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, heeded(forwarded...)...)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // to be neither killed by it nor to hand on that it is ignored

	x := execution{life: life, signals: signals, group: group}
	code, err := x.run(image, dir, options, command)
	os.Remove(dir) // the caller does so too, if it lives
	r := execReport{Code: code}
	if err != nil {
		r.Error = err.Error()
	}
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return failf(exitExec, "exec %s: %w", image, err) // the caller is gone
	}
	return nil
}

// An execution is the command and the volume that is mounted for it.
type execution struct {
	life    *os.File
	signals chan os.Signal
	group   int // the caller's process group
}

// run mounts, runs the command and unmounts. The error is about the volume.
func (x *execution) run(image, dir string, options, command []string) (code int, err error) {
	cwd, _ := os.Getwd() // where there is none, the command begins at the root
	if err := os.Chdir("/"); err != nil {
		return 0, err
	}
	// Of mounts from outside we want to know, for a medium that comes back; nobody is to know of ours.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return 0, mountForbidden(err)
	}
	cfg, err := parseMountOptions(currentCaller(), options, false)
	if err != nil {
		return 0, err
	}
	s := &served{req: &mountRequest{image: image, dir: dir, foreground: true}, cfg: cfg}
	closeLog := s.openLog(false)
	defer closeLog()
	if err := s.open(); err != nil {
		return 0, withoutPath("mount "+image, mountError(image, err))
	}
	if err := s.mount(); err != nil {
		return 0, withoutPath("mount "+image, mountForbidden(mountError(image, err)))
	}
	code, err = x.command(dir, cwd, command)
	return code, errors.Join(err, s.unmountAfter(), s.complete())
}

// command runs the command until its end.
func (x *execution) command(dir, cwd string, command []string) (int, error) {
	cmd := exec.Command("/proc/self/exe", append([]string{execStartCommand}, placed(command, dir)...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Dir = cwd
	cmd.Env = append(os.Environ(), mountVariable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: x.group}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("the command cannot be started: %w", err)
	}
	ended := make(chan struct{})
	go x.forward(cmd.Process, ended)
	err := cmd.Wait()
	close(ended)
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal()), nil
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// forward hands signals to the command, and ends it when the caller's process dies.
func (x *execution) forward(to *os.Process, ended <-chan struct{}) {
	orphaned := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, x.life)
		close(orphaned)
	}()
	for {
		select {
		case sig := <-x.signals:
			_ = to.Signal(sig) // it may have ended
		case <-orphaned:
			_ = to.Signal(syscall.SIGTERM)
			orphaned = nil
		case <-ended:
			return
		}
	}
}

// busyTime is how long what the command has left behind may hold on to the mount.
const busyTime = time.Second

// unmountAfter unmounts once the command has ended. From processes that it has left behind the volume is
// taken away.
func (s *served) unmountAfter() error {
	deadline := time.Now().Add(busyTime)
	for {
		err := s.server.Unmount()
		switch {
		case err == nil:
			s.server.Wait()
			return nil
		case !errors.Is(err, unix.EBUSY):
			return fmt.Errorf("unmount: %w", err)
		case time.Now().Before(deadline):
			time.Sleep(20 * time.Millisecond)
			continue
		}
		reason := "unknown"
		if m, err := mountAt(s.req.dir); err == nil && m != nil {
			reason = busyReason(m)
		}
		return errors.Join(fmt.Errorf("the command left behind what uses the volume, which is taken from it: %s", reason), s.server.Detach())
	}
}

// complete brings everything to the medium, and says what is not there.
func (s *served) complete() error {
	st := s.mediumStatus()
	if err := s.finish(); err != nil {
		return fmt.Errorf("unmounted, but the image is not complete: %w", err)
	}
	if st.Reason != "" {
		return fmt.Errorf("the medium is gone (%s); what was written before is on it", st.Reason)
	}
	return nil
}
