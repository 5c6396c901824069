package replay

import (
	"cmp"
	"slices"
)

// Spans are ranges of a device that were written and are not known to be on the medium: in order, and
// apart from one another.
type Spans []Piece

// Spans returns what is unsynced at this moment.
func (l *Log) Spans() Spans {
	l.mu.Lock()
	all := l.pieces()
	l.mu.Unlock()
	return merge(all)
}

// pieces are the ranges of all entries, in the order in which they were written. The caller holds l.mu.
func (l *Log) pieces() []Piece {
	all := make([]Piece, 0, len(l.entries))
	for _, e := range l.entries {
		if e.n > 0 {
			all = append(all, Piece{e.off, e.n})
		}
	}
	return all
}

// merge puts ranges in order, and those together that meet. It uses their memory.
func merge(all []Piece) Spans {
	slices.SortFunc(all, func(a, b Piece) int { return cmp.Compare(a.Off, b.Off) })
	merged := all[:0]
	for _, p := range all {
		if n := len(merged); n > 0 && p.Off <= merged[n-1].Off+merged[n-1].N {
			last := &merged[n-1]
			last.N = max(last.N, p.Off+p.N-last.Off)
			continue
		}
		merged = append(merged, p)
	}
	return merged
}

// Meet reports whether any of n bytes at off are among them.
func (s Spans) Meet(off, n int64) bool {
	// The first span that ends behind off.
	i, _ := slices.BinarySearchFunc(s, off, func(p Piece, off int64) int {
		if p.Off+p.N > off {
			return 1
		}
		return -1
	})
	return n > 0 && i < len(s) && s[i].Off < off+n
}

// Bytes is how many bytes they are.
func (s Spans) Bytes() (n int64) {
	for _, p := range s {
		n += p.N
	}
	return n
}
