package fat

import (
	"fmt"
	"slices"
)

// A fixedDir is a directory as it is on the device while the fixer collects changes of it. It is kept from one change to
// the next: to read 2 MiB for each of 65 536 wrong entries takes minutes.
type fixedDir struct {
	first Cluster
	data  []byte // its slots; not to be changed

	longs map[int32]int32 // slots of long names, by the slot of the short entry that they belong to
	taken map[[11]byte]bool
}

// fixed returns the directory that starts at a cluster, 0 for the root.
func (x *fixer) fixed(first Cluster) (*fixedDir, error) {
	if x.last == nil || x.last.first != first {
		d := &fixedDir{first: first}
		if err := x.v.rawDir(first, func(data []byte) { d.data = slices.Clone(data) }); err != nil {
			return nil, err
		}
		x.last = d
	}
	return x.last, nil
}

// each calls fn for its entries; see eachEntry.
func (d *fixedDir) each(fn func(*rawEntry)) { eachEntry(d.data, d.first == 0, fn) }

// names looks through the entries once.
func (d *fixedDir) names() {
	if d.taken != nil {
		return
	}
	d.longs, d.taken = map[int32]int32{}, map[[11]byte]bool{}
	d.each(func(e *rawEntry) {
		if e.raw == nil {
			return
		}
		d.taken[shortOf(e.raw)] = true
		if e.longs > 0 {
			d.longs[e.slot] = e.longs
		}
	})
}

// behind says what is wrong with a directory whose chain goes on behind the largest size that there is, at c. Nothing reads
// entries that are there but readers without a limit. Up to as much as a directory may have is looked at.
func (s *scan) behind(c Cluster, limit uint32) (ProblemKind, error) {
	buf := make([]byte, s.v.geo.ClusterSize)
	for range limit {
		if _, err := s.v.dev.ReadAt(buf, s.v.clusterOffset(c)); err != nil {
			return "", fmt.Errorf("read directory at cluster %d: %w", c, err)
		}
		for i := 0; i < len(buf); i += slotSize {
			if buf[i] == slotEnd {
				return LongChain, nil
			}
			if buf[i] != slotDeleted {
				return LongDir, nil
			}
		}
		_, value, kind, _, err := s.t.probe(c, 1)
		if err != nil || kind != entryNext {
			return LongChain, err
		}
		c = Cluster(value)
	}
	return LongDir, nil
}
