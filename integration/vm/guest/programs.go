//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"fatvol/integration/vm/guestapi"
)

const (
	defaultTimeout = time.Minute
	// stuckAfter is how long a killed process may take to end before it is taken for stuck.
	stuckAfter = 2 * time.Second
)

// programs are those that run in the background, by process.
type programs struct {
	sync.Mutex
	byPID map[int]*program
}

type program struct {
	done chan struct{} // closed when it has ended, and exit is valid
	exit guestapi.Exit
	mu   struct {
		sync.Mutex
		output []guestapi.Line
		part   []byte
	}
}

// Write keeps what the program prints, line by line.
func (p *program) Write(b []byte) (int, error) {
	now := monotonic()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.part = append(p.mu.part, b...)
	for {
		line, rest, ok := bytes.Cut(p.mu.part, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		p.mu.output = append(p.mu.output, guestapi.Line{At: now, Text: string(line)})
		p.mu.part = rest
	}
}

func command(c guestapi.Command) *exec.Cmd {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin = bytes.NewReader(c.Stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// Run runs a program to its end. That the program fails is no error of the call.
func (a *agent) Run(c guestapi.Command, exit *guestapi.Exit) error {
	if len(c.Args) == 0 {
		return errors.New("no program")
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	var stdout, stderr lockedBuffer
	cmd := command(c)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A process in the background that inherits the pipes must not hold up the call.
	cmd.WaitDelay = time.Second
	exit.Start = monotonic()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(c.Timeout):
		exit.TimedOut = true
		stack := kernelStacks(cmd.Process.Pid)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		select {
		case <-ended:
		case <-time.After(stuckAfter):
			exit.Stuck = true
			fmt.Fprintf(&stderr, "\n%s", stack)
		}
	}
	exit.End = monotonic()
	exit.Code = -1
	if !exit.Stuck {
		exit.Code = cmd.ProcessState.ExitCode()
	}
	exit.Stdout, exit.Stderr = stdout.bytes(), stderr.bytes()
	return nil
}

// Start runs a program in the background and returns its process.
func (a *agent) Start(c guestapi.Command, pid *int) error {
	if len(c.Args) == 0 {
		return errors.New("no program")
	}
	p := &program{done: make(chan struct{})}
	cmd := command(c)
	cmd.Stdout, cmd.Stderr = p, p
	cmd.WaitDelay = time.Second
	p.exit.Start = monotonic()
	if err := cmd.Start(); err != nil {
		return err
	}
	*pid = cmd.Process.Pid
	a.programs.Lock()
	defer a.programs.Unlock()
	if a.programs.byPID == nil {
		a.programs.byPID = map[int]*program{}
	}
	a.programs.byPID[*pid] = p
	go func() {
		_ = cmd.Wait() // the exit code says it
		p.exit.End, p.exit.Code = monotonic(), cmd.ProcessState.ExitCode()
		close(p.done)
	}()
	return nil
}

// Wait waits for the end of a program in the background, or for the timeout.
func (a *agent) Wait(args guestapi.WaitArgs, state *guestapi.ProcessState) error {
	a.programs.Lock()
	p := a.programs.byPID[args.PID]
	a.programs.Unlock()
	if p == nil {
		return fmt.Errorf("process %d was not started in the background", args.PID)
	}
	state.PID = args.PID
	select {
	case <-p.done:
		state.Ended, state.Exit = true, p.exit
	case <-time.After(args.Timeout):
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	state.Output = append([]guestapi.Line(nil), p.mu.output...)
	if len(p.mu.part) > 0 {
		state.Output = append(state.Output, guestapi.Line{At: monotonic(), Text: string(p.mu.part)})
	}
	return nil
}

// Signal sends a signal to a process.
func (a *agent) Signal(args guestapi.SignalArgs, _ *guestapi.None) error {
	return syscall.Kill(args.PID, syscall.Signal(args.Signal))
}

// Until runs a command again and again until it answers what is waited for. The exit is that of
// the last try; TimedOut is set when it was not the right one.
func (a *agent) Until(args guestapi.UntilArgs, exit *guestapi.Exit) error {
	pattern, err := regexp.Compile(args.Pattern)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), args.Timeout)
	defer cancel()
	for {
		*exit = guestapi.Exit{}
		if err := a.Run(args.Command, exit); err != nil {
			return err
		}
		if exit.Code == 0 && pattern.Match(exit.Stdout) {
			return nil
		}
		select {
		case <-ctx.Done():
			exit.TimedOut = true
			return nil
		case <-time.After(args.Every):
		}
	}
}

// Blocked returns the threads in uninterruptible sleep.
func (a *agent) Blocked(_ guestapi.None, tasks *[]guestapi.Task) error {
	stats, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
	for _, path := range stats {
		data, _ := os.ReadFile(path) // a thread may have ended meanwhile
		// "tid (name) state …", and the name may hold anything.
		name, rest, ok := strings.Cut(string(data), "(")
		i := strings.LastIndex(rest, ") ")
		if !ok || i < 0 || !strings.HasPrefix(rest[i+2:], "D") {
			continue
		}
		t := guestapi.Task{Name: rest[:i]}
		_, _ = fmt.Sscan(name, &t.TID)
		_, _ = fmt.Sscanf(path, "/proc/%d/", &t.PID)
		stack, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "stack"))
		t.Stack = string(stack)
		*tasks = append(*tasks, t)
	}
	return nil
}

// kernelStacks are the kernel stacks of all threads of a process.
func kernelStacks(pid int) string {
	var b strings.Builder
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stack", pid))
	for _, path := range paths {
		stack, _ := os.ReadFile(path)
		fmt.Fprintf(&b, "%s\n%s\n", path, stack)
	}
	return b.String()
}

// lockedBuffer is a buffer that may be read while a program still writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}
