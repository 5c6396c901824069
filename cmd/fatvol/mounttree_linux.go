package main

import (
	iofs "io/fs"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fatvol/image"
)

// From linux/fs.h.
const (
	fslabelMax    = 256
	iocSetFSLabel = 1<<30 | fslabelMax<<16 | 0x94<<8 | 50 // FS_IOC_SETFSLABEL
)

// SetLabel sets the label of a mounted volume as fslabel tools do.
func (t mountTree) SetLabel(label string) error {
	var buf [fslabelMax]byte
	if len(label) >= len(buf) {
		return &os.PathError{Op: "set label", Path: t.root, Err: unix.EINVAL}
	}
	copy(buf[:], label)
	d, err := os.Open(t.root)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.Fd(), iocSetFSLabel, uintptr(unsafe.Pointer(&buf))); errno != 0 {
		return &os.PathError{Op: "set label", Path: t.root, Err: errno}
	}
	return nil
}

// accessTime is when a file was last read, zero where that is not known.
func accessTime(info iofs.FileInfo) time.Time {
	switch s := info.Sys().(type) {
	case *image.FileAttr:
		return s.Accessed
	case *syscall.Stat_t:
		return time.Unix(s.Atim.Unix())
	}
	return time.Time{}
}
