//go:build !linux && !darwin

package device

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const claimFlag = 0

// isDisk accepts character devices as well: FreeBSD has no others for its disks.
func isDisk(m os.FileMode) bool { return m&os.ModeDevice != 0 }

// diskSize measures by seeking; the sector size stays unknown.
func diskSize(fd int) (size int64, sector int, err error) {
	if size, err = unix.Seek(fd, 0, unix.SEEK_END); err == nil && size == 0 {
		err = errors.ErrUnsupported
	}
	return size, 0, err
}

// diskWritable has nothing to ask: to open a write-protected disk for writing fails.
func diskWritable(int) error { return nil }

func syncFile(fd int) error { return unix.Fsync(fd) }

func (h *Host) zeroRange(off, n int64) (done bool, err error) { return false, nil }

func (h *Host) discardRange(off, n int64) error { return errors.ErrUnsupported }
