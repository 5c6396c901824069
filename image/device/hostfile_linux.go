package device

import (
	"errors"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// claimFlag makes the open of a block device exclusive, against mounts and other claims.
const claimFlag = unix.O_EXCL

func isDisk(m os.FileMode) bool {
	return m&os.ModeDevice != 0 && m&os.ModeCharDevice == 0
}

// diskSize returns the length and the logical sector size of the block device in bytes.
func diskSize(fd int) (size int64, sector int, err error) {
	if size, err = unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		return 0, 0, err
	}
	// An int of C: IoctlGetInt would have the kernel write half of an int of ours.
	n, err := unix.IoctlGetUint32(fd, unix.BLKSSZGET)
	return size, int(n), err
}

// diskWritable returns EROFS for a write-protected disk. Linux opens those for writing, and fails
// the writes with EPERM.
func diskWritable(fd int) error {
	ro, err := unix.IoctlGetUint32(fd, unix.BLKROGET)
	if err == nil && ro != 0 {
		return unix.EROFS
	}
	return err
}

func syncFile(fd int) error { return unix.Fdatasync(fd) }

// zeroRange zeros a range by the host's means; false means that there are none and nothing was
// done. ZERO_RANGE is preferred because it keeps the blocks: what an application has been told
// that it has must not run out of space later.
func (h *Host) zeroRange(off, n int64) (done bool, err error) {
	if h.disk {
		return h.try(&h.noZeroRange, func(fd int) error { return blkRange(fd, unix.BLKZEROOUT, off, n) })
	}
	done, err = h.try(&h.noZeroRange, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	// A host without room for the blocks may still make a hole of them.
	if done || (err != nil && !errors.Is(err, unix.ENOSPC)) {
		return done, err
	}
	return h.try(&h.noPunch, func(fd int) error { return punch(fd, off, n) })
}

// discardRange gives the storage under a range back.
func (h *Host) discardRange(off, n int64) error {
	done, err := h.try(&h.noPunch, func(fd int) error {
		if h.disk {
			return blkRange(fd, unix.BLKDISCARD, off, n)
		}
		return punch(fd, off, n)
	})
	if err == nil && !done {
		return errors.ErrUnsupported
	}
	return err
}

func punch(fd int, off, n int64) error {
	return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

// try calls fn unless the host refused such a call before, and remembers when it refuses.
// Hosts spell a refusal in more than one way; none of these can mean that the medium failed.
func (h *Host) try(refused *atomic.Bool, fn func(fd int) error) (done bool, err error) {
	if refused.Load() {
		return false, nil
	}
	switch err := h.control(fn); {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL),
		errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EPERM), errors.Is(err, unix.ETXTBSY):
		refused.Store(true)
		return false, nil
	default:
		return false, err
	}
}

// blkRange calls a BLK… ioctl that takes a range of bytes.
func blkRange(fd int, req uint, off, n int64) error {
	r := [2]uint64{uint64(off), uint64(n)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(unsafe.Pointer(&r))); errno != 0 {
		return errno
	}
	return nil
}
