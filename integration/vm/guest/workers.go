//go:build linux

package main

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/integration/vm/guestapi"
)

// A worker process reads its guestapi.Work from standard input and writes updates to standard
// output: its progress some times a second, and the report when standard input is closed or the
// limit is reached.
type update struct {
	Progress guestapi.Progress
	Report   *guestapi.WorkReport
}

// reportPatience bounds the wait for a worker's report once it has been told to stop.
const reportPatience = 20 * time.Second

// workers are the worker processes.
type workers struct {
	sync.Mutex
	byID map[int]*worker
	last int
}

type worker struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when the process has ended or its output is broken
	mu    struct {
		sync.Mutex
		update
	}
}

// StartWork starts a worker and returns its number.
func (a *agent) StartWork(w guestapi.Work, id *int) error {
	cmd := exec.Command("/proc/self/exe", "worker")
	// Signals of the Go runtime interrupt requests to FUSE file systems.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	start := cmd.Start
	if w.Kind != guestapi.Pulse {
		start = func() error { return startBehind(cmd) }
	}
	if err := start(); err != nil {
		return err
	}
	if err := gob.NewEncoder(stdin).Encode(w); err != nil {
		return err
	}
	k := &worker{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go k.follow(stdout)
	a.workers.Lock()
	defer a.workers.Unlock()
	if a.workers.byID == nil {
		a.workers.byID = map[int]*worker{}
	}
	a.workers.last++
	*id = a.workers.last
	a.workers.byID[*id] = k
	return nil
}

// startBehind starts a process that all others of the guest go before. Emulated processors are so slow that the
// workers alone would keep them busy: what the scenes measure would be the time that everybody else waits for
// one of them.
func startBehind(cmd *exec.Cmd) error {
	const last = 19
	// A thread's priority is its own, and that of what it starts.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, last); err != nil {
		return fmt.Errorf("priority of a worker: %w", err)
	}
	return errors.Join(cmd.Start(), unix.Setpriority(unix.PRIO_PROCESS, 0, 0))
}

func (k *worker) follow(stdout io.Reader) {
	defer close(k.done)
	updates := gob.NewDecoder(stdout)
	for {
		var u update
		if updates.Decode(&u) != nil {
			break
		}
		k.mu.Lock()
		k.mu.Progress = u.Progress
		if u.Report != nil {
			k.mu.Report = u.Report
		}
		k.mu.Unlock()
	}
	_ = k.cmd.Wait() // a report that is missing says it
}

func (a *agent) worker(id int) (*worker, error) {
	a.workers.Lock()
	defer a.workers.Unlock()
	k := a.workers.byID[id]
	if k == nil {
		return nil, fmt.Errorf("no worker %d", id)
	}
	return k, nil
}

// WorkProgress returns how far the workers have come.
func (a *agent) WorkProgress(ids []int, progress *[]guestapi.Progress) error {
	for _, id := range ids {
		k, err := a.worker(id)
		if err != nil {
			return err
		}
		k.mu.Lock()
		p := k.mu.Progress
		k.mu.Unlock()
		p.ID = id
		select {
		case <-k.done:
			p.Ended = true
		default:
		}
		*progress = append(*progress, p)
	}
	return nil
}

// StopWork stops a worker and returns what it has to tell. A worker that does not end within
// reportPatience is reported as stuck, with its kernel stacks.
func (a *agent) StopWork(id int, report *guestapi.WorkReport) error {
	k, err := a.worker(id)
	if err != nil {
		return err
	}
	k.stdin.Close()
	select {
	case <-k.done:
	case <-time.After(reportPatience):
		report.Stuck = kernelStacks(k.cmd.Process.Pid)
		_ = k.cmd.Process.Kill()
		return nil
	}
	a.workers.Lock()
	delete(a.workers.byID, id)
	a.workers.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.Report == nil {
		return fmt.Errorf("worker %d ended without a report: %v", id, k.cmd.ProcessState)
	}
	*report = *k.mu.Report
	return nil
}

// KillWork ends all workers that are left.
func (a *agent) KillWork(guestapi.None, *guestapi.None) error {
	a.workers.Lock()
	defer a.workers.Unlock()
	for id, k := range a.workers.byID {
		_ = k.cmd.Process.Kill()
		delete(a.workers.byID, id)
	}
	return nil
}
