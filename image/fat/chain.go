package fat

import (
	"fmt"
	"sort"
	"sync"
)

const (
	// maxRuns bounds the runs kept for one chain. Beyond it every second run is forgotten, and
	// the way from the nearest kept one is walked in the FAT: memory stays bounded, and a lookup
	// in the most fragmented file there can be walks at most some dozen entries.
	maxRuns = 1 << 16
	// walkAhead is the least number of clusters that one step of reading a chain covers.
	walkAhead = 1 << 12
)

// A chainRun says that clusters at, at+1, … of a chain are the clusters of an extent.
type chainRun struct {
	at uint32
	extent
}

// chain is what is known of a file's or directory's clusters, read from the FAT as far as needed.
type chain struct {
	mu sync.Mutex // guards everything below; held across reads of the FAT
	// runs are ordered by at. The first begins at 0, the last ends at length; with sparse set there
	// may be gaps between them.
	runs     []chainRun
	only     [1]chainRun // memory of runs at first, and mostly for good
	sparse   bool
	length   uint32 // clusters known
	complete bool   // the chain ends after length clusters
	bad      error  // why it cannot be followed beyond length
	// turtle is the cluster at index lap, which a chain that loops meets again (Brent's cycle
	// detection: no memory, and no more than three times the steps).
	turtle   Cluster
	lap, pow uint32
}

// newChain is the chain that starts at first, of which nothing is known; with first 0, an empty one.
func newChain(first Cluster) *chain {
	ch := &chain{}
	ch.reset(first)
	return ch
}

func (ch *chain) reset(first Cluster) {
	ch.runs, ch.sparse, ch.length, ch.bad = nil, false, 0, nil
	ch.complete = first == 0
	ch.turtle, ch.lap, ch.pow = first, 0, 1
	if first != 0 {
		ch.only[0] = chainRun{0, extent{first, 0}}
		ch.runs = ch.only[:]
	}
}

// extend reads the chain until at least want clusters are known, or it ends. The caller holds
// ch.mu. It returns ch.bad when the chain is damaged before that.
func (ch *chain) extend(t *table, want uint32) error {
	for ch.length < want && !ch.complete && ch.bad == nil {
		last := &ch.runs[len(ch.runs)-1]
		from := last.start + Cluster(last.n)
		if last.n == 0 { // the first cluster, which the directory entry names
			if !t.contains(from) {
				ch.bad = fmt.Errorf("%w: chain starts at cluster %d, expected 2 to %d", ErrCorrupt, from, t.entries-1)
				return ch.bad
			}
		}
		// from is known to belong to the chain: either the first, or the value of its predecessor.
		n, value, kind, err := t.segment(from, max(want-ch.length, walkAhead))
		if err != nil {
			return err
		}
		if err := ch.follow(t, from, n, value, kind); err != nil {
			return err
		}
	}
	if ch.length < want {
		return ch.bad
	}
	return nil
}

// follow takes in n consecutive clusters from c, of which the last holds value.
func (ch *chain) follow(t *table, c Cluster, n, value uint32, kind entryKind) error {
	if kind == entryFree || kind == entryBad {
		// The cluster itself is not one of a chain: it holds no data of the file.
		n--
	}
	last := &ch.runs[len(ch.runs)-1]
	looped := false
	for i := uint32(0); i < n && !looped; i++ { // Brent, one step a cluster
		idx := ch.length + i
		if idx > 0 && c+Cluster(i) == ch.turtle {
			looped = true
			n = i
		} else if idx == ch.pow {
			ch.turtle, ch.lap, ch.pow = c+Cluster(i), idx, ch.pow*2
		}
	}
	last.n += n
	ch.length += n
	at := c + Cluster(n)
	switch {
	case looped:
		return ch.cutLoop(t)
	case kind == entryEnd:
		ch.complete = true
	case kind == entryNext:
		if value != uint32(at) { // not consecutive: a new run, of which nothing is read yet
			ch.push(chainRun{ch.length, extent{Cluster(value), 0}})
		}
	default:
		ch.bad = fmt.Errorf("%w: entry of cluster %d, number %d of its chain, is %v (%#x), expected the next cluster or the end of the chain",
			ErrCorrupt, at-1, ch.length, kind, value)
		if kind == entryFree || kind == entryBad {
			ch.bad = fmt.Errorf("%w: cluster %d, number %d of a chain, is marked %v, expected the next cluster or the end of the chain",
				ErrCorrupt, at, ch.length, kind)
		}
	}
	return nil
}

// cutLoop finds where a chain that was seen to loop begins to repeat itself, and ends it there.
func (ch *chain) cutLoop(t *table) error {
	period := ch.length - ch.lap
	lo := uint32(0)
	for ; lo < ch.lap; lo++ {
		a, _, err := ch.find(t, lo, 1)
		if err != nil {
			return err
		}
		b, _, err := ch.find(t, lo+period, 1)
		if err != nil {
			return err
		}
		if a == b {
			break
		}
	}
	ch.cut(min(lo+period, ch.length))
	ch.complete = false
	ch.bad = fmt.Errorf("%w: chain of cluster %d loops back to its cluster number %d after %d clusters, expected its end",
		ErrCorrupt, ch.runs[0].start, lo, ch.length)
	return nil
}

func (ch *chain) push(r chainRun) {
	if k := len(ch.runs); k > 0 {
		if l := &ch.runs[k-1]; l.at+l.n == r.at && l.start+Cluster(l.n) == r.start {
			l.n += r.n
			return
		}
	}
	if len(ch.runs) >= maxRuns {
		kept := ch.runs[:0]
		for i, old := range ch.runs {
			if i%2 == 0 || i == len(ch.runs)-1 {
				kept = append(kept, old)
			}
		}
		ch.runs, ch.sparse = kept, true
	}
	ch.runs = append(ch.runs, r)
}

// find returns the cluster at index i < ch.length, and how many from there on, at most limit, are
// consecutive. The caller holds ch.mu.
func (ch *chain) find(t *table, i, limit uint32) (Cluster, uint32, error) {
	k := sort.Search(len(ch.runs), func(k int) bool { return ch.runs[k].at > i }) - 1
	r := ch.runs[k]
	if i < r.at+r.n {
		return r.start + Cluster(i-r.at), min(r.at+r.n-i, limit), nil
	}
	c, at := r.start+Cluster(r.n-1), r.at+r.n-1 // in a gap: walk from the end of the run before
	for {
		n, value, kind, err := t.segment(c, i-at+limit)
		if err != nil {
			return 0, 0, err
		}
		if i < at+n {
			return c + Cluster(i-at), min(at+n-i, limit), nil
		}
		if kind != entryNext {
			return 0, 0, fmt.Errorf("%w: entry of cluster %d changed to %v while its file was open", ErrCorrupt, c+Cluster(n-1), kind)
		}
		at += n
		c = Cluster(value)
	}
}

// last is the last known cluster, or 0. The caller holds ch.mu.
func (ch *chain) last() Cluster {
	if ch.length == 0 {
		return 0
	}
	r := ch.runs[len(ch.runs)-1]
	return r.start + Cluster(r.n-1)
}

// append adds clusters to a complete chain. The caller holds ch.mu.
func (ch *chain) append(es []extent) {
	for _, e := range es {
		ch.push(chainRun{ch.length, e})
		ch.length += e.n
	}
}

// cut forgets all clusters from index n on. The caller holds ch.mu.
func (ch *chain) cut(n uint32) {
	for len(ch.runs) > 0 {
		r := &ch.runs[len(ch.runs)-1]
		if r.at < n {
			r.n = min(r.n, n-r.at)
			break
		}
		ch.runs = ch.runs[:len(ch.runs)-1]
	}
	ch.length = n
	ch.turtle, ch.lap, ch.pow = 0, 0, 1
	if len(ch.runs) > 0 {
		ch.turtle = ch.runs[0].start
	}
}

// replace takes over that a piece of a complete chain lies in es. The caller holds ch.mu.
func (ch *chain) replace(p piece, es []extent) {
	old, end := ch.runs, p.at+p.count
	ch.runs = nil
	for _, r := range old {
		if r.at < p.at {
			ch.push(chainRun{r.at, extent{r.start, min(r.n, p.at-r.at)}})
		}
	}
	at := p.at
	for _, e := range es {
		ch.push(chainRun{at, e})
		at += e.n
	}
	for _, r := range old {
		if stop := r.at + r.n; stop > end {
			from := max(r.at, end)
			ch.push(chainRun{from, extent{r.start + Cluster(from-r.at), stop - from}})
		}
	}
	ch.turtle, ch.lap, ch.pow = ch.runs[0].start, 0, 1
}
