//go:build linux

package vm

import (
	"regexp"
	"strconv"
	"syscall"

	"fatvol/integration/vm/guestapi"
)

// summaryLine is a line of strace's summary, "   4711 read", of a call that a process made.
var summaryLine = regexp.MustCompile(`(?m)^\s*(\d+)\s+(\w+)$`)

// countSyscalls counts the system calls that a process of the guest makes while f runs, by name. strace
// counts them: the kernel's tracepoints would patch its code, at which emulated processors that run it can
// come to stand still for ever.
func (v *VM) countSyscalls(pid int, f func()) map[string]int64 {
	v.t.Helper()
	const summary = "/tmp/syscalls"
	strace := v.Start(guestapi.Command{Args: []string{"strace", "-f", "-c", "-U", "calls,name", "-o", summary, "-p", strconv.Itoa(pid)}})
	v.untilSaid(strace, "attached")
	f()
	v.must(v.call("Signal", guestapi.SignalArgs{PID: strace, Signal: int(syscall.SIGINT)}, &guestapi.None{}))
	if state := v.Wait(strace, statePatience); !state.Ended {
		v.t.Fatalf("strace does not end:\n%s", text(state.Output))
	}
	counts := map[string]int64{}
	for _, m := range summaryLine.FindAllStringSubmatch(string(v.Fetch(summary)), -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		v.must(err)
		counts[m[2]] = n
	}
	delete(counts, "total")
	return counts
}
