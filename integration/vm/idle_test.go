//go:build linux

package vm

import (
	"flag"
	"strconv"
	"strings"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

// TestPullIdle: the stick is pulled while nobody does anything.
func TestPullIdle(t *testing.T) {
	v := shared(t)
	for _, c := range []struct {
		name, fsType string
		sectorSize   int
		nodetect     string
		limit        time.Duration
	}{
		{"ext4", "ext4", 512, "probe", limitUevent},
		{"vfat", "vfat", 512, "probe", limitUevent},
		{"vfat on sectors of 4096 bytes", "vfat", 4096, "probe", limitUevent},
		{"no uevents", "ext4", 512, "uevent", limitProbe},
	} {
		t.Run(c.name, func(t *testing.T) {
			stick := NewStick(t, c.fsType, sceneImage(t), c.sectorSize)
			pullIdle(t, newSceneOn(v.in(t), stick, "nodetect="+c.nodetect), c.limit)
		})
	}
}

func pullIdle(t *testing.T, s *Scene, limit time.Duration) {
	t.Helper()
	s.Shell("echo content > " + volumeDir + "/file; sync")
	s.awaitSynced()
	crew := s.StartCrew(pulses())
	crew.Await(func(p guestapi.Progress) bool { return p.Calls > 100 })
	p := s.pull()
	gone := s.await("gone", 1, "")
	s.late("the state gone", p, s.since(gone), limit, crew.Stop())
	for _, args := range [][]string{{"cat", volumeDir + "/file"}, {"ls", volumeDir}, {"stat", volumeDir + "/file"}, {"stat", "-f", volumeDir}} {
		exit := s.Exit(guestapi.Command{Args: args})
		if exit.Code == 0 || !strings.Contains(string(exit.Stderr), "Input/output error") {
			t.Errorf("%q: exit code %d\n%s%s", args, exit.Code, exit.Stdout, exit.Stderr)
		}
	}

	s.back(s.stick)
	s.await("present", 2, "")
	if got := s.Run("cat", volumeDir+"/file"); got != "content\n" {
		t.Errorf("the file holds %q", got)
	}
	s.endClean(nil)
	if lines := mediumLines(s.logSince(p.Before.At)); len(lines) != 2 {
		t.Errorf("fatvol logged %d lines about the pull and the return, want 2:\n%s", len(lines), text(lines))
	}
}

// rush is how many calls are made while the stick is away. Emulated and traced a million take an hour; those
// are made by TestGoneAsksNothing of package integration.
var rush = flag.Int64("rush", 5_000, "`calls` that TestGoneIsFree makes while the stick is away")

// TestGoneIsFree: calls while the stick is away do not reach the host, and when there are none,
// fatvol does nothing.
func TestGoneIsFree(t *testing.T) {
	s := newScene(shared(t), "ext4")
	works := []guestapi.Work{
		{Kind: guestapi.Reader, Slots: 16, Block: 4096},
		{Kind: guestapi.Reader, Slots: 16, Block: 4096, Direct: true},
		{Kind: guestapi.Writer, Slots: 16, Block: 4096, FsyncEvery: 2},
		{Kind: guestapi.Lister, Slots: 20, Block: 64},
		{Kind: guestapi.Statter, Slots: 20, Block: 64},
		{Kind: guestapi.Opener, Slots: 20, Block: 64},
	}
	for i := range works {
		w := &works[i]
		w.File, w.Dir = uint64(i+1), volumeDir+"/"+strconv.Itoa(i)
		w.Pause = 5 * time.Millisecond
		w.Rush = *rush / int64(len(works))
	}
	s.Prepare(works)
	crew := s.StartCrew(works)
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 10 })
	s.pull()
	s.await("gone", 1, "")
	// Nothing is at the path any more that could be looked at.
	s.unmountHost()
	s.await("gone", 1, "")
	before := s.status()
	calls := s.countSyscalls(s.pid, func() {
		start := time.Now()
		for end := start.Add(8 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
			var progress []guestapi.Progress
			s.must(s.call("WorkProgress", crew.ids, &progress))
			rushing := 0
			for _, p := range progress {
				if p.Rushed < works[0].Rush {
					rushing++
				}
			}
			if rushing == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the workers do not come to an end: %+v", progress)
			}
		}
		t.Logf("%d calls in %v", *rush, time.Since(start).Round(time.Millisecond))
	})
	after := s.status()
	if after.Calls != before.Calls {
		t.Errorf("%d calls of the host", after.Calls-before.Calls)
	}
	// The verifier may try to open the path, now and then; nothing else may be.
	t.Logf("system calls of fatvol: %v", calls)
	for _, name := range []string{"pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
		"fsync", "fdatasync", "fstat", "ftruncate", "fallocate", "lseek"} {
		if calls[name] > 0 {
			t.Errorf("%d times %s", calls[name], name)
		}
	}
	const looks = 100
	for _, name := range []string{"openat", "newfstatat", "statx", "statfs", "readlinkat"} {
		if calls[name] > looks {
			t.Errorf("%d times %s, want a few looks at the path only", calls[name], name)
		}
	}
	if calls["read"]+calls["readv"] == 0 {
		t.Error("no call of fatvol was seen at all: the count shows nothing")
	}

	// Now nobody calls.
	// The guest takes for processor time what it is stopped for, so what is counted here are calls of the
	// system; TestGoneAsksNothing of package integration has the processor time of a real machine.
	const idle, perSecond = 5, 100
	used := s.cpuTime(s.pid)
	calls = s.countSyscalls(s.pid, func() { s.Run("sleep", strconv.Itoa(idle)) })
	sum := int64(0)
	for _, n := range calls {
		sum += n
	}
	t.Logf("in %d s of nothing: %d system calls (%v), %v of processor time, emulated", idle, sum, calls, s.cpuTime(s.pid)-used)
	if sum > idle*perSecond {
		t.Errorf("fatvol made %d system calls in %d s while the stick was away and nobody called, want at most %d a second", sum, idle, perSecond)
	}
	for _, r := range crew.Stop() {
		for o, n := range r.Counts {
			if n >= works[0].Rush/10 && o.Result == guestapi.ResultOK && o.Op != guestapi.OpClose {
				t.Errorf("%d of %v succeeded", n, o.Op)
			}
		}
	}
	s.plug(s.stick)
	s.await("present", 2, "")
	s.endClean(nil)
}

// cpuTime is the processor time that a process of the guest has used.
func (v *VM) cpuTime(pid int) time.Duration {
	v.t.Helper()
	// In nanoseconds, for each thread.
	var total time.Duration
	for field := range strings.FieldsSeq(v.Shell("cut -d' ' -f1 /proc/" + strconv.Itoa(pid) + "/task/*/schedstat")) {
		n, err := strconv.ParseInt(field, 10, 64)
		v.must(err)
		total += time.Duration(n)
	}
	return total
}
