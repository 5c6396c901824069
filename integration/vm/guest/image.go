//go:build linux

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"fatvol/integration/vm/guestapi"
)

// ReadImage mounts an image with the kernel's vfat, reads what is in it, and unmounts it. The kernel mounts
// volumes of which it can read nothing.
func (a *agent) ReadImage(args guestapi.ReadImageArgs, read *guestapi.ImageTree) error {
	image, err := os.Open(args.Image)
	if err != nil {
		return err
	}
	defer image.Close()
	loop, err := attachLoop(image)
	if err != nil {
		return err
	}
	defer loop.Close() // the last close detaches it
	const dir = "/mnt/image"
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := unix.Mount(loop.Name(), dir, "vfat", unix.MS_RDONLY|unix.MS_NOATIME, args.Options); err != nil {
		read.Refused = err.Error()
		return nil
	}
	if read.Entries, err = guestapi.ReadTree(guestapi.ReadTreeArgs{Root: dir}); err != nil {
		read.Entries = nil
	}
	return unix.Unmount(dir, 0)
}

// attachLoop makes a read-only block device of a file.
func attachLoop(file *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("find a free loop device: %w", err)
	}
	loop, err := os.Open(fmt.Sprintf("/dev/loop%d", n))
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR}}
	if err := unix.IoctlLoopConfigure(int(loop.Fd()), &config); err != nil {
		loop.Close()
		return nil, fmt.Errorf("make a loop device of %s: %w", file.Name(), err)
	}
	return loop, nil
}
