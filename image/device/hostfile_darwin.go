package device

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// claimFlag is empty: macOS refuses to open a mounted disk for writing by itself.
const claimFlag = 0

// From <sys/disk.h>.
const (
	dkiocGetBlockSize  = 0x40046418
	dkiocGetBlockCount = 0x40086419
)

// isDisk accepts /dev/diskN. The character device /dev/rdiskN takes whole sectors only.
func isDisk(m os.FileMode) bool {
	return m&os.ModeDevice != 0 && m&os.ModeCharDevice == 0
}

func diskSize(fd int) (size int64, sector int, err error) {
	var bytes uint32
	var count uint64
	if err := ioctl(fd, dkiocGetBlockSize, unsafe.Pointer(&bytes)); err != nil {
		return 0, 0, err
	}
	if err := ioctl(fd, dkiocGetBlockCount, unsafe.Pointer(&count)); err != nil {
		return 0, 0, err
	}
	const maxSize = 1<<63 - 1
	if bytes == 0 || count > maxSize/uint64(bytes) {
		return 0, 0, unix.EOVERFLOW
	}
	return int64(count * uint64(bytes)), int(bytes), nil
}

// diskWritable has nothing to ask: macOS does not open a write-protected disk for writing.
func diskWritable(int) error { return nil }

// syncFile makes the drive empty its cache too, which fsync on macOS does not. Hosts that know
// no such call, network shares for instance, get the fsync.
func syncFile(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
		return unix.Fsync(fd)
	}
	return err
}

// zeroRange has no means on macOS: F_PUNCHHOLE wants whole blocks of the host.
func (h *Host) zeroRange(off, n int64) (done bool, err error) { return false, nil }

// holeAlign is the block size of APFS and the usual one of HFS+; F_PUNCHHOLE takes whole blocks.
const holeAlign = 4096

// discardRange punches a hole of the host's blocks that the range covers whole.
func (h *Host) discardRange(off, n int64) error {
	if h.disk || h.noPunch.Load() {
		return errors.ErrUnsupported
	}
	from, to := (off+holeAlign-1)/holeAlign*holeAlign, (off+n)/holeAlign*holeAlign
	if from >= to {
		return nil
	}
	hole := struct { // struct fpunchhole of <sys/fcntl.h>
		flags, reserved uint32
		offset, length  int64
	}{offset: from, length: to - from}
	err := h.control(func(fd int) error {
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), unix.F_PUNCHHOLE, uintptr(unsafe.Pointer(&hole))); errno != 0 {
			return errno
		}
		return nil
	})
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOSYS) {
		h.noPunch.Store(true)
		return errors.ErrUnsupported
	}
	return err
}

func ioctl(fd int, req uint, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
