//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fatvol/integration/vm/guestapi"
)

// portPatience bounds the wait for the virtio port, whose name arrives after the module is loaded.
const portPatience = 20 * time.Second

// agent is the receiver of all calls.
type agent struct {
	kernel   *kernelLog
	system   *systemLog
	programs programs
	workers  workers
}

// runAgent answers calls until the test lets go of the port.
func runAgent() error {
	kernel, err := followKernelLog()
	if err != nil {
		return err
	}
	system, err := listenSystemLog("/dev/log")
	if err != nil {
		return err
	}
	a := &agent{kernel: kernel, system: system}
	server := rpc.NewServer()
	if err := server.RegisterName(guestapi.Service, a); err != nil {
		return err
	}
	path, err := findPort(guestapi.PortName)
	if err != nil {
		return err
	}
	port, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	server.ServeConn(port)
	return errors.New("the test has let go of the port")
}

// findPort returns the device of the virtio serial port with the name.
func findPort(name string) (string, error) {
	for end := time.Now().Add(portPatience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		files, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, file := range files {
			data, _ := os.ReadFile(file)
			if strings.TrimSpace(string(data)) == name {
				return filepath.Join("/dev", filepath.Base(filepath.Dir(file))), nil
			}
		}
	}
	return "", fmt.Errorf("no virtio port %s after %v", name, portPatience)
}

// Clock returns the guest's instant now.
func (a *agent) Clock(_ guestapi.None, now *int64) error {
	*now = monotonic()
	return nil
}

// WallClock returns how far the guest's wall clock is ahead of its Clock.
func (a *agent) WallClock(_ guestapi.None, ahead *int64) error {
	*ahead = time.Now().UnixNano() - monotonic()
	return nil
}

// KernelLog returns the messages of the kernel from the given number on.
func (a *agent) KernelLog(since uint64, lines *[]guestapi.KernelLine) error {
	*lines = a.kernel.since(since)
	return nil
}

// KernelMark returns the number that the kernel's next message will have.
func (a *agent) KernelMark(_ guestapi.None, mark *uint64) error {
	*mark = a.kernel.mark()
	return nil
}

// SystemLog returns what programs logged from the given index on.
func (a *agent) SystemLog(since int, lines *[]guestapi.Line) error {
	*lines = a.system.since(since)
	return nil
}

// Prepare makes the files of a worker.
func (a *agent) Prepare(w guestapi.Work, _ *guestapi.None) error { return guestapi.Prepare(w) }

// Verify compares the files of a worker with its ledger.
func (a *agent) Verify(args guestapi.VerifyArgs, findings *[]string) error {
	*findings = guestapi.Verify(args)
	return nil
}

// WriteTree writes a tree of files.
func (a *agent) WriteTree(args guestapi.WriteTreeArgs, _ *guestapi.None) error {
	return guestapi.WriteTree(args)
}

// ReadTree reads a tree of files.
func (a *agent) ReadTree(args guestapi.ReadTreeArgs, entries *[]guestapi.TreeEntry) (err error) {
	*entries, err = guestapi.ReadTree(args)
	return err
}
