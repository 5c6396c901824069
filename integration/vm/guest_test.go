//go:build linux

package vm

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

// TestGuest: what the scenes rely on.
func TestGuest(t *testing.T) {
	v := shared(t)
	t.Run("programs", func(t *testing.T) {
		v := v.in(t)
		exit := v.Exit(guestapi.Command{Args: []string{"sh", "-c", "cat; echo err >&2; exit 3"}, Stdin: []byte("in")})
		if exit.Code != 3 || string(exit.Stdout) != "in" || string(exit.Stderr) != "err\n" || exit.TimedOut {
			t.Errorf("exit %+v", exit)
		}
		exit = v.Exit(guestapi.Command{Args: []string{"sleep", "1000"}, Timeout: 100 * time.Millisecond})
		if !exit.TimedOut || exit.Stuck || exit.Code == 0 {
			t.Errorf("a program without an end: %+v", exit)
		}
		for _, name := range append(guestPrograms, "fatvol", "mcopy") {
			v.Run("which", name)
		}
		v.Run("fatvol", "version")
	})
	t.Run("background", func(t *testing.T) {
		v := v.in(t)
		pid := v.Start(guestapi.Command{Args: []string{"sh", "-c", "echo one; read x < /proc/self/fd/0; sleep 1000"}})
		exit := guestapi.Exit{}
		v.must(v.call("Until", guestapi.UntilArgs{Command: guestapi.Command{Args: []string{"cat", "/proc/uptime"}},
			Pattern: `\.`, Every: time.Millisecond, Timeout: time.Second}, &exit))
		if exit.TimedOut {
			t.Errorf("the uptime has no decimals: %s", exit.Stdout)
		}
		v.must(v.call("Signal", guestapi.SignalArgs{PID: pid, Signal: 9}, &guestapi.None{}))
		state := v.Wait(pid, 10*time.Second)
		if !state.Ended || state.Exit.Code != -1 || len(state.Output) != 1 || state.Output[0].Text != "one" {
			t.Errorf("state %+v", state)
		}
	})
	t.Run("files", func(t *testing.T) {
		v := v.in(t)
		data := make([]byte, 2*guestapi.ChunkSize+4567)
		rand.NewChaCha8([32]byte{}).Read(data)
		v.Push("/tmp/file", data, 0o600)
		if !bytes.Equal(v.Fetch("/tmp/file"), data) {
			t.Error("the file came back different")
		}
		v.Push("/tmp/file", []byte("short"), 0o600)
		if got := v.Fetch("/tmp/file"); string(got) != "short" {
			t.Errorf("%d bytes are left of the longer file", len(got))
		}
	})
	t.Run("kernel log", func(t *testing.T) {
		v := v.in(t)
		mark := v.KernelMark()
		before := v.readClock()
		v.Shell("echo hello from the test > /dev/kmsg")
		line := v.kernelLine(mark, "hello from the test")
		if after := v.readClock(); line.At < before.guest.At-ms1 || line.At > after.guest.At+ms1 {
			t.Errorf("the kernel's clock says %d, the guest's says %d before and %d after", line.At, before.guest.At, after.guest.At)
		}
	})
}

const ms1 = int64(time.Millisecond)

// TestWorkers: each kind of worker runs on a healthy file system without a failure, and what it did
// is found there; and damage is found.
func TestWorkers(t *testing.T) {
	v := shared(t)
	v.Shell("dd if=/dev/zero of=/tmp/ext4 bs=1M count=48 2>/dev/null; mkfs.ext4 -q /tmp/ext4; mkdir -p /mnt/w; mount -o loop /tmp/ext4 /mnt/w")
	crew := v.Crew("/mnt/w")
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 30 })
	reports := crew.Stop()
	for _, r := range reports {
		for outcome, n := range r.Counts {
			if outcome.Result != guestapi.ResultOK {
				t.Errorf("%s: %d of %v: %v, errno %d", r.Work.Kind, n, outcome.Op, outcome.Result, outcome.Errno)
			}
		}
		if findings := v.Verify(guestapi.VerifyArgs{Work: r.Work, Ledger: r.Ledger}); len(findings) > 0 {
			t.Errorf("%s: %s", r.Work.Kind, strings.Join(findings, "\n"))
		}
	}
	for _, r := range reports {
		switch r.Work.Kind {
		case guestapi.Writer, guestapi.Reader, guestapi.MmapReader:
			v.Shell("printf x | dd bs=1 seek=100 conv=notrunc of='" + r.Work.Path() + "' 2>/dev/null")
		case guestapi.Pulse:
			continue
		default:
			v.Shell("echo x > '" + r.Work.Dir + "/" + r.Work.Name(0) + "'")
		}
		if findings := v.Verify(guestapi.VerifyArgs{Work: r.Work, Ledger: r.Ledger}); len(findings) == 0 {
			t.Errorf("%s: damage is not found", r.Work.Kind)
		}
	}
}
