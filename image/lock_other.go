//go:build !linux

package image

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
)

// lock keeps others away from the image for as long as h is open. Outside of Linux that is a
// flock over the file: like the lock that Linux has for it, it belongs to the inode and ends with
// the descriptor. Who holds it cannot be asked.
//
// A note is returned instead of an error where the host has no locks.
func lock(h *device.Host) (note string, err error) {
	rc, err := h.SyscallConn()
	if err != nil {
		return "", err
	}
	how := unix.LOCK_SH
	if h.Writable() {
		how = unix.LOCK_EX
	}
	if cerr := rc.Control(func(fd uintptr) {
		for {
			if err = unix.Flock(int(fd), how|unix.LOCK_NB); err != unix.EINTR {
				return
			}
		}
	}); cerr != nil {
		return "", cerr
	}
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return "", &LockedError{Path: h.Path(), Write: h.Writable(), Advice: "unmount it there first"}
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		return fmt.Sprintf("the file system under the image has no locks (%v): make sure that nothing else uses it", err), nil
	}
	return "", fmt.Errorf("%s: lock: %w", h.Path(), err)
}

// checkMounts has nothing to ask outside of Linux.
func checkMounts(*device.Host, *Volume) error { return nil }

// diskInUse makes an error of the refusal to open a disk for writing.
func diskInUse(path string, _ error) error {
	return &LockedError{Path: path, Write: true, Advice: "unmount it first"}
}
