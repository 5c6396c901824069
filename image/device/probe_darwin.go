package device

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func aligned(n int) []byte { return make([]byte, n) }

// readUncached reads the start of the file through a second descriptor with F_NOCACHE.
func (h *Host) readUncached(p []byte) (int, error) {
	f, err := h.directFile()
	if err != nil {
		return 0, err
	}
	if f == nil {
		f = h.f
	}
	return readThrough(f, p)
}

// directFile returns the second descriptor, opened at the first call, or nil where there can be none.
// It is opened by the path that the file has now; to open /dev/fd/N would make a duplicate, for which
// F_NOCACHE cannot be set alone.
func (h *Host) directFile() (*os.File, error) {
	if h.probe.noDirect.Load() {
		return nil, nil
	}
	if f := h.probe.direct.Load(); f != nil {
		return f, nil
	}
	f, err := h.openAgain()
	if err != nil {
		h.probe.noDirect.Store(true)
		return nil, nil
	}
	return h.probe.keep(f), nil
}

func (h *Host) openAgain() (*os.File, error) {
	var path [unix.PathMax]byte
	err := h.control(func(fd int) error {
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), unix.F_GETPATH, uintptr(unsafe.Pointer(&path))); errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(unix.ByteSliceToString(path[:]), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if err := h.noCache(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// noCache makes the reads of f uncached, if f is the file that is open already.
func (h *Host) noCache(f *os.File) error {
	mine, err := h.f.Stat()
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(mine, st) {
		return unix.ESTALE
	}
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := rc.Control(func(fd uintptr) { _, err = unix.FcntlInt(fd, unix.F_NOCACHE, 1) })
	return errors.Join(cerr, err)
}

// HostReadOnly reports whether the file system that holds the file is mounted read-only now.
func (h *Host) HostReadOnly() (bool, error) {
	var st unix.Statfs_t
	if err := h.control(func(fd int) error { return unix.Fstatfs(fd, &st) }); err != nil {
		return false, hostError(h.path, "statfs", err)
	}
	return st.Flags&unix.MNT_RDONLY != 0, nil
}
