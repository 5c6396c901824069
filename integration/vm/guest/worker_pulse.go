//go:build linux

package main

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"fatvol/integration/vm/guestapi"
)

// startPulse makes the worker's goroutine a thread that goes before all others of the guest on one of
// its processors. What delays it then is not the guest.
func startPulse(r *recorder) (round func(int), end func(), err error) {
	const schedFIFO = 1
	runtime.LockOSThread()
	var cpus unix.CPUSet
	cpus.Set(int(r.work.File) % runtime.NumCPU())
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		return nil, nil, fmt.Errorf("bind the pulse to a processor: %w", err)
	}
	priority := int32(50)
	if _, _, errno := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, 0, schedFIFO, uintptr(unsafe.Pointer(&priority))); errno != 0 {
		return nil, nil, fmt.Errorf("priority of the pulse: %w", errno)
	}
	pause := unix.NsecToTimespec(guestapi.PulsePause)
	return func(int) {
		r.do(guestapi.OpPulse, 0, func() error {
			return unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &pause, nil)
		})
	}, func() {}, nil
}
