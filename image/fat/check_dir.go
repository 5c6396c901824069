package fat

import "slices"

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
