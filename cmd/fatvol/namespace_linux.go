package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// startInNamespace starts cmd in another mount name space, given as for mount -N: the number of a
// process in it, or the path of a name space file.
func startInNamespace(cmd *exec.Cmd, namespace string) error {
	path := namespace
	if _, err := strconv.ParseUint(namespace, 10, 32); err == nil {
		path = filepath.Join("/proc", namespace, "ns/mnt")
	}
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("name space: %w", err)
	}
	defer ns.Close()
	result := make(chan error)
	go func() {
		// Only this thread changes over, and the child is forked from it. The thread is never
		// given back to other goroutines: it ends with this one.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			result <- fmt.Errorf("unshare: %w", err)
			return
		}
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			result <- fmt.Errorf("enter name space %s: %w", path, err)
			return
		}
		result <- cmd.Start()
	}()
	return <-result
}

// umountInNamespace unmounts dir in another mount name space.
func umountInNamespace(namespace, dir string, flags umountFlags) error {
	self, err := os.Executable()
	if err != nil {
		return failf(exitSystem, "cannot find this program: %w", err)
	}
	args := []string{"umount"}
	if flags.lazy {
		args = append(args, "-l")
	}
	if flags.verbose {
		args = append(args, "-v")
	}
	cmd := exec.Command(self, append(args, "--", dir)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := startInNamespace(cmd, namespace); err != nil {
		return failf(exitSystem, "umount %s: %w", dir, err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &exitError{exit.ExitCode(), errReported}
	}
	return withCode(exitSystem, err)
}
