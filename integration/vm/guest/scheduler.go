//go:build linux

package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Policies of sched(7).
const (
	schedOther = 0
	schedFIFO  = 1
	schedIdle  = 5
)

// setScheduler gives the calling thread a policy, which processes that it starts inherit. Only schedFIFO
// takes a priority other than 0.
func setScheduler(policy uintptr, priority int32) error {
	if _, _, errno := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, 0, policy, uintptr(unsafe.Pointer(&priority))); errno != 0 {
		return fmt.Errorf("set the scheduling policy %d: %w", policy, errno)
	}
	return nil
}
