package fat

import (
	"errors"
	"fmt"
	"slices"
)

// damaged reports what the scan found and no cut of ours can have left. Nothing is done about that.
func (r *repair) damaged(s *scan) bool {
	found := 0
	for i := range s.found {
		p := &s.found[i]
		if p.kind.Leftover() && !p.isDir {
			continue
		}
		if found++; found <= maxDamage {
			r.damage(p)
		}
	}
	if found > maxDamage {
		r.log.warn("repair: there is more damage, in %d places in all", found)
	}
	return found > 0
}

// maxDamage bounds the lines about damage: whatever more there is, 'fatvol check' tells.
const maxDamage = 20

func (r *repair) damage(p *problem) {
	at := ""
	if p.at != 0 {
		at = fmt.Sprintf(" (cluster %d)", p.at)
	}
	err := fmt.Errorf("%w: %s: %s%s", ErrCorrupt, r.v.pathOf(p.place), p.kind, at)
	r.log.warn("repair: %v: left as it is; 'fatvol check --repair' repairs the volume while it is not mounted", err)
	r.v.noted.first(err.Error()) // the line above is enough
	_ = r.v.note(err)
}

// errInUse says that somebody is using a file just now.
var errInUse = errors.New("in use")

// doubles removes the older of two names of one file, and returns how many there were.
func (r *repair) doubles(s *scan) (resolved int, err error) {
	if len(s.twice) == 0 {
		return 0, nil
	}
	all, err := s.locate(s.twice)
	if err != nil {
		return 0, err
	}
	for first := range s.twice {
		names, err := r.living(all[first])
		if err != nil {
			return resolved, err
		}
		switch len(names) {
		case 2:
			if err := r.double(&names[0], &names[1], all); err != nil {
				return resolved, err
			}
			resolved++
		case 3: // one of two was renamed, which was cut as well
			newer, oldest := oldestOf(names)
			if oldest == nil {
				return resolved, r.crossed(&names[0])
			}
			if err := r.double(newer, oldest, all); err != nil {
				return resolved, err
			}
			resolved++
		case 1:
			if !r.gaveUp(first) { // it moved while the scan went on
				delete(s.twice, first)
			}
		case 0:
			delete(s.twice, first)
		default:
			return resolved, r.crossed(&names[0])
		}
	}
	return resolved, nil
}

func (r *repair) crossed(l *location) error {
	r.damage(&problem{kind: CrossLink, place: l.place, first: l.d.first, at: l.d.first})
	return errDamage
}

// oldestOf returns the one of the names of a file that another one, which is returned as well, is newer than, and that is newer
// than none; nil where there is no such, or of a directory.
func oldestOf(names []location) (newer, oldest *location) {
	for i := range names {
		a := &names[i]
		if a.d.attr&AttrDirectory != 0 {
			return nil, nil
		}
		var over *location
		under := false
		for k := range names {
			if k == i {
				continue
			}
			switch first, ok := names[k].newer(a); {
			case ok && first:
				over = &names[k]
			case ok:
				under = true
			}
		}
		if over != nil && !under {
			return over, a
		}
	}
	return nil, nil
}

// gaveUp reports whether a chain waits for being freed.
func (r *repair) gaveUp(first Cluster) bool {
	r.v.meta.RLock()
	defer r.v.meta.RUnlock()
	return slices.ContainsFunc(r.kept, func(d deadChain) bool { return d.first == first })
}

// living are the names that are still there.
func (r *repair) living(found []location) (names []location, err error) {
	for _, l := range found {
		dir, err := r.dir(l.dir)
		if errors.Is(err, errNoWay) {
			continue // it was removed
		}
		if err != nil {
			return nil, err
		}
		r.v.meta.RLock()
		same := r.v.samePlace(dir, &l)
		if n := dir.dir.kids[l.slot]; same && n != nil {
			same = n.d.first == l.d.first // else it is written anew, of which the slot does not tell yet
		}
		r.v.meta.RUnlock()
		r.letGo(dir)
		if same {
			names = append(names, l)
		}
	}
	return names, nil
}

// dir returns the node of a directory, pinned, until letGo.
func (r *repair) dir(first Cluster) (*Node, error) {
	n, err := r.v.dirNode(first, 0)
	if err != nil {
		return nil, err
	}
	if err := r.v.pin(n); err != nil {
		n.Release(1)
		return nil, err
	}
	return n, nil
}

func (r *repair) letGo(n *Node) {
	r.v.unpin(n)
	n.Release(1)
}

// double resolves one file that has two names.
func (r *repair) double(a, b *location, all map[Cluster][]location) error {
	v := r.v
	isDir := a.d.attr&AttrDirectory != 0
	first, ok := a.newer(b)
	v.meta.RLock()
	if last, known := r.named[a.d.first]; known && (last == a.place) != (last == b.place) {
		first, ok = last == a.place, true // somebody has renamed it since
	}
	v.meta.RUnlock()
	if isDir {
		up, err := v.parentOf(a.d.first)
		if err == nil && a.dir != b.dir {
			// ".." follows the new name, and before the old one goes.
			first, ok = a.dir == up, a.dir == up || b.dir == up
		} else if !ok {
			first, ok = true, err == nil // one is as good as the other
		}
	}
	if isDir != (b.d.attr&AttrDirectory != 0) {
		ok = false
	}
	if !ok {
		r.log.warn("repair: %s and %s are one file, and nothing tells which name is the newer: left as they are; 'fatvol check --repair' makes two files of them",
			v.pathOf(a.place), v.pathOf(b.place))
		return errDamage
	}
	keep, lose := a, b
	if !first {
		keep, lose = b, a
	}
	if isDir && a.dir != b.dir {
		cut, err := r.exchangeCut(keep, lose, all)
		if err == nil && cut {
			err = r.follow(lose, keep)
			keep, lose = lose, keep
		}
		if err != nil {
			return err
		}
	}
	lost, kept := r.path(lose.place), r.path(keep.place)
	for try := 0; ; try++ {
		err := r.dropName(keep, lose, all)
		if errors.Is(err, errInUse) && try < 100 {
			if err := r.pause(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", v.pathOf(lose.place), err)
		}
		break
	}
	r.log.names++
	r.log.info("repair: %s, the older name of %s, is removed", lost, kept)
	return nil
}

// exchangeCut reports whether a directory is at its older name, keep, by its ".." only, since an exchange was cut: there it
// follows the third name, which is not to stay, and comes after a name that another file has left.
func (r *repair) exchangeCut(keep, lose *location, all map[Cluster][]location) (bool, error) {
	if newer, ok := lose.newer(keep); !newer || !ok || keep.spare() {
		return newer && ok, nil
	}
	dir, err := r.dir(keep.dir)
	if err != nil {
		return false, err
	}
	defer r.letGo(dir)
	r.v.meta.RLock()
	defer r.v.meta.RUnlock()
	return dir.dir.spareSlot(r.v, all) >= 0, nil
}

// follow makes ".." of a directory that has two names name the one that it is in by its name at l, on the medium.
func (r *repair) follow(l, other *location) error {
	v := r.v
	var dirs [3]*Node
	for i, first := range []Cluster{l.dir, other.dir, l.d.first} {
		n, err := r.dir(first)
		if err != nil {
			return err
		}
		defer r.letGo(n)
		dirs[i] = n
	}
	err := v.edit(dirs[2], func() error {
		if v.samePlace(dirs[0], l) && v.samePlace(dirs[1], other) {
			v.nameDotDots(dirs[0], dirs[2:])
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.sync()
}

// dropName removes the older of two names. Where an exchange was cut in the middle, the third name that
// it had made up takes its place.
func (r *repair) dropName(keep, lose *location, all map[Cluster][]location) error {
	v := r.v
	from, err := r.dir(lose.dir)
	if err != nil {
		return err
	}
	defer r.letGo(from)
	to, err := r.dir(keep.dir)
	if err != nil {
		return err
	}
	defer r.letGo(to)
	return v.edit(from, func() error {
		if !v.samePlace(from, lose) || !v.samePlace(to, keep) {
			return nil // one has gone by itself
		}
		if len(from.dir.edits[lose.slot]) > 0 || len(to.dir.edits[keep.slot]) > 0 {
			return errCommit
		}
		n := from.dir.kids[lose.slot]
		if n != nil {
			if !n.mu.TryLock() {
				return errInUse
			}
			defer n.mu.Unlock()
		}
		gone := lose.slot
		spare := int32(-1)
		if !lose.spare() {
			spare = from.dir.spareSlot(v, all)
		}
		if spare >= 0 {
			s := [slotSize]byte(from.dir.slot(lose.slot))
			d := decodeDirent(from.dir.slot(spare), v.geo.Width)
			d.ntCase = newerName(s[12], d.ntCase)
			d.encode(s[:], v.geo.Width)
			v.set(from, lose.slot, s[:], phaseAdd)
			gone = spare
		}
		third := from.dir.kids[spare]
		delete(from.dir.kids, lose.slot)
		if n != nil {
			r.renamed(n, to, keep.slot)
		}
		v.remove(from, gone, phaseRemove)
		if third != nil {
			v.place(third, from, lose.slot)
		}
		return nil
	})
}

// renamed gives a node that somebody holds by the older name its place at the newer one. The caller
// holds v.meta and n.mu.
func (r *repair) renamed(n, dir *Node, slot int32) {
	if !n.wrote {
		n.d = decodeDirent(dir.dir.slot(slot), r.v.geo.Width)
	}
	n.d.ntCase = dir.dir.slot(slot)[12]
	r.v.place(n, dir, slot)
	if n.wrote {
		r.v.setDirty(n)
	}
}

// spareSlot is where a directory has the name that an exchange made up for a file that has no other; -1
// for nowhere.
func (d *dir) spareSlot(v *Volume, all map[Cluster][]location) int32 {
	for i := int32(0); i < d.tail; i++ {
		s := d.slot(i)
		if slotIsFree(s) || slotIsLong(s) || slotIsLabel(s) {
			continue
		}
		l := location{d: decodeDirent(s, v.geo.Width), short: shortOf(s)}
		if l.spare() && len(all[l.d.first]) < 2 {
			return i
		}
	}
	return -1
}

// excess looks at what chains have beyond the size of their file: it has to be theirs alone. Files that
// have two names are left to the next scan.
func (r *repair) excess(s *scan) (long []problem, err error) {
	for _, p := range s.found {
		if _, double := s.twice[p.first]; double || p.kind != LongChain {
			continue
		}
		w, err := s.walk(p.at, s.t.entries)
		if err != nil {
			return nil, err
		}
		switch w.end {
		case endTouched:
			continue // it has been used since
		case endChain:
		default:
			if p.kind, err = s.broken(p.at, w); err != nil {
				return nil, err
			}
			p.at = w.at
			r.damage(&p)
			return nil, errDamage
		}
		long = append(long, p)
	}
	return long, nil
}

// cutLong has the next commit cut chains to the size of their file.
func (r *repair) cutLong(long []problem) error {
	for i := range long {
		if err := r.alive(); err != nil {
			return err
		}
		if err := r.cutOne(&long[i]); err != nil && !errors.Is(err, errNoWay) {
			return err
		}
	}
	return nil
}

func (r *repair) cutOne(p *problem) error {
	v := r.v
	dir, err := r.dir(p.dir)
	if err != nil {
		return err
	}
	defer r.letGo(dir)
	v.meta.Lock()
	l := location{place: p.place, d: dirent{first: p.first}}
	var n *Node
	if p.slot < dir.dir.slots() {
		l.short = shortOf(dir.dir.slot(p.slot))
		if v.samePlace(dir, &l) && Attributes(dir.dir.slot(p.slot)[11])&AttrDirectory == 0 {
			n, err = v.instantiate(dir, p.slot)
		}
	}
	v.meta.Unlock()
	if n == nil || err != nil {
		return err // removed or rewritten meanwhile
	}
	defer n.Release(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chain.mu.Lock()
	err = n.chain.extend(v.tab, v.tab.entries)
	length := n.chain.length
	n.chain.mu.Unlock()
	if err != nil {
		return v.note(err)
	}
	v.meta.Lock()
	more := int64(length) - int64(v.clustersFor(n.d.size))
	cut := more > 0 && n.kept == 0 && !n.unlinked
	if cut {
		v.trimLater(n)
	}
	v.meta.Unlock()
	if cut {
		r.log.chains++
		r.log.info("repair: %s: the clusters beyond its size are freed (%d)", r.path(p.place), more)
	}
	return nil
}

// orphans removes parts of long names that belong to no entry.
func (r *repair) orphans(s *scan) error {
	var last Cluster
	for i, p := range s.found {
		if p.kind != OrphanSlots || i > 0 && p.dir == last && s.found[i-1].kind == OrphanSlots {
			continue
		}
		last = p.dir
		if err := r.alive(); err != nil {
			return err
		}
		dir, err := r.dir(p.dir)
		if errors.Is(err, errNoWay) {
			continue
		}
		if err != nil {
			return err
		}
		gone := 0
		err = r.v.edit(dir, func() error {
			gone = r.v.dropOrphans(dir)
			return nil
		})
		r.letGo(dir)
		if err != nil && !errors.Is(err, ErrNotExist) {
			return err
		}
		if gone > 0 {
			r.log.parts += gone
			r.log.info("repair: %s: parts of long names that no entry follows are removed (%d)", r.path(place{p.dir, -1}), gone)
		}
	}
	return nil
}

// path is the path of the entry at a place, or of the directory where the slot is negative, for the report. To find it
// is to read directories, so it is "" once the report lists no more.
func (r *repair) path(at place) string {
	switch {
	case r.log.full():
		return ""
	case at.slot < 0 && at.dir != 0:
		return r.v.dirPath(at.dir)
	}
	return r.v.pathOf(at)
}

// dirPath is the path of a directory, for messages.
func (v *Volume) dirPath(dir Cluster) string {
	up, err := v.parentOf(dir)
	if err != nil {
		return fmt.Sprintf("(directory at cluster %d)", dir)
	}
	slot := int32(-1)
	err = v.rawDir(up, func(data []byte) {
		eachEntry(data, up == 0, func(e *rawEntry) {
			if e.raw != nil && !e.dot && decodeDirent(e.raw, v.geo.Width).first == dir {
				slot = e.slot
			}
		})
	})
	if err != nil || slot < 0 {
		return fmt.Sprintf("(directory at cluster %d)", dir)
	}
	return v.pathOf(place{up, slot})
}

// dropOrphans marks the long-name slots of n that no entry follows as free, which in memory they are
// already. The caller holds v.meta.
func (v *Volume) dropOrphans(n *Node) (gone int) {
	d := n.dir
	var at []int32
	eachEntry(d.data[:int(d.tail)*slotSize], n.id == rootID, func(e *rawEntry) {
		for i := e.slot - e.longs - e.orphans; i < e.slot-e.longs; i++ {
			if len(d.edits[i]) == 0 {
				at = append(at, i)
			}
		}
	})
	for _, i := range at {
		s := [slotSize]byte(d.slot(i))
		s[0] = slotDeleted
		v.set(n, i, s[:], phaseBody)
	}
	return len(at)
}
