//go:build linux

package vm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const rawSyscalls = "/sys/kernel/tracing/events/raw_syscalls/sys_enter"

// histogramLine is "{ common_pid:        123, id: sys_read                      [  0] } hitcount:       4711".
var histogramLine = regexp.MustCompile(`common_pid:\s*(\d+), id: (\w+)\s*\[\s*\d+\] \} hitcount:\s*(\d+)`)

// countSyscalls counts the system calls that a process of the guest makes while f runs, by name. The
// kernel counts them, not the process.
func (v *VM) countSyscalls(pid int, f func()) map[string]int64 {
	v.t.Helper()
	const trigger = "hist:keys=common_pid,id.syscall:size=4096"
	v.Push(rawSyscalls+"/trigger", []byte(trigger), 0o600)
	defer v.Push(rawSyscalls+"/trigger", []byte("!"+trigger), 0o600)
	f()
	threads := map[string]bool{}
	for tid := range strings.FieldsSeq(v.Run("ls", fmt.Sprintf("/proc/%d/task", pid))) {
		threads[tid] = true
	}
	counts := map[string]int64{}
	for _, m := range histogramLine.FindAllStringSubmatch(string(v.Fetch(rawSyscalls+"/hist")), -1) {
		if threads[m[1]] {
			n, err := strconv.ParseInt(m[3], 10, 64)
			v.must(err)
			counts[m[2]] += n
		}
	}
	return counts
}
