package device

import (
	"errors"
	"math"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cached reports whether the host has all of a range in its cache; n > 0.
func (h *Host) cached(fd int, off, n int64) (bool, error) {
	first, end := off/pageSize, (off+n-1)/pageSize+1
	if !h.probe.noCachestat.Load() {
		r := unix.CachestatRange{Off: uint64(off), Len: uint64(n)}
		var s unix.Cachestat_t
		err := unix.Cachestat(uint(fd), &r, &s, 0)
		if !errors.Is(err, unix.ENOSYS) {
			return err == nil && s.Cache >= uint64(end-first), err
		}
		h.probe.noCachestat.Store(true)
	}
	return h.probe.residency.cached(fd, h.size, first, end)
}

// A residency asks mincore(2) what is cached of a file, as systems before Linux 6.5 know no cachestat(2). For that the
// file is mapped, with no access to it: no access, no fault.
type residency struct {
	mu     sync.RWMutex
	base   unsafe.Pointer // nil: not mapped
	pages  int64          // of the file
	closed bool
}

// errNoResidency means that mincore has nothing to say.
const errNoResidency = unix.EOPNOTSUPP

// cached reports whether pages [first, end) of the file of size bytes are.
func (r *residency) cached(fd int, size, first, end int64) (bool, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for r.base == nil {
		r.mu.RUnlock()
		err := r.open(fd, size)
		r.mu.RLock()
		if err != nil {
			return false, err
		}
	}
	if end > r.pages {
		return false, nil
	}
	return r.all(first, end)
}

// all asks for pages [first, end) of the mapping. The caller holds r.mu.
func (r *residency) all(first, end int64) (bool, error) {
	var in [256]byte // one for each page
	for ; first < end; first += int64(len(in)) {
		n := min(end-first, int64(len(in)))
		at := unsafe.Add(r.base, first*pageSize)
		if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(at), uintptr(n*pageSize), uintptr(unsafe.Pointer(&in))); errno != 0 {
			return false, errno
		}
		for _, b := range in[:n] {
			if b&1 == 0 {
				return false, nil
			}
		}
	}
	return true, nil
}

// open maps the file, and a page more: who may not know what is cached (neither owner nor writer) is told that
// everything is, and that of a page beyond the end too.
func (r *residency) open(fd int, size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return unix.EBADF
	}
	if r.base != nil {
		return nil
	}
	pages := (size + pageSize - 1) / pageSize
	if pages >= math.MaxInt/4/pageSize {
		return errNoResidency // a large part of all addresses there are
	}
	base, err := unix.MmapPtr(fd, 0, nil, uintptr((pages+1)*pageSize), unix.PROT_NONE, unix.MAP_SHARED)
	if err != nil {
		return errNoResidency
	}
	r.base, r.pages = base, pages
	beyond, err := r.all(pages, pages+1)
	if beyond || err != nil {
		r.unmap()
		return errNoResidency
	}
	return nil
}

// close ends it. Nothing is mapped from then on.
func (r *residency) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.base != nil {
		r.unmap()
	}
}

func (r *residency) unmap() {
	_ = unix.MunmapPtr(r.base, uintptr((r.pages+1)*pageSize)) // it cannot fail for a whole mapping of ours
	r.base = nil
}
