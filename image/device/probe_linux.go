package device

import (
	"errors"
	"math"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// aligned returns n bytes that begin at a multiple of n, as direct reads want it; n is a power of two.
func aligned(n int) []byte {
	b := make([]byte, 2*n)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) & uintptr(n-1)
	return b[skip:][:n:n]
}

// readUncached reads the start of the file with O_DIRECT. Where the host refuses that (tmpfs, some
// FUSE servers), and where it takes the flag and reads through its cache all the same (compressed,
// encrypted or journalled data), it is told first to drop what it has cached of the block.
func (h *Host) readUncached(p []byte) (int, error) {
	_ = h.control(func(fd int) error { return unix.Fadvise(fd, 0, int64(len(p)), unix.FADV_DONTNEED) })
	f, err := h.directFile()
	if err != nil {
		return 0, err
	}
	if f != nil {
		n, err := readThrough(f, p)
		if !refusesDirect(err) {
			return n, err
		}
		h.probe.noDirect.Store(true)
	}
	return readThrough(h.f, p)
}

// directFile returns the second descriptor, opened at the first call, or nil where there can be none.
func (h *Host) directFile() (*os.File, error) {
	if h.probe.noDirect.Load() {
		return nil, nil
	}
	if f := h.probe.direct.Load(); f != nil {
		return f, nil
	}
	var fd int
	err := h.control(func(own int) (err error) {
		// The path may lead to another file by now; the descriptor does not.
		link := "/proc/self/fd/" + strconv.Itoa(own)
		const flags = unix.O_RDONLY | unix.O_DIRECT | unix.O_CLOEXEC
		// A look should leave no trace; but only the owner may ask for that.
		if fd, err = unix.Open(link, flags|unix.O_NOATIME, 0); errors.Is(err, unix.EPERM) {
			fd, err = unix.Open(link, flags, 0)
		}
		return err
	})
	switch {
	case err == nil:
		return h.probe.keep(os.NewFile(uintptr(fd), h.path)), nil
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM):
		return nil, nil // for this time
	case refusesDirect(err), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM),
		errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP),
		errors.Is(err, unix.EROFS), errors.Is(err, unix.EBUSY):
		// No /proc, no right to open what was opened before, or no direct reads.
		h.probe.noDirect.Store(true)
		return nil, nil
	}
	return nil, err
}

func refusesDirect(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)
}

// HostReadOnly reports whether the file system that holds the file is mounted read-only now, whatever
// the file was opened for. Hosts become so by an error of theirs too, and a sync of such a host may
// report success without having written anything.
func (h *Host) HostReadOnly() (bool, error) {
	var ro bool
	err := h.control(func(fd int) error {
		if h.disk {
			n, err := unix.IoctlGetUint32(fd, unix.BLKROGET)
			ro = n != 0
			return err
		}
		var st unix.Statfs_t
		err := unix.Fstatfs(fd, &st)
		ro = st.Flags&unix.ST_RDONLY != 0
		return err
	})
	if err != nil {
		return false, hostError(h.path, "statfs", err)
	}
	return ro, nil
}

// HostRoom is how many bytes can be written to parts of the file that have no storage yet, or 0 if the file system
// that holds it is mounted read-only. A device has storage for all of it.
func (h *Host) HostRoom() (int64, error) {
	if h.disk {
		return math.MaxInt64, nil
	}
	var st unix.Statfs_t
	if err := h.control(func(fd int) error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0, hostError(h.path, "statfs", err)
	}
	if st.Flags&unix.ST_RDONLY != 0 || st.Bsize <= 0 {
		return 0, nil
	}
	return int64(min(st.Bavail, math.MaxInt64/uint64(st.Bsize))) * int64(st.Bsize), nil
}

var pageSize = int64(os.Getpagesize())

// ReadNoWait reads as ReadAt does if that takes no waiting for the medium. It returns false, having
// read nothing that counts, if it would, or if the host cannot say.
//
// RWF_NOWAIT alone does not keep its promise: for pages that are not cached it begins to read ahead,
// and that waits when the queue of the device under it is full, which is what a dying stick looks
// like. So only what is cached whole is asked for. A host that lies in memory knows no RWF_NOWAIT; there, what
// is cached is read without it.
func (h *Host) ReadNoWait(p []byte, off int64) (done bool, err error) {
	if h.probe.noNoWait.Load() || len(p) == 0 {
		return false, nil
	}
	if err := h.check("read", off, int64(len(p))); err != nil {
		return false, err
	}
	err = h.control(func(fd int) error {
		if all, err := h.cached(fd, off, int64(len(p))); err != nil || !all {
			return err
		}
		n, err := 0, error(nil)
		if h.probe.inMemory {
			n, err = unix.Pread(fd, p, off)
		} else {
			n, err = unix.Preadv2(fd, [][]byte{p}, off, unix.RWF_NOWAIT)
		}
		done = err == nil && n == len(p)
		return err
	})
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM):
		h.probe.noNoWait.Store(true)
	}
	return done, nil // the call that waits has the word on errors
}

// liesInMemory reports whether the file is one of a file system without any device. It may wait for the host.
func (h *Host) liesInMemory() bool {
	var st unix.Statfs_t
	err := h.control(func(fd int) error { return unix.Fstatfs(fd, &st) })
	return err == nil && (uint32(st.Type) == unix.TMPFS_MAGIC || uint32(st.Type) == unix.RAMFS_MAGIC)
}

// WriteBack writes what the host has cached of a range to the medium, and waits for that. It makes
// nothing durable: that takes a Sync. Where the host has no such call it returns errors.ErrUnsupported.
func (h *Host) WriteBack(off, n int64) error {
	if err := h.check("write back", off, n); err != nil || n == 0 {
		return err // a length of 0 would mean everything
	}
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	able := false
	err := h.control(func(fd int) error {
		// Whether there is such a call says one that does nothing: an error of the other may be any that a server gave for
		// what it did not write, and is not told again.
		if err := unix.SyncFileRange(fd, off, n, 0); err != nil {
			return err
		}
		able = true
		return unix.SyncFileRange(fd, off, n, all)
	})
	switch {
	case err == nil:
		return nil
	case !able && !errors.Is(err, os.ErrClosed):
		return errors.ErrUnsupported
	}
	return h.ioError("write back", off, n, err)
}
