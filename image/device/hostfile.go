package device

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
)

// ErrNotStorage is returned by OpenHost for a path that is neither a regular file nor a disk.
var ErrNotStorage = errors.New("neither a regular file nor a block device")

// Host is a regular file or a block device of the machine: the bottom of every stack of devices,
// and the only place where the program does I/O on an image.
//
// Reads and writes are whole or fail. A transfer that a signal interrupts is resumed; that is
// the only retry there is. A file that became shorter than it was fails to be read beyond its end
// with io.ErrUnexpectedEOF; a write there would make it grow again, so whoever uses a Host on a
// medium that may change watches its size.
type Host struct {
	f        *os.File
	path     string
	size     int64 // as it was when the file was opened
	writable bool
	disk     bool // a block device, or what the system has in its place
	sector   int  // logical sector of a disk in bytes, 0 for a file
	// What the host refused once is not asked for again.
	noZeroRange, noPunch atomic.Bool
	probe                prober
}

// OpenHost opens the regular file or block device at path. It creates and truncates nothing.
//
// A block device that is opened for writing is claimed: while it is mounted, or claimed by
// somebody else, that fails with EBUSY. A file that may be read but not written to fails to be
// opened for writing with EROFS, EACCES or EPERM, see IsWriteProtected.
func OpenHost(path string, writable bool) (*Host, error) {
	// The kind comes first: to open a FIFO would block, and to open some devices does things.
	st, err := os.Stat(path)
	if err != nil {
		return nil, hostError(path, "open", err)
	}
	disk := isDisk(st.Mode())
	if !disk && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: open: is a %s: %w", path, kindName(st.Mode()), ErrNotStorage)
	}
	flags := os.O_RDONLY
	if writable {
		flags = os.O_RDWR
		if disk {
			flags |= claimFlag
		}
	}
	f, err := os.OpenFile(path, flags|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, hostError(path, "open", err)
	}
	h := &Host{f: f, path: path, writable: writable, disk: disk}
	if err := h.init(st); err != nil {
		f.Close()
		return nil, hostError(path, "open", err)
	}
	return h, nil
}

// init measures what was opened, which is what st described.
func (h *Host) init(st os.FileInfo) error {
	now, err := h.f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(st, now) {
		return fmt.Errorf("another file took its place meanwhile: %w", syscall.EAGAIN)
	}
	h.size = now.Size()
	h.probe.init(now)
	h.probe.inMemory = h.liesInMemory()
	if !h.disk {
		return nil
	}
	return h.control(func(fd int) (err error) {
		if h.size, h.sector, err = diskSize(fd); err != nil || !h.writable {
			return err
		}
		return diskWritable(fd)
	})
}

// IsWriteProtected reports whether err, from opening for writing, means that the image could be
// opened for reading only: the medium or host is read-only, or the user may not write to it.
func IsWriteProtected(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)
}

// Path is the path as it was given to OpenHost.
func (h *Host) Path() string { return h.path }

// Size is the length in bytes when the host was opened.
func (h *Host) Size() int64 { return h.size }

// Writable reports whether the host was opened for writing.
func (h *Host) Writable() bool { return h.writable }

// IsDisk reports whether the host is a block device rather than a file.
func (h *Host) IsDisk() bool { return h.disk }

// SectorSize is the logical sector size of a disk in bytes, and 0 for a file, which has none.
func (h *Host) SectorSize() int { return h.sector }

// Stat describes the open file as it is now: its length, links and identity.
func (h *Host) Stat() (os.FileInfo, error) {
	st, err := h.f.Stat()
	if err != nil {
		return nil, hostError(h.path, "stat", err)
	}
	return st, nil
}

// SyscallConn gives access to the descriptor, for locks and for detectors of a lost medium.
func (h *Host) SyscallConn() (syscall.RawConn, error) { return h.f.SyscallConn() }

// Close releases the descriptor, and with it every lock on it. It does not sync, and it does not
// wait for calls under way: those end by themselves, later ones fail with os.ErrClosed.
func (h *Host) Close() error {
	h.probe.release()
	if err := h.f.Close(); err != nil {
		return hostError(h.path, "close", err)
	}
	return nil
}

// ReadAt fills p from the byte offset off.
func (h *Host) ReadAt(p []byte, off int64) (int, error) {
	if err := h.check("read", off, int64(len(p))); err != nil || len(p) == 0 {
		return 0, err
	}
	n, err := h.f.ReadAt(p, off)
	switch {
	case n == len(p):
		return n, nil
	case err == io.EOF:
		return n, fmt.Errorf("%s: read of %d bytes at offset %d: the file ends at %d, it had %d bytes: %w",
			h.path, len(p), off, off+int64(n), h.size, io.ErrUnexpectedEOF)
	}
	return n, h.ioError("read", off, int64(len(p)), err)
}

// WriteAt writes p at the byte offset off.
func (h *Host) WriteAt(p []byte, off int64) (int, error) {
	if err := h.checkChange("write", off, int64(len(p))); err != nil || len(p) == 0 {
		return 0, err
	}
	n, err := h.f.WriteAt(p, off)
	if err != nil {
		return n, h.ioError("write", off, int64(len(p)), err)
	}
	return n, nil
}

// Sync returns once everything written before the call is on stable storage. A file that was deleted is
// ErrDeleted, a shorter one ErrShrank: what was written there is not kept, however well it was synced.
func (h *Host) Sync() error {
	if !h.writable {
		return nil
	}
	if err := h.control(syncFile); err != nil {
		return hostError(h.path, "sync", err)
	}
	if err := h.probeFile(); err != nil {
		return hostError(h.path, "sync", err)
	}
	return nil
}

// control calls fn with the descriptor, again after each interruption by a signal. What fn does
// must therefore be idempotent.
func (h *Host) control(fn func(fd int) error) error {
	rc, err := h.f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := rc.Control(func(fd uintptr) {
		for {
			if err = fn(int(fd)); !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	if cerr != nil {
		return os.ErrClosed // the only reason there is, under a name that has no export
	}
	return err
}

func (h *Host) check(op string, off, n int64) error {
	if err := CheckRange(op, off, n, h.size); err != nil {
		return fmt.Errorf("%s: %w", h.path, err)
	}
	return nil
}

func (h *Host) checkChange(op string, off, n int64) error {
	if !h.writable {
		return fmt.Errorf("%s: %w", h.path, readOnlyError(op, off, n))
	}
	return h.check(op, off, n)
}

func (h *Host) ioError(op string, off, n int64, err error) error {
	return hostError(h.path, fmt.Sprintf("%s of %d bytes at offset %d", op, n, off), err)
}

// hostError wraps the cause of err with path and operation, without the path that the os package
// has put there.
func hostError(path, op string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %s: %w", path, op, err)
}

func kindName(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&os.ModeNamedPipe != 0:
		return "FIFO"
	case m&os.ModeSocket != 0:
		return "socket"
	case m&os.ModeCharDevice != 0:
		return "character device"
	}
	return "special file"
}

var _ interface {
	Device
	Zeroer
	Discarder
} = (*Host)(nil)
