package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stalls measures what a machine with other things to do takes from the processes of a test, so that
// limits of time are limits of the program.
type stalls struct {
	pids []int
	last time.Duration
}

// stallsOf measures from now on what is taken from this process and others.
func stallsOf(pids ...int) *stalls {
	s := &stalls{pids: append([]int{os.Getpid()}, pids...)}
	s.lap()
	return s
}

// lap is how long the processes' threads were ready to run and had no processor, all of them together,
// and how long the machine itself was stopped, since the last lap. On a machine with nothing else to do it
// is next to nothing.
func (s *stalls) lap() time.Duration {
	now := stolen()
	for _, pid := range s.pids {
		_, queued := scheduled(pid)
		now += queued
	}
	d := now - s.last
	s.last = now
	return max(d, 0) // threads that end take what they waited with them
}

// follow has laps taken until stop is called, which returns their sum. Processes that end meanwhile are
// counted until they do.
func (s *stalls) follow() (stop func() time.Duration) {
	end, sum := make(chan struct{}), make(chan time.Duration)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		var lost time.Duration
		for {
			select {
			case <-tick.C:
				lost += s.lap()
			case <-end:
				sum <- lost + s.lap()
				return
			}
		}
	}()
	return func() time.Duration {
		close(end)
		return <-sum
	}
}

// scheduled is how long the threads of a process have run, and have waited for a processor (Linux,
// Documentation/scheduler/sched-stats.rst).
func scheduled(pid int) (ran, queued time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if fields := strings.Fields(string(text)); err == nil && len(fields) == 3 {
			ran += nanoseconds(fields[0])
			queued += nanoseconds(fields[1])
		}
	}
	return ran, queued
}

func nanoseconds(text string) time.Duration {
	ns, _ := strconv.ParseInt(text, 10, 64)
	return time.Duration(ns)
}

// stolen is how long the processors of a virtual machine were given to others.
func stolen() time.Duration {
	const steal, tick = 8, 10 * time.Millisecond // field of the first line, and its unit
	text, _ := os.ReadFile("/proc/stat")
	fields := strings.Fields(strings.SplitN(string(text), "\n", 2)[0])
	if len(fields) <= steal {
		return 0
	}
	n, _ := strconv.ParseInt(fields[steal], 10, 64)
	return time.Duration(n) * tick
}

// within fails the test if something took longer than a limit, and the machine is not to blame.
func within(t testing.TB, what string, took, limit, stalled time.Duration) {
	t.Helper()
	if took > limit+stalled {
		t.Errorf("%s took %v, want at most %v (and %v that others had the processors)", what,
			took.Round(time.Millisecond), limit, stalled.Round(time.Millisecond))
	}
}

// sideBySide runs subtests, several at a time, of which most wait most of the time.
func sideBySide[T any](t *testing.T, at int, cases []T, test func(t *testing.T, c T)) {
	next := make(chan T)
	done := make(chan struct{})
	for range at {
		go func() {
			defer func() { done <- struct{}{} }()
			for c := range next {
				t.Run(fmt.Sprint(c), func(t *testing.T) { test(t, c) })
			}
		}()
	}
	for _, c := range cases {
		next <- c
	}
	close(next)
	for range at {
		<-done
	}
}
