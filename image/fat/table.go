package fat

import (
	"fmt"
	"math/bits"
	"sync"

	"fatvol/image/device"
)

const (
	// pageBytes is the unit in which the FAT is read and kept. One page holds every entry that a
	// FAT12 volume can have, so that no entry lies across two pages.
	pageBytes  = 8192
	pageAtoms  = pageBytes / atom
	cleanPages = 64 // lower bound of clean pages kept, whatever CacheBytes says
)

// A fatEdit is what an entry was before the open epoch changed it in a phase later than phaseBody.
type fatEdit struct {
	c     Cluster
	old   uint32
	phase phase
	// barrier: data must be on the medium before the change, as a directory's new cluster must be
	// zeros before the directory reaches it.
	barrier bool
}

// A page holds pageBytes of the FAT with all changes of memory applied.
type page struct {
	idx   uint32
	data  []byte
	dirty uint32    // atoms that the open epoch changed
	body  uint32    // those of them that have changes of phaseBody
	edits []fatEdit // in the order of their phases for each entry
	pins  int32     // reservations and commits that need the page in memory
	hot   bool      // used since the clock hand passed
}

// table is the file allocation table: a cache of pages of the active FAT, the allocator's marks,
// and the count of free clusters. The other copies are written by commits only.
type table struct {
	dev  device.Device
	geo  *Geometry
	w    *width
	base int64 // offset of the active FAT
	// perPage is the number of entries in a page; entries counts all, with the two reserved ones.
	perPage, entries, pageCount uint32

	mu       sync.Mutex // guards everything below; held across the read of a page
	pages    map[uint32]*page
	clock    []*page // the pages in no order, swept by hand
	hand     int
	maxPages int
	dirtyN   int // pages with changes of the open epoch
	marks    map[uint32]*markPage
	longest  []uint16 // see longestLocked: 0 for a page that nothing is known of
	hint     Cluster  // where the search for a new file's clusters starts
	windows  map[*window]struct{}
	zero     int64  // entries that are 0, in pages below counted
	counted  uint32 // pages counted so far
	reserved int64  // clusters handed out and not yet linked
	pending  int64  // clusters of dead chains, not yet zeroed
	mismatch bool   // the free count proved wrong, and said so
	// touched has the clusters whose entries changed since a repair began to look; nil otherwise.
	touched *clusterSet
	narrow  bool // FAT12: some entries straddle atoms
	// anyEntry lets the search for free clusters take those clusters.
	anyEntry bool
}

func newTable(dev device.Device, geo *Geometry, cacheBytes int64) *table {
	w := widths[geo.Width]
	t := &table{
		dev:      dev,
		geo:      geo,
		w:        w,
		base:     geo.activeFAT(),
		entries:  geo.Clusters + uint32(firstCluster),
		pages:    make(map[uint32]*page),
		marks:    make(map[uint32]*markPage),
		windows:  make(map[*window]struct{}),
		hint:     firstCluster,
		narrow:   geo.Width == FAT12,
		maxPages: max(cleanPages, int(cacheBytes/2/pageBytes)),
	}
	switch geo.Width {
	case FAT12:
		t.perPage = pageBytes * 2 / 3
	case FAT16:
		t.perPage = pageBytes / 2
	default:
		t.perPage = pageBytes / 4
	}
	t.pageCount = (t.entries + t.perPage - 1) / t.perPage
	t.longest = make([]uint16, t.pageCount)
	return t
}

// contains reports whether c is a data cluster of the volume.
func (t *table) contains(c Cluster) bool {
	return c >= firstCluster && uint32(c) < t.entries
}

// pageLocked returns page idx, reading it where needed. The caller holds t.mu.
func (t *table) pageLocked(idx uint32) (*page, error) {
	if p := t.pages[idx]; p != nil {
		p.hot = true
		return p, nil
	}
	t.evictLocked()
	off := int64(idx) * pageBytes
	p := &page{idx: idx, data: make([]byte, min(pageBytes, t.geo.FATBytes-off)), hot: true}
	if _, err := t.dev.ReadAt(p.data, t.base+off); err != nil {
		return nil, fmt.Errorf("read FAT page %d: %w", idx, err)
	}
	device.Keep(t.dev, t.base+off, p.data)
	t.pages[idx] = p
	t.clock = append(t.clock, p)
	return p, nil
}

// evictLocked makes room for one more page by dropping clean ones that were not used lately.
func (t *table) evictLocked() {
	for tries := 2 * len(t.clock); len(t.clock) >= t.maxPages && tries > 0; tries-- {
		if t.hand >= len(t.clock) {
			t.hand = 0
		}
		p := t.clock[t.hand]
		switch {
		case p.pins > 0 || p.dirty != 0:
			t.hand++
		case p.hot:
			p.hot = false
			t.hand++
		default:
			delete(t.pages, p.idx)
			device.Forget(t.dev, t.base+int64(p.idx)*pageBytes, int64(len(p.data)))
			last := len(t.clock) - 1
			t.clock[t.hand] = t.clock[last]
			t.clock[last] = nil
			t.clock = t.clock[:last]
		}
	}
}

// entryLocked returns the value of c's entry. c must be less than t.entries.
func (t *table) entryLocked(c Cluster) (uint32, error) {
	p, err := t.pageLocked(uint32(c) / t.perPage)
	if err != nil {
		return 0, err
	}
	return t.w.get(p.data, uint32(c)%t.perPage), nil
}

// storeLocked changes c's entry in its page, which is in memory, and keeps the free count.
func (t *table) storeLocked(p *page, c Cluster, value uint32) {
	i := uint32(c) % t.perPage
	old := t.w.get(p.data, i)
	t.w.set(p.data, i, value)
	if t.touched != nil {
		t.touched.add(c)
	}
	if p.idx < t.counted {
		switch {
		case old == 0 && value != 0:
			t.zero--
		case old != 0 && value == 0:
			t.zero++
		}
	}
	if value == 0 {
		t.roomierLocked(p.idx)
	}
}

// setLocked changes c's entry in phaseBody.
func (t *table) setLocked(p *page, c Cluster, value uint32) {
	t.storeLocked(p, c, value)
	p.body |= t.dirtyLocked(p, c)
}

// dirtyLocked notes that c's entry differs from the medium, and returns the atoms it lies in.
func (t *table) dirtyLocked(p *page, c Cluster) uint32 {
	if p.dirty == 0 {
		t.dirtyN++
	}
	mask := t.atomsOf(c)
	p.dirty |= mask
	return mask
}

// atomsOf is the mask of the atoms of its page that c's entry lies in: one, or two on FAT12.
func (t *table) atomsOf(c Cluster) uint32 {
	from, to := t.w.span(uint32(c) % t.perPage)
	return 1<<(from/atom) | 1<<((to-1)/atom)
}

// editLocked changes c's entry in phase ph, and remembers what it was.
func (t *table) editLocked(p *page, c Cluster, value uint32, ph phase, barrier bool) {
	p.edits = append(p.edits, fatEdit{c, t.w.get(p.data, uint32(c)%t.perPage), ph, barrier})
	t.storeLocked(p, c, value)
	t.dirtyLocked(p, c)
}

// segment follows the chain from c while its clusters are consecutive, for at most limit (> 0)
// clusters. It returns how many there are (at least 1, c itself), what the FAT holds for the last
// of them, and that value's kind.
func (t *table) segment(c Cluster, limit uint32) (n, value uint32, kind entryKind, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.segmentLocked(c, limit)
}

func (t *table) segmentLocked(c Cluster, limit uint32) (n, value uint32, kind entryKind, err error) {
	var p *page
	for n = 1; ; n++ {
		idx := uint32(c) / t.perPage
		if p == nil || p.idx != idx {
			if p, err = t.pageLocked(idx); err != nil {
				return 0, 0, 0, err
			}
		}
		value = t.w.get(p.data, uint32(c)%t.perPage)
		if value != uint32(c)+1 || value >= t.entries || n >= limit {
			return n, value, t.w.classify(value, t.geo.Clusters), nil
		}
		c++
	}
}

// renderLocked returns the bytes of atom a of p as they are in phase ph.
func (t *table) renderLocked(p *page, a int, ph phase) []byte {
	from := a * atom
	to := min(from+atom, len(p.data))
	img := append([]byte(nil), p.data[from:to]...)
	if len(p.edits) == 0 {
		return img
	}
	// Entries of FAT12 lie across atoms: put edits back in a copy of the whole page.
	var whole []byte
	for i := len(p.edits) - 1; i >= 0; i-- {
		e := p.edits[i]
		if e.phase <= ph {
			continue
		}
		lo, hi := t.w.span(uint32(e.c) % t.perPage)
		if hi <= int64(from) || lo >= int64(to) {
			continue
		}
		if whole == nil {
			whole = append([]byte(nil), p.data...)
		}
		t.w.set(whole, uint32(e.c)%t.perPage, e.old)
	}
	if whole != nil {
		copy(img, whole[from:to])
	}
	return img
}

// atomOffset is where atom a of page idx lies in the given copy of the FAT.
func (t *table) atomOffset(idx uint32, a, copyNr int) int64 {
	return t.geo.FATStart + int64(copyNr)*t.geo.FATBytes + int64(idx)*pageBytes + int64(a)*atom
}

// dirtyPagesLocked returns the pages that the open epoch changed.
func (t *table) dirtyPagesLocked() []*page {
	out := make([]*page, 0, t.dirtyN)
	for _, p := range t.pages {
		if p.dirty != 0 {
			out = append(out, p)
		}
	}
	return out
}

// atoms calls fn for each set bit of a dirty mask.
func atoms(mask uint32, fn func(a int)) {
	for ; mask != 0; mask &= mask - 1 {
		fn(bits.TrailingZeros32(mask))
	}
}
