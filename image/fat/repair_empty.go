package fat

import (
	"errors"
	"hash/maphash"
)

// empties notes the entries of a directory that are superfluous and have no clusters, which would tell: the older of two of one
// name, as to spell it anew has left them, and the third name of an exchange. It returns the slots of the former.
func (s *scan) empties(dir Cluster, data []byte) map[int32]bool {
	var (
		seen  map[uint64]location
		older map[int32]bool
	)
	eachEntry(data, dir == 0, func(e *rawEntry) {
		if e.raw == nil || e.dot || e.label {
			return
		}
		l := location{place{dir, e.slot}, decodeDirent(e.raw, s.v.geo.Width), shortOf(e.raw)}
		if !l.empty() {
			return
		}
		if l.spare() && e.units == nil {
			s.add(problem{kind: SpareName, place: l.place})
			return
		}
		if seen == nil {
			seen = map[uint64]location{}
		}
		key := maphash.String(s.v.seed, s.v.entryKey(e))
		other, twice := seen[key]
		seen[key] = l
		if !twice {
			return
		}
		lose, keep := other, l
		switch {
		case other.follows(&l):
			lose, keep = l, other
			seen[key] = other
		case !l.follows(&other):
			return // nothing tells that they are one file
		}
		if older == nil {
			older = map[int32]bool{}
		}
		older[lose.slot] = true
		s.add(problem{kind: DoubleName, place: lose.place, twin: keep.slot})
	})
	return older
}

// entryKey is the key of the name that an entry shows.
func (v *Volume) entryKey(e *rawEntry) string {
	if e.units != nil {
		return v.names.FoldUnits(e.units)
	}
	return v.names.FoldShort(shortOf(e.raw))
}

// empty reports whether an entry is that of a file without contents.
func (a *location) empty() bool {
	return a.d.first == 0 && a.d.size == 0 && a.d.attr&(AttrDirectory|AttrVolumeID) == 0
}

// follows reports whether a is the new name of an empty file whose old one is b: a rename counts, and keeps the creation time.
func (a *location) follows(b *location) bool {
	return a.d.createDate == b.d.createDate && a.d.createTime == b.d.createTime && a.d.createCentis == b.d.createCentis &&
		a.d.ntCase&nameCount == (b.d.ntCase+nameCountStep)&nameCount
}

// empties removes what the scan has found to be superfluous and has no clusters.
func (r *repair) empties(s *scan) error {
	for i := range s.found {
		p := &s.found[i]
		if p.kind != SpareName && p.kind != DoubleName {
			continue
		}
		if err := r.alive(); err != nil {
			return err
		}
		if err := r.dropEmpty(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *repair) dropEmpty(p *problem) error {
	v := r.v
	dir, err := r.dir(p.dir)
	if errors.Is(err, errNoWay) {
		return nil // it was removed
	}
	if err != nil {
		return err
	}
	defer r.letGo(dir)
	name, gone := r.path(p.place), false
	err = v.edit(dir, func() error {
		d := dir.dir
		at := func(slot int32) (l location, ok bool) {
			if slot >= d.tail || slotIsFree(d.slot(slot)) || slotIsLong(d.slot(slot)) {
				return l, false
			}
			s := d.slot(slot)
			l = location{place{p.dir, slot}, decodeDirent(s, v.geo.Width), shortOf(s)}
			n := d.kids[slot]
			// What was written to tells nothing of that in its slot yet.
			return l, l.empty() && (n == nil || n.d.first == 0 && n.d.size == 0)
		}
		l, ok := at(p.slot)
		if !ok {
			return nil
		}
		n := d.kids[p.slot]
		if p.kind == SpareName {
			if !l.spare() || n != nil {
				return nil
			}
		} else if n != nil && d.kids[p.twin] != nil {
			return nil // somebody can tell them apart
		} else if other, ok := at(p.twin); !ok || !other.follows(&l) || d.shownKey(v, p.slot) != d.shownKey(v, p.twin) {
			return nil
		}
		if len(d.edits[p.slot]) > 0 {
			return errCommit
		}
		if n != nil {
			if !n.mu.TryLock() {
				return nil // it is about to be written to
			}
			defer n.mu.Unlock()
			delete(d.kids, p.slot)
			r.renamed(n, dir, p.twin)
		}
		v.remove(dir, p.slot, phaseRemove)
		gone = true
		return nil
	})
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	if gone && err == nil {
		r.log.names++
		r.log.info("repair: %s, a second name of an empty file, is removed", name)
	}
	return err
}

// shownKey is the key of the name that the entry at slot i shows.
func (d *dir) shownKey(v *Volume, i int32) string {
	units, _ := d.long(i)
	return d.keys(v, i, units)[0]
}
