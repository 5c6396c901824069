//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// moduleList names the files of the kernel modules, one a line, each after those that it needs.
const moduleList = "/lib/modules/load"

var mounts = []struct{ fstype, dir, data string }{
	{"proc", "/proc", ""},
	{"sysfs", "/sys", ""},
	{"devtmpfs", "/dev", ""},
	{"tmpfs", "/tmp", "size=70%"},
	{"tmpfs", "/run", ""},
}

// runInit is process 1. It returns when the agent has ended.
func runInit() error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fstype, m.dir, m.fstype, 0, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	os.Setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin")
	os.Setenv("HOME", "/root")
	os.Setenv("TZ", "UTC")
	agent := exec.Command("/proc/self/exe", "agent")
	agent.Stdout, agent.Stderr = os.Stdout, os.Stderr
	if err := agent.Start(); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case pid == agent.Process.Pid:
			return fmt.Errorf("the agent has ended with exit code %d after %v", status.ExitStatus(),
				time.Duration(monotonic()).Round(time.Millisecond))
		}
	}
}

func loadModules() error {
	list, err := os.ReadFile(moduleList)
	if err != nil {
		return err
	}
	for path := range strings.FieldsSeq(string(list)) {
		module, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		parameters := ""
		if filepath.Base(path) == "usb-storage.ko" {
			parameters = "delay_use=0" // sticks of this machine need no second to settle
		}
		if err := unix.InitModule(module, parameters); err != nil && err != unix.EEXIST {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
}
