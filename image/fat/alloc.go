package fat

import (
	"fmt"
	"math/bits"
)

// An extent is a run of consecutive clusters.
type extent struct {
	start Cluster
	n     uint32
}

// A window is a run of free clusters kept for one file that grows, so that files written at the
// same time do not interleave cluster by cluster. It costs nothing on the medium, counts as free,
// and is given up when clusters get short. Guarded by table.mu.
type window struct {
	extent
}

// A reservation holds clusters that no other caller gets, with their pages of the FAT in memory,
// so that linking them cannot fail.
type reservation struct {
	extents []extent
	count   uint32
	pages   []*page
}

// first is the first reserved cluster.
func (r *reservation) first() Cluster { return r.extents[0].start }

// markPage marks clusters whose entry is 0 and that must not be handed out: reserved ones, windows,
// and freed ones whose entry on the medium is not known to be 0 yet.
type markPage struct {
	bits []uint64
	n    int
}

func (t *table) markLocked(c Cluster) {
	idx := uint32(c) / t.perPage
	m := t.marks[idx]
	if m == nil {
		m = &markPage{bits: make([]uint64, (t.perPage+63)/64)}
		t.marks[idx] = m
	}
	i := uint32(c) % t.perPage
	if m.bits[i/64]&(1<<(i%64)) == 0 {
		m.bits[i/64] |= 1 << (i % 64)
		m.n++
	}
}

// unmarkLocked takes the mark of a cluster back, and reports whether it had one. If its entry is 0 it may be handed
// out again, of which the caller tells roomierLocked.
func (t *table) unmarkLocked(c Cluster) bool {
	idx := uint32(c) / t.perPage
	m := t.marks[idx]
	if m == nil {
		return false
	}
	i := uint32(c) % t.perPage
	if m.bits[i/64]&(1<<(i%64)) == 0 {
		return false
	}
	m.bits[i/64] &^= 1 << (i % 64)
	if m.n--; m.n == 0 {
		delete(t.marks, idx)
	}
	return true
}

func (t *table) markExtentLocked(e extent) {
	for i := uint32(0); i < e.n; i++ {
		t.markLocked(e.start + Cluster(i))
	}
}

func (t *table) unmarkExtentLocked(e extent) {
	for i := uint32(0); i < e.n; i++ {
		if c := e.start + Cluster(i); t.unmarkLocked(c) {
			t.roomierLocked(uint32(c) / t.perPage)
		}
	}
}

// straddles reports whether the i-th entry of a page lies across two atoms, as one in 341 does on FAT12.
// Such an entry cannot be changed at once, and where a chain ends is changed: so these clusters are handed
// out only when there is no other.
func (t *table) straddles(i uint32) bool {
	if !t.narrow {
		return false
	}
	from, to := t.w.span(i)
	return from/atom != (to-1)/atom
}

// scanPageLocked returns the first allocatable run in page p at or after entry i, at most want long.
func (t *table) scanPageLocked(p *page, i, want uint32) (start, n uint32) {
	end := min(t.perPage, t.entries-p.idx*t.perPage)
	m := t.marks[p.idx]
	for ; i < end; i++ {
		free := t.w.get(p.data, i) == 0 && (m == nil || m.bits[i/64]&(1<<(i%64)) == 0) && (t.anyEntry || !t.straddles(i))
		switch {
		case free && n == 0:
			start, n = i, 1
		case free:
			n++
		case n > 0:
			return start, n
		}
		if n > 0 && n >= want {
			return start, n
		}
	}
	return start, n
}

// lookAhead bounds the pages that the search goes on for after a run that is shorter than wanted.
const lookAhead = 4

// findLocked searches for a run of free clusters, next-fit from the given one. It returns the
// first that is long enough, or the longest of those near the first found, and n == 0 when there
// is none.
func (t *table) findLocked(from Cluster, want uint32) (best extent, err error) {
	if !t.contains(from) {
		from = firstCluster
	}
	startPage := uint32(from) / t.perPage
	extra := lookAhead
	for k := uint32(0); k <= t.pageCount; k++ {
		idx := (startPage + k) % t.pageCount
		bound, known := t.longestLocked(idx)
		if known && bound == 0 {
			continue
		}
		if best.n > 0 {
			if extra--; extra < 0 {
				return best, nil
			}
			if known && bound <= best.n {
				continue
			}
		}
		p, err := t.pageLocked(idx)
		if err != nil {
			return extent{}, err
		}
		var i uint32
		if k == 0 {
			i = uint32(from) % t.perPage
		}
		if idx == 0 {
			i = max(i, uint32(firstCluster))
		}
		for longest := uint32(0); !known || best.n < bound; {
			s, n := t.scanPageLocked(p, i, want)
			if n == 0 {
				if k > 0 {
					t.noteLongestLocked(idx, longest)
				}
				break
			}
			e := extent{Cluster(idx*t.perPage + s), n}
			if s+n == t.perPage && n < want {
				if e.n, err = t.continueLocked(idx+1, n, want); err != nil {
					return extent{}, err
				}
			}
			longest = max(longest, e.n)
			if e.n > best.n {
				best = e
			}
			if best.n >= want {
				return best, nil
			}
			i = s + n
		}
	}
	return best, nil
}

// continueLocked extends a run of n clusters that ends with its page into the pages from idx on.
func (t *table) continueLocked(idx, n, want uint32) (uint32, error) {
	for ; idx < t.pageCount && n < want; idx++ {
		p, err := t.pageLocked(idx)
		if err != nil {
			return 0, err
		}
		s, more := t.scanPageLocked(p, 0, want-n)
		if more == 0 || s != 0 {
			break
		}
		n += more
		if more < t.perPage {
			break
		}
	}
	return n, nil
}

// reserve takes up to want clusters, consecutive after goal where possible (goal 0: anywhere), and
// keeps ahead more in win for the next call where they follow. It returns fewer, even none, only
// when there are no more; of those whose entries lie across two atoms only with straddling. The pages of
// the clusters, and of goal-1 where goal is given, stay in memory until link or unreserve.
func (t *table) reserve(want uint32, goal Cluster, win *window, ahead uint32, straddling bool) (*reservation, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.anyEntry = false }()
	r := &reservation{}
	if goal > firstCluster {
		if err := t.pinLocked(r, extent{goal - 1, 1}); err != nil {
			return nil, err
		}
	}
	for r.count < want {
		if win != nil && win.n > 0 {
			n := min(win.n, want-r.count)
			if err := t.takeLocked(r, extent{win.start, n}); err != nil {
				t.undoLocked(r)
				return nil, err
			}
			win.start += Cluster(n)
			win.n -= n
			continue
		}
		from := t.hint
		if r.count > 0 {
			last := r.extents[len(r.extents)-1]
			from = last.start + Cluster(last.n)
		} else if goal != 0 {
			from = goal
		}
		e, err := t.findLocked(from, want-r.count+ahead)
		if err != nil {
			t.undoLocked(r)
			return nil, err
		}
		if e.n == 0 {
			if t.dropWindowsLocked() {
				continue
			}
			if t.narrow && !t.anyEntry {
				if !straddling {
					break
				}
				t.anyEntry = true
				clear(t.longest)
				continue
			}
			t.noticeFullLocked()
			break
		}
		t.markExtentLocked(e)
		n := min(e.n, want-r.count)
		if err := t.takeLocked(r, extent{e.start, n}); err != nil {
			t.unmarkExtentLocked(e)
			t.undoLocked(r)
			return nil, err
		}
		t.hint = e.start + Cluster(e.n)
		if e.n > n {
			if win == nil {
				t.unmarkExtentLocked(extent{e.start + Cluster(n), e.n - n})
				t.hint = e.start + Cluster(n)
			} else {
				win.extent = extent{e.start + Cluster(n), e.n - n}
				t.windows[win] = struct{}{}
			}
		}
	}
	return r, nil
}

// takeLocked adds marked clusters to r.
func (t *table) takeLocked(r *reservation, e extent) error {
	if err := t.pinLocked(r, e); err != nil {
		return err
	}
	if k := len(r.extents); k > 0 && r.extents[k-1].start+Cluster(r.extents[k-1].n) == e.start {
		r.extents[k-1].n += e.n
	} else {
		r.extents = append(r.extents, e)
	}
	r.count += e.n
	t.reserved += int64(e.n)
	return nil
}

func (t *table) pinLocked(r *reservation, e extent) error {
	for idx := uint32(e.start) / t.perPage; idx <= (uint32(e.start)+e.n-1)/t.perPage; idx++ {
		p, err := t.pageLocked(idx)
		if err != nil {
			return err
		}
		p.pins++
		r.pages = append(r.pages, p)
	}
	return nil
}

func (t *table) unpinLocked(r *reservation) {
	for _, p := range r.pages {
		p.pins--
	}
	r.pages = nil
}

// undoLocked gives a reservation back.
func (t *table) undoLocked(r *reservation) {
	for _, e := range r.extents {
		t.unmarkExtentLocked(e)
	}
	t.reserved -= int64(r.count)
	t.unpinLocked(r)
	r.extents, r.count = nil, 0
}

// unreserve gives a reservation back.
func (t *table) unreserve(r *reservation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.undoLocked(r)
}

// chainLocked chains the clusters of a reservation. The last leads to next, or is the end where that is 0.
func (t *table) chainLocked(r *reservation, next Cluster) {
	for k, e := range r.extents {
		for i := uint32(0); i < e.n; i++ {
			c := e.start + Cluster(i)
			value := t.w.eoc()
			switch {
			case i+1 < e.n:
				value = uint32(c) + 1
			case k+1 < len(r.extents):
				value = uint32(r.extents[k+1].start)
			case next != 0:
				value = uint32(next)
			}
			t.setLocked(t.pages[uint32(c)/t.perPage], c, value)
			t.unmarkLocked(c)
		}
	}
}

// link turns a reservation into a chain. With tail != 0 the chain continues the one that ends with
// tail, in phaseLink when the volume refers to tail already (durable), else in phaseBody. barrier
// says that the clusters' data must be on the medium before that.
func (t *table) link(r *reservation, tail Cluster, durable, barrier bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.chainLocked(r, 0)
	if tail != 0 {
		p := t.pages[uint32(tail)/t.perPage]
		if durable {
			t.editLocked(p, tail, uint32(r.first()), phaseLink, barrier)
		} else {
			t.setLocked(p, tail, uint32(r.first()))
		}
	}
	t.reserved -= int64(r.count)
	t.unpinLocked(r)
}

// closeWindow gives up what is left of w.
func (t *table) closeWindow(w *window) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeWindowLocked(w)
}

func (t *table) closeWindowLocked(w *window) {
	if w.n == 0 {
		delete(t.windows, w)
		return
	}
	t.unmarkExtentLocked(w.extent)
	// The next file starts where this one stopped, so that small files lie side by side.
	if t.hint == w.start+Cluster(w.n) {
		t.hint = w.start
	}
	w.extent = extent{}
	delete(t.windows, w)
}

// dropWindowsLocked gives up all windows, and reports whether that freed any cluster.
func (t *table) dropWindowsLocked() bool {
	any := false
	for w := range t.windows {
		any = any || w.n > 0
		t.closeWindowLocked(w)
	}
	return any
}

// noticeFullLocked mends the free count once a search of the whole table found nothing.
func (t *table) noticeFullLocked() {
	if t.counted < t.pageCount {
		return
	}
	marked := int64(0)
	for _, m := range t.marks {
		marked += int64(m.n)
	}
	if t.zero != marked {
		t.zero = marked
		t.mismatch = true
	}
}

// free returns the clusters that an application may hope to use, and false while they are not
// counted yet.
func (t *table) free() (uint32, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.zero - t.reserved + t.pending
	return uint32(min(max(n, 0), int64(t.geo.Clusters))), t.counted >= t.pageCount
}

// countPage counts the free entries of the next page, and reports whether all are counted.
func (t *table) countPage() (done bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counted >= t.pageCount {
		return true, nil
	}
	p, err := t.pageLocked(t.counted)
	if err != nil {
		return false, fmt.Errorf("count free clusters: %w", err)
	}
	t.zero += int64(t.zerosLocked(p))
	t.counted++
	return t.counted >= t.pageCount, nil
}

func (t *table) zerosLocked(p *page) (n int) {
	from := uint32(0)
	if p.idx == 0 {
		from = uint32(firstCluster)
	}
	end := min(t.perPage, t.entries-p.idx*t.perPage)
	for i := from; i < end; i++ {
		if t.w.get(p.data, i) == 0 {
			n++
		}
	}
	return n
}

// trustFree takes the free count of the FSInfo sector as counted.
func (t *table) trustFree(n uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.zero, t.counted = int64(n), t.pageCount
}

// recount counts the free entries anew, where the count of the FSInfo sector was relied on so far.
func (t *table) recount() error {
	t.mu.Lock()
	t.zero, t.counted = 0, 0
	t.mu.Unlock()
	for {
		if done, err := t.countPage(); done || err != nil {
			return err
		}
	}
}

// A deadChain is a chain that nothing in memory refers to; count of its clusters are to be freed.
type deadChain struct {
	first Cluster
	count uint32
}

// bury notes clusters that will be freed, so that they count as free from now on.
func (t *table) bury(count uint32) {
	t.mu.Lock()
	t.pending += int64(count)
	t.mu.Unlock()
}

// unbury takes bury back: the clusters stay in use.
func (t *table) unbury(count uint32) {
	t.mu.Lock()
	t.pending -= int64(count)
	t.mu.Unlock()
}

// freeLocked zeroes the entries of dead chains in memory until about pages of the FAT have changed.
// With quarantine they are marked and returned: not to be handed out before the medium knows. It
// returns the chains, or parts of them, that are left.
func (t *table) freeLocked(dead []deadChain, pages int, quarantine bool) (rest []deadChain, freed []extent, err error) {
	limit := t.dirtyN + pages
	for len(dead) > 0 {
		d := &dead[0]
		for d.count > 0 {
			if t.dirtyN >= limit {
				return dead, freed, nil
			}
			p, err := t.pageLocked(uint32(d.first) / t.perPage)
			if err != nil {
				return dead, freed, err
			}
			value := t.w.get(p.data, uint32(d.first)%t.perPage)
			if kind := t.w.classify(value, t.geo.Clusters); kind == entryFree || kind == entryBad || kind == entryInvalid || kind == entryEnd && d.count > 1 {
				// Another file's chain ran through this one, and took the rest with it.
				t.pending -= int64(d.count)
				d.count = 0
				err = fmt.Errorf("%w: cluster %d of a removed chain is %v, expected the next cluster", ErrCorrupt, d.first, kind)
				return dead[1:], freed, err
			}
			t.setLocked(p, d.first, 0)
			t.pending--
			d.count--
			if quarantine {
				t.markLocked(d.first)
				if k := len(freed); k > 0 && freed[k-1].start+Cluster(freed[k-1].n) == d.first {
					freed[k-1].n++
				} else {
					freed = append(freed, extent{d.first, 1})
				}
			}
			d.first = Cluster(value)
		}
		dead = dead[1:]
	}
	return nil, freed, nil
}

// release hands quarantined clusters back to the allocator.
func (t *table) release(es []extent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range es {
		t.unmarkExtentLocked(e)
	}
}

// freeRuns calls fn for the runs of allocatable clusters within [from, to), under no lock between
// pages, until fn returns an error. fn gets them marked: they stay out of reach until it returns.
func (t *table) freeRuns(from, to Cluster, fn func(extent) error) error {
	for c := max(from, firstCluster); c < to && t.contains(c); {
		t.mu.Lock()
		p, err := t.pageLocked(uint32(c) / t.perPage)
		if err != nil {
			t.mu.Unlock()
			return err
		}
		s, n := t.scanPageLocked(p, uint32(c)%t.perPage, t.perPage)
		base := Cluster(p.idx * t.perPage)
		if n == 0 || base+Cluster(s) >= to {
			t.mu.Unlock()
			c = base + Cluster(t.perPage)
			continue
		}
		e := extent{base + Cluster(s), min(n, uint32(to-base)-s)}
		t.markExtentLocked(e)
		t.mu.Unlock()
		err = fn(e)
		t.mu.Lock()
		t.unmarkExtentLocked(e)
		t.mu.Unlock()
		if err != nil {
			return err
		}
		c = e.start + Cluster(e.n)
	}
	return nil
}

// dirtyAtoms counts the atoms of the FAT that the open epoch changed.
func (t *table) dirtyAtoms() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pages {
		n += bits.OnesCount32(p.dirty)
	}
	return n
}
