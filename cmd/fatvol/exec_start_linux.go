package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// placed puts the mount point in the place of each {}.
func placed(args []string, dir string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = strings.ReplaceAll(a, "{}", dir)
	}
	return out
}

// execStart becomes the command, without the right to mount that the serving process has handed on.
func execStart(command []string) error {
	runtime.LockOSThread() // what is a thread's is that of the one which calls execve
	if err := dropCapabilities(); err != nil {
		return failf(exitExec, "exec: %w", err)
	}
	// Until somebody asks for its attributes, the kernel has the root of the mount belong to root, whom a user
	// name space may not know, and lets nobody write there. An error is for the command to meet with.
	_, _ = os.Stat(os.Getenv(mountVariable))
	path, err := exec.LookPath(command[0])
	if errors.Is(err, exec.ErrDot) {
		err = nil // as a shell would
	}
	if err == nil {
		err = syscall.Exec(path, command, os.Environ())
	}
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return failf(exitNotFound, "exec: %s: command not found", command[0])
	case errors.Is(err, os.ErrNotExist):
		return failf(exitNotFound, "exec: %s: no such command, or no interpreter of it", command[0])
	}
	return failf(exitNotExecutable, "exec: %s: cannot be run: %w", command[0], reason(err))
}

// dropCapabilities gives up what the serving process needed to hand on through execve.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	err := unix.Capget(&h, &d[0])
	if err == nil && d[0].Inheritable != 0 {
		d[0].Inheritable &^= 1 << unix.CAP_SYS_ADMIN
		err = unix.Capset(&h, &d[0])
	}
	if err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	return nil
}
