package fat

import "sort"

// maxFreeRuns bounds the runs that a freeMap knows.
const maxFreeRuns = 1 << 13

// A freeMap knows free runs of the volume: all of them, or the largest. It is taken from the FAT once
// and is worn out by use: clusters that become free later are in the next one.
type freeMap struct {
	runs []extent // in the order of their clusters
}

// freeMap reads the whole FAT for the runs of free clusters in [from, to), but for those in avoid.
func (v *Volume) freeMap(from, to Cluster, avoid extent) (*freeMap, error) {
	f := &freeMap{}
	t := v.tab
	for idx := uint32(from) / t.perPage; idx < t.pageCount && Cluster(idx*t.perPage) < to; idx++ {
		t.mu.Lock()
		p, err := t.pageLocked(idx)
		if err != nil {
			t.mu.Unlock()
			return nil, err
		}
		base := idx * t.perPage
		for i := max(base, uint32(from), uint32(firstCluster)) - base; ; {
			s, n := t.scanPageLocked(p, i, t.perPage)
			if n == 0 || Cluster(base+s) >= to {
				break
			}
			f.add(extent{Cluster(base + s), min(n, uint32(to)-base-s)}, avoid)
			i = s + n
		}
		t.mu.Unlock()
	}
	f.shrink(maxFreeRuns)
	return f, nil
}

// add appends a run that lies behind all others, without what is to be avoided.
func (f *freeMap) add(e extent, avoid extent) {
	if avoid.n > 0 {
		end, stop := e.start+Cluster(e.n), avoid.start+Cluster(avoid.n)
		if e.start < stop && avoid.start < end {
			if e.start < avoid.start {
				f.add(extent{e.start, uint32(avoid.start - e.start)}, extent{})
			}
			if stop < end {
				f.add(extent{stop, uint32(end - stop)}, extent{})
			}
			return
		}
	}
	if k := len(f.runs); k > 0 && f.runs[k-1].start+Cluster(f.runs[k-1].n) == e.start {
		f.runs[k-1].n += e.n
		return
	}
	if len(f.runs) >= 2*maxFreeRuns {
		f.shrink(maxFreeRuns)
	}
	f.runs = append(f.runs, e)
}

// shrink forgets the smallest runs until there are at most so many.
func (f *freeMap) shrink(limit int) {
	if len(f.runs) <= limit {
		return
	}
	sizes := make([]uint32, len(f.runs))
	for i, r := range f.runs {
		sizes[i] = r.n
	}
	sort.Slice(sizes, func(a, b int) bool { return sizes[a] > sizes[b] })
	least, equal := sizes[limit-1], 0
	for _, n := range sizes[:limit] {
		if n == least {
			equal++
		}
	}
	kept := f.runs[:0]
	for _, r := range f.runs {
		if r.n > least || r.n == least && equal > 0 {
			if r.n == least {
				equal--
			}
			kept = append(kept, r)
		}
	}
	f.runs = kept
}

// one takes n clusters in one piece, from the smallest run that has them, and of those the first.
func (f *freeMap) one(n uint32) ([]extent, bool) {
	best := -1
	for i, r := range f.runs {
		if r.n >= n && (best < 0 || r.n < f.runs[best].n) {
			best = i
		}
	}
	if best < 0 {
		return nil, false
	}
	return []extent{f.take(best, n)}, true
}

// some takes n clusters in as few pieces as can be: the largest runs, until one has the rest. When
// there are fewer it takes none.
func (f *freeMap) some(n uint32) ([]extent, bool) {
	var es []extent
	before := append([]extent(nil), f.runs...)
	for n > 0 {
		if e, ok := f.one(n); ok {
			return append(es, e...), true
		}
		largest := -1
		for i, r := range f.runs {
			if largest < 0 || r.n > f.runs[largest].n {
				largest = i
			}
		}
		if largest < 0 {
			f.runs = before
			return nil, false
		}
		e := f.take(largest, f.runs[largest].n)
		es = append(es, e)
		n -= e.n
	}
	return es, true
}

// take takes the first n clusters of run i.
func (f *freeMap) take(i int, n uint32) extent {
	r := &f.runs[i]
	e := extent{r.start, n}
	r.start += Cluster(n)
	r.n -= n
	if r.n == 0 {
		f.runs = append(f.runs[:i], f.runs[i+1:]...)
	}
	return e
}
