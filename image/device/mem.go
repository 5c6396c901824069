package device

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

// memPage is the unit in which a Mem holds its bytes.
const memPage = 4096

// Mem is a device in memory. Only pages that were written to take any, so that a device of
// 2 TiB costs nothing until it is filled.
type Mem struct {
	size int64
	// mu guards pages, epoch and the bytes of the pages that this Mem owns.
	mu    sync.RWMutex
	pages map[int64]*page // by page number; an absent page reads as zeros
	// epoch marks the pages that may be changed in place: a clone shares the others.
	epoch *byte
}

// page is shared between clones until one of them writes to it.
type page struct {
	owner *byte
	data  [memPage]byte
}

// NewMem returns a device of size zero bytes. A negative size counts as none.
func NewMem(size int64) *Mem {
	return &Mem{size: max(size, 0), pages: make(map[int64]*page), epoch: new(byte)}
}

// Clone returns an independent device with the contents of m at this moment. The two share
// what neither of them has written to since, so a clone costs little.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Mem{size: m.size, pages: make(map[int64]*page, len(m.pages)), epoch: new(byte)}
	for no, p := range m.pages {
		c.pages[no] = p
	}
	m.epoch = new(byte) // m may not change the shared pages in place either
	return c
}

// Snapshot returns the contents of m at this moment as a device that cannot be changed.
func (m *Mem) Snapshot() Device { return ReadOnly(m.Clone()) }

// Allocated is the number of bytes that take memory.
func (m *Mem) Allocated() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return int64(len(m.pages)) * memPage
}

// Equal reports whether o holds the same bytes, and the offset of the first that differs.
func (m *Mem) Equal(o *Mem) (diff int64, equal bool) {
	// Clones, so that no two locks are held at once.
	a, b := m.Clone(), o.Clone()
	if a.size != b.size {
		return min(a.size, b.size), false
	}
	nos := append(a.pageNumbersLocked(), b.pageNumbersLocked()...)
	slices.Sort(nos)
	for _, no := range slices.Compact(nos) {
		pa, pb := a.pages[no], b.pages[no]
		if pa == pb {
			continue
		}
		da, db := zeros[:memPage], zeros[:memPage]
		if pa != nil {
			da = pa.data[:]
		}
		if pb != nil {
			db = pb.data[:]
		}
		for i := range da {
			if da[i] != db[i] {
				return no*memPage + int64(i), false
			}
		}
	}
	return 0, true
}

// Size is the length in bytes.
func (m *Mem) Size() int64 { return m.size }

// Sync does nothing: there is no stable storage under a Mem.
func (m *Mem) Sync() error { return nil }

// ReadAt fills p from the byte offset off.
func (m *Mem) ReadAt(p []byte, off int64) (int, error) {
	if err := CheckRange("read", off, int64(len(p)), m.size); err != nil {
		return 0, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	eachPage(off, int64(len(p)), func(no, at, from, n int64) {
		if pg := m.pages[no]; pg != nil {
			copy(p[at:at+n], pg.data[from:])
		} else {
			clear(p[at : at+n])
		}
	})
	return len(p), nil
}

// WriteAt writes p at the byte offset off.
func (m *Mem) WriteAt(p []byte, off int64) (int, error) {
	if err := CheckRange("write", off, int64(len(p)), m.size); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writeLocked(p, off)
	return len(p), nil
}

// ZeroAt makes a range read as zeros and frees the pages that it covers whole.
func (m *Mem) ZeroAt(off, n int64) error {
	if err := CheckRange("zero", off, n, m.size); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.zeroLocked(off, n)
	return nil
}

// DiscardAt is ZeroAt: a discarded range reads as zeros.
func (m *Mem) DiscardAt(off, n int64) error {
	if err := CheckRange("discard", off, n, m.size); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.zeroLocked(off, n)
	return nil
}

func (m *Mem) writeLocked(p []byte, off int64) {
	eachPage(off, int64(len(p)), func(no, at, from, n int64) {
		copy(m.ownLocked(no).data[from:], p[at:at+n])
	})
}

func (m *Mem) zeroLocked(off, n int64) {
	first, end := off/memPage, (off+n+memPage-1)/memPage
	if end-first <= int64(len(m.pages)) {
		eachPage(off, n, func(no, _, from, n int64) { m.zeroPageLocked(no, from, n) })
		return
	}
	// A range of many pages, few of which exist: go by what exists.
	for no := range m.pages {
		start := max(off, no*memPage)
		if stop := min(off+n, (no+1)*memPage); start < stop {
			m.zeroPageLocked(no, start-no*memPage, stop-start)
		}
	}
}

func (m *Mem) zeroPageLocked(no, from, n int64) {
	switch {
	case m.pages[no] == nil:
	case n == memPage:
		delete(m.pages, no)
	default:
		clear(m.ownLocked(no).data[from : from+n])
	}
}

// ownLocked returns page no, which may be changed in place.
func (m *Mem) ownLocked(no int64) *page {
	p := m.pages[no]
	if p != nil && p.owner == m.epoch {
		return p
	}
	own := &page{owner: m.epoch}
	if p != nil {
		own.data = p.data
	}
	m.pages[no] = own
	return own
}

func (m *Mem) pageNumbersLocked() []int64 {
	nos := make([]int64, 0, len(m.pages))
	for no := range m.pages {
		nos = append(nos, no)
	}
	slices.Sort(nos)
	return nos
}

// eachPage calls fn for each page that [off, off+n) touches: its number, how far into the range
// it begins, and the part of it that the range covers.
func eachPage(off, n int64, fn func(no, at, from, n int64)) {
	for at := int64(0); at < n; {
		no, from := (off+at)/memPage, (off+at)%memPage
		m := min(memPage-from, n-at)
		fn(no, at, from, m)
		at += m
	}
}

func isZero(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), zeroChunk)
		if !bytes.Equal(p[:n], zeros[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}

var _ interface {
	Device
	Zeroer
	Discarder
	io.ReaderAt
} = (*Mem)(nil)
