//go:build linux

// Guest is the first process of the virtual machine that the tests of integration/vm boot.
//
// As process 1 it mounts what Linux needs, loads the modules, starts itself as the agent, and reaps
// orphans. The agent answers the calls of the tests; when the test lets go of the port, it ends, and
// the machine is switched off. Each worker of a workload is a process of its own, so that a worker
// that the kernel holds does not hold the agent.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "agent":
		exitOn(runAgent())
	case len(os.Args) > 1 && os.Args[1] == "worker":
		exitOn(runWorker(os.Stdin, os.Stdout))
	case os.Getpid() == 1:
		err := runInit()
		fmt.Printf("guest: %v\n", err)
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	default:
		fmt.Fprintln(os.Stderr, "guest: not for use outside of the virtual machine")
		os.Exit(2)
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// monotonic is the instant now, in nanoseconds of CLOCK_MONOTONIC.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // cannot fail for this clock
	}
	return ts.Nano()
}
