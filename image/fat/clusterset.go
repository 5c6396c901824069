package fat

import "math/bits"

// setPage is the number of clusters of one page of a clusterSet.
const setPage = 1 << 16

// clusterSet is a set of clusters: a bitmap in pages, so that what lies side by side in a large and
// empty volume takes no more than it has to; 32 MiB for the largest volume there can be.
type clusterSet struct{ pages []*[setPage / 64]uint64 }

func newClusterSet(entries uint32) *clusterSet {
	return &clusterSet{make([]*[setPage / 64]uint64, (uint64(entries)+setPage-1)/setPage)}
}

func (s *clusterSet) has(c Cluster) bool {
	p := s.pages[c/setPage]
	return p != nil && p[c%setPage/64]&(1<<(c%64)) != 0
}

func (s *clusterSet) add(c Cluster) {
	p := s.pages[c/setPage]
	if p == nil {
		p = new([setPage / 64]uint64)
		s.pages[c/setPage] = p
	}
	p[c%setPage/64] |= 1 << (c % 64)
}

func (s *clusterSet) remove(c Cluster) {
	if p := s.pages[c/setPage]; p != nil {
		p[c%setPage/64] &^= 1 << (c % 64)
	}
}

// addRun adds n clusters from c on.
func (s *clusterSet) addRun(c Cluster, n uint32) {
	for ; n > 0 && c%64 != 0; n-- {
		s.add(c)
		c++
	}
	for ; n >= 64; n -= 64 {
		s.add(c)
		s.pages[c/setPage][c%setPage/64] = ^uint64(0)
		c += 64
	}
	for ; n > 0; n-- {
		s.add(c)
		c++
	}
}

// without is the number of clusters from c on, at most n, before the first that is in the set.
func (s *clusterSet) without(c Cluster, n uint32) uint32 {
	for i := uint32(0); i < n; {
		at := c + Cluster(i)
		p := s.pages[at/setPage]
		if p == nil {
			i += setPage - uint32(at%setPage)
			continue
		}
		word := p[at%setPage/64] >> (at % 64)
		if word == 0 {
			i += 64 - uint32(at%64)
			continue
		}
		return min(n, i+uint32(bits.TrailingZeros64(word)))
	}
	return n
}

// next is the first cluster of the set at or after c, and false when there is none.
func (s *clusterSet) next(c Cluster) (Cluster, bool) {
	for int(c/setPage) < len(s.pages) {
		p := s.pages[c/setPage]
		if p == nil {
			c = (c/setPage + 1) * setPage
			continue
		}
		if word := p[c%setPage/64] >> (c % 64); word != 0 {
			return c + Cluster(bits.TrailingZeros64(word)), true
		}
		c = (c/64 + 1) * 64
	}
	return 0, false
}
