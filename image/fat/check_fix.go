package fat

import (
	"errors"
	"fmt"
	"slices"
)

// A fixer collects changes of a volume that nobody uses, and writes them in an order of which every cut
// is no worse than what was there: new chains and copies, then entries, then what these referred to.
type fixer struct {
	v     *Volume
	slots map[int64][slotSize]byte // by their offset
	late  []fatSet
	names map[Cluster]int // the last number given to a name, by directory
	// dir is the chain of the directory whose slots are being changed, which starts at dirFirst: to follow it
	// from the start for each of 65 536 slots takes a minute. A change of the FAT ends it.
	dir      *chain
	dirFirst Cluster
	last     *fixedDir // the one that was looked at last; a change of the FAT ends it, too
}

type fatSet struct {
	c     Cluster
	value uint32
}

func (x *fixer) begin() {
	x.slots, x.late, x.dir, x.last = map[int64][slotSize]byte{}, nil, nil, nil
	if x.names == nil {
		x.names = map[Cluster]int{}
	}
}

func (x *fixer) write() error {
	v := x.v
	if err := x.commit(); err != nil { // and marks the volume as in use
		return err
	}
	offsets := make([]int64, 0, len(x.slots))
	for off := range x.slots {
		offsets = append(offsets, off)
	}
	slices.Sort(offsets)
	for len(offsets) > 0 {
		n := 1
		for n < len(offsets) && offsets[n] == offsets[0]+int64(n)*slotSize && offsets[n]%atom != 0 {
			n++
		}
		var p []byte
		for _, off := range offsets[:n] {
			s := x.slots[off]
			p = append(p, s[:]...)
		}
		if err := v.write(p, offsets[0]); err != nil {
			return err
		}
		offsets = offsets[n:]
	}
	if err := v.syncDevice(); err != nil {
		return err
	}
	for _, f := range x.late {
		if err := x.setEntry(f.c, f.value); err != nil {
			return err
		}
	}
	return x.commit()
}

// commit writes the changes of the FAT.
func (x *fixer) commit() error {
	v := x.v
	v.meta.Lock()
	v.changed()
	v.meta.Unlock()
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	return v.commit()
}

func (x *fixer) setEntry(c Cluster, value uint32) error {
	x.dir, x.last = nil, nil
	t := x.v.tab
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.pageLocked(uint32(c) / t.perPage)
	if err != nil {
		return err
	}
	t.setLocked(p, c, value)
	return nil
}

// offset is where a slot lies on the device.
func (x *fixer) offset(at place) (int64, error) {
	v := x.v
	i := int64(at.slot) * slotSize
	first := at.dir
	if first == 0 {
		if v.geo.Width != FAT32 {
			return v.geo.RootStart + i, nil
		}
		first = Cluster(v.geo.RootCluster)
	}
	if x.dir == nil || x.dirFirst != first {
		x.dir, x.dirFirst = newChain(first), first
	}
	ch := x.dir
	ch.mu.Lock()
	defer ch.mu.Unlock()
	k := uint32(i >> v.geo.ClusterShift)
	if err := ch.extend(v.tab, k+1); err != nil {
		return 0, err
	}
	if k >= ch.length {
		return 0, fmt.Errorf("%w: directory of cluster %d has no slot %d", ErrCorrupt, first, at.slot)
	}
	c, _, err := ch.find(v.tab, k, 1)
	if err != nil {
		return 0, err
	}
	return v.clusterOffset(c) + i&int64(v.geo.ClusterSize-1), nil
}

// slot returns a slot as it will be.
func (x *fixer) slot(at place) (s [slotSize]byte, off int64, err error) {
	if off, err = x.offset(at); err != nil {
		return s, 0, err
	}
	if changed, ok := x.slots[off]; ok {
		return changed, off, nil
	}
	_, err = x.v.dev.ReadAt(s[:], off)
	return s, off, err
}

func (x *fixer) change(at place, fn func(s []byte)) error {
	s, off, err := x.slot(at)
	if err != nil {
		return err
	}
	fn(s[:])
	x.slots[off] = s
	return nil
}

func (x *fixer) setFirstByte(at place, b byte) error {
	return x.change(at, func(s []byte) { s[0] = b })
}

func (x *fixer) resize(at place, first Cluster, size uint32) error {
	return x.change(at, func(s []byte) {
		d := decodeDirent(s, x.v.geo.Width)
		d.first, d.size = first, size
		d.encode(s, x.v.geo.Width)
	})
}

// endChain makes the last good cluster of a chain its end, once no entry says that it is longer.
func (x *fixer) endChain(p *problem) error {
	c := p.last
	if c == 0 { // the root directory
		c = p.first
	}
	x.late = append(x.late, fatSet{c, x.v.tab.w.eoc()})
	return nil
}

// copyTail gives a chain that runs into another's clusters copies of these.
func (x *fixer) copyTail(p *problem) error {
	if p.isDir {
		if likely, err := x.v.likelyEntries(p.at); err != nil || !likely {
			return errors.Join(err, x.cutDir(p))
		}
	}
	first, n, err := x.duplicate(p.at, p.need-p.have)
	if errors.Is(err, ErrNoSpace) {
		if p.last == 0 && !p.isDir {
			return x.resize(p.place, 0, 0)
		}
		return x.cutDir(p)
	}
	if err != nil || n == 0 {
		return errors.Join(err, x.endChain(p))
	}
	if p.last == 0 {
		return x.change(p.place, func(s []byte) {
			d := decodeDirent(s, x.v.geo.Width)
			d.first = first
			d.encode(s, x.v.geo.Width)
		})
	}
	x.late = append(x.late, fatSet{p.last, uint32(first)})
	return nil
}

// cutDir ends a chain before clusters that are another's; without any of its own, a directory goes.
func (x *fixer) cutDir(p *problem) error {
	if p.last == 0 {
		return x.setFirstByte(p.place, slotDeleted)
	}
	return x.endChain(p)
}

// separate gives a file that starts where another one does clusters of its own.
func (x *fixer) separate(l *location) error {
	need := x.v.clustersFor(l.d.size)
	if need == 0 {
		return x.resize(l.place, 0, 0)
	}
	first, n, err := x.duplicate(l.d.first, need)
	if errors.Is(err, ErrNoSpace) || err == nil && n == 0 {
		return x.resize(l.place, 0, 0)
	}
	if err != nil {
		return err
	}
	return x.resize(l.place, first, l.d.size)
}

// duplicate copies up to want clusters of the chain from c on to new ones, and returns the first.
func (x *fixer) duplicate(c Cluster, want uint32) (first Cluster, n uint32, err error) {
	v, t := x.v, x.v.tab
	ch := newChain(c)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if err := ch.extend(t, want); err != nil && ch.bad == nil {
		return 0, 0, err
	}
	if want = min(want, ch.length); want == 0 {
		return 0, 0, nil
	}
	r, err := t.reserve(want, 0, nil, 0, true)
	if err != nil {
		return 0, 0, err
	}
	if r.count < want {
		t.unreserve(r)
		return 0, 0, ErrNoSpace
	}
	at := uint32(0)
	for _, e := range r.extents {
		for i := uint32(0); i < e.n; i, at = i+1, at+1 {
			if err := x.copyCluster(ch, at, e.start+Cluster(i)); err != nil {
				t.unreserve(r)
				return 0, 0, err
			}
		}
	}
	first = r.first()
	x.dir = nil
	v.meta.Lock()
	t.link(r, 0, false, false)
	v.changed()
	v.meta.Unlock()
	return first, want, nil
}

func (x *fixer) copyCluster(ch *chain, i uint32, to Cluster) error {
	from, _, err := ch.find(x.v.tab, i, 1)
	if err != nil {
		return err
	}
	buf := make([]byte, x.v.geo.ClusterSize)
	if _, err := x.v.dev.ReadAt(buf, x.v.clusterOffset(from)); err != nil {
		return err
	}
	return x.v.write(buf, x.v.clusterOffset(to))
}

// removeName removes an entry and its long name.
func (x *fixer) removeName(l *location) error {
	longs, err := x.longs(l.place)
	for i := l.slot - longs; i <= l.slot && err == nil; i++ {
		err = x.setFirstByte(place{l.dir, i}, slotDeleted)
	}
	return err
}

// removeOlder removes the older of two names. Where an exchange was cut, the third name that it had made
// up takes its place: it is in the same directory, or in the one of the other name, which a directory keeps by its "..".
func (x *fixer) removeOlder(l *location, other Cluster, all map[Cluster][]location) error {
	var spare *location
	for _, in := range []Cluster{l.dir, other} {
		dir, err := x.fixed(in)
		if err != nil {
			return err
		}
		dir.each(func(e *rawEntry) {
			if e.raw == nil || e.dot || e.label || spare != nil || l.spare() {
				return
			}
			s := location{place{in, e.slot}, decodeDirent(e.raw, x.v.geo.Width), shortOf(e.raw)}
			if s.spare() && len(all[s.d.first]) < 2 {
				spare = &s
			}
		})
	}
	if spare == nil {
		return x.removeName(l)
	}
	if err := x.removeName(spare); err != nil {
		return err
	}
	return x.change(l.place, func(s []byte) {
		d := spare.d
		d.ntCase = newerName(s[12], d.ntCase)
		d.encode(s, x.v.geo.Width)
	})
}

// longs is the number of slots of an entry's long name.
func (x *fixer) longs(at place) (n int32, err error) {
	dir, err := x.fixed(at.dir)
	if err != nil {
		return 0, err
	}
	dir.names()
	return dir.longs[at.slot], nil
}

func (x *fixer) orphans(p *problem) error {
	for i := range int32(p.have) {
		if err := x.setFirstByte(place{p.dir, p.slot + i}, slotDeleted); err != nil {
			return err
		}
	}
	return nil
}

// label removes a label entry, or makes it that of a file where it has clusters.
func (x *fixer) label(at place) error {
	return x.change(at, func(s []byte) {
		d := decodeDirent(s, x.v.geo.Width)
		if at.dir == 0 && !x.v.tab.contains(d.first) && d.attr&AttrDirectory == 0 && (d.first != 0 || d.size != 0) {
			d.first, d.size = 0, 0 // still the label
		} else if x.v.tab.contains(d.first) {
			d.attr &^= AttrVolumeID
		} else {
			s[0] = slotDeleted
			return
		}
		d.encode(s, x.v.geo.Width)
	})
}
