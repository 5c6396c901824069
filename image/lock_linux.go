package image

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
)

// lock keeps others away from the image for as long as h is open. On Linux that is an open file
// description lock over the whole file: it belongs to the inode, so that other names of the file
// do not get around it; it ends with the descriptor, even when the process is killed; and unlike
// a POSIX lock it is not lost when some other descriptor of the process is closed.
//
// Loop devices and mounts take no such locks, and are looked for. One that is set up later than
// that is not noticed.
//
// A note is returned instead of an error where the host has no locks.
func lock(h *device.Host) (note string, err error) {
	err = setLock(h)
	switch {
	case err == nil:
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		return "", &LockedError{Path: h.Path(), Write: h.Writable(), Holder: lockHolder(h), Advice: "unmount it there first"}
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		note = fmt.Sprintf("the file system under the image has no locks (%v): make sure that nothing else uses it", err)
	default:
		return "", fmt.Errorf("%s: lock: %w", h.Path(), err)
	}
	if dev := loopDevice(h); dev != "" {
		return "", &LockedError{Path: h.Path(), Write: h.Writable(), Holder: "loop device " + dev, Advice: "detach it first (losetup -d " + dev + ")"}
	}
	return note, nil
}

// checkMounts refuses to read a volume of a block device which is mounted for writing. To open
// for writing needs no such check, since the kernel makes it: see device.OpenHost.
func checkMounts(h *device.Host, v *Volume) error {
	if !h.IsDisk() || h.Writable() {
		return nil
	}
	if mnt := writableMount(h.Path(), v.Partition); mnt != "" {
		return &LockedError{Path: h.Path(), Holder: "a mount on " + mnt, Advice: "unmount it first"}
	}
	return nil
}

// setLock takes the lock, or fails at once.
func setLock(h *device.Host) error {
	rc, err := h.SyscallConn()
	if err != nil {
		return err
	}
	lk := unix.Flock_t{Type: unix.F_RDLCK} // from 0, length 0: all of it
	if h.Writable() {
		lk.Type = unix.F_WRLCK
	}
	cerr := rc.Control(func(fd uintptr) {
		for {
			if err = unix.FcntlFlock(fd, unix.F_OFD_SETLK, &lk); err != unix.EINTR {
				return
			}
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// diskInUse makes an error of the refusal to open a block device for writing.
func diskInUse(path string, err error) error {
	holder := within(holderTime, func() string { return diskHolder(path) })
	return &LockedError{Path: path, Write: true, Holder: holder, Advice: "unmount it first"}
}
