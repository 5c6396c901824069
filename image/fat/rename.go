package fat

import (
	"errors"
	"fmt"
)

// RenameFlags change what Rename does, as those of renameat2(2).
type RenameFlags uint8

const (
	// RenameNoReplace fails with ErrExist where the new name is taken.
	RenameNoReplace RenameFlags = 1 << iota
	// RenameExchange swaps two files or directories, which must both exist.
	RenameExchange
)

// Rename gives the file or directory oldName in oldDir the name newName in newDir. What had that name
// is replaced; at every instant the medium has either the old or the new one there.
func (v *Volume) Rename(oldDir *Node, oldName string, newDir *Node, newName string, flags RenameFlags) error {
	err := v.rename(oldDir, oldName, newDir, newName, flags)
	if err != nil {
		return fmt.Errorf("rename %q to %q: %w", oldName, newName, err)
	}
	return nil
}

// A move is a rename with everything looked up.
type move struct {
	v        *Volume
	from, to *Node // directories
	src, dst *Node // dst is nil when the new name is free
	name     Name  // the new one; not for an exchange
}

func (v *Volume) rename(oldDir *Node, oldName string, newDir *Node, newName string, flags RenameFlags) error {
	// A third name, beside two that a cut has left, or one with the count of the other, would not tell which is the newest.
	v.awaitSingleName(oldDir, oldName)
	if flags == RenameExchange {
		v.awaitSingleName(newDir, newName)
	}
	if err := v.enterWrite(); err != nil {
		return err
	}
	defer v.leave()
	if flags&^(RenameNoReplace|RenameExchange) != 0 || flags == RenameNoReplace|RenameExchange {
		return ErrInvalid
	}
	if flags == RenameExchange {
		v.exchange.Lock() // it may need an epoch without other renames
		defer v.exchange.Unlock()
	} else {
		v.exchange.RLock()
		defer v.exchange.RUnlock()
	}
	for try := 0; try < maxTries; try++ {
		stale, err := v.tryRename(oldDir, oldName, newDir, newName, flags)
		if !stale || err != nil {
			return v.settleDir(err)
		}
	}
	return fmt.Errorf("names kept changing: %w", ErrNotExist)
}

// tryRename looks both names up, and does the rename unless they mean something else by then.
func (v *Volume) tryRename(oldDir *Node, oldName string, newDir *Node, newName string, flags RenameFlags) (stale bool, err error) {
	src, _, err := v.lookup(oldDir, oldName)
	if err != nil {
		return false, err
	}
	defer src.Release(1)
	dst, _, err := v.lookup(newDir, newName)
	if err != nil && !errors.Is(err, ErrNotExist) {
		return false, err
	}
	if dst != nil {
		defer dst.Release(1)
	}
	m := &move{v: v, from: oldDir, to: newDir, src: src, dst: dst}
	switch {
	case flags&RenameExchange != 0 && dst == nil:
		return false, ErrNotExist
	case flags&RenameNoReplace != 0 && dst != nil:
		return false, ErrExist
	case flags&RenameExchange == 0:
		if m.name, err = v.names.Parse(newName); err != nil {
			return false, err
		}
	}
	if flags&RenameExchange != 0 {
		v.meta.RLock()
		back := m.backwards()
		v.meta.RUnlock()
		if back {
			oldName, newName = newName, oldName
			m.from, m.to, m.src, m.dst = newDir, oldDir, dst, src
		}
	}
	do := m.plain
	switch {
	case dst == src && flags&RenameExchange != 0:
		return false, nil
	case dst == src:
		do = m.respell
	case flags&RenameExchange != 0:
		do = m.exchange
	case dst != nil:
		do = m.replace
	}
	work := func() error {
		return v.edit(m.to, func() error {
			if !m.current(oldName, newName) || flags&RenameExchange != 0 && m.backwards() {
				stale = true
				return nil
			}
			if m.loops(flags) {
				return ErrLoop
			}
			if m.tangled() {
				return errCommit
			}
			return do()
		})
	}
	// Everything the change touches has to be in memory before it begins.
	for _, n := range []*Node{m.from, src, dst} {
		if n != nil && n.dir != nil {
			if err := v.pin(n); err != nil {
				return false, err
			}
			defer v.unpin(n)
		}
	}
	if dst != nil && dst != src && flags&RenameExchange == 0 {
		return stale, v.withVictim(dst, work)
	}
	err = work()
	return stale, err
}

// current reports whether the names still mean what was looked up. The caller holds v.meta.
func (m *move) current(oldName, newName string) bool {
	v := m.v
	if m.src.parent != m.from || m.from.dir.named(v, v.names.Fold(oldName), oldName) != m.src.slot || m.src.slot < 0 || m.from.unlinked {
		return false
	}
	slot := m.to.dir.named(v, v.names.Fold(newName), newName)
	if m.dst == nil {
		return slot < 0
	}
	return m.dst.parent == m.to && slot == m.dst.slot && slot >= 0
}

// backwards reports whether the two of an exchange are to change roles: what has no clusters gets the third name, since a
// repair would not see that it has two of the others. The caller holds v.meta.
func (m *move) backwards() bool {
	bare := func(n *Node) bool { return n.dir == nil && n.d.first == 0 }
	return bare(m.dst) && !bare(m.src)
}

// loops reports whether a directory would end up inside itself.
func (m *move) loops(flags RenameFlags) bool {
	if m.src.dir != nil && m.to.within(m.src) {
		return true
	}
	return flags&RenameExchange != 0 && m.dst.dir != nil && m.from.within(m.dst)
}

// within reports whether n is d or below it.
func (n *Node) within(d *Node) bool {
	for ; n != nil; n = n.parent {
		if n == d {
			return true
		}
	}
	return false
}

// after returns the phases in which ".." may follow a name that appears in ph, and in which the old
// name may go; errCommit when there is none left in this epoch. A new directory has no old name: what was
// renamed into it before leaves its own in phaseRemove.
func (m *move) after(ph phase) (dots, remove phase, err error) {
	filled := m.src.dir != nil && m.src.born == m.v.epoch.id && m.src.dir.live > 0
	switch {
	case ph <= phaseAdd:
		return phaseSwap, phaseRemove, nil
	case ph <= phaseRemove && !filled:
		return phaseLate, phaseLast, nil
	}
	return 0, 0, errCommit
}

// found is the phase from which on a name in the new directory is found: that one, or one above it, may be new as well, and
// have the name of what went.
func (m *move) found() phase {
	ph := phaseAdd
	for n := m.to; n.born == m.v.epoch.id; n = n.parent {
		ph = max(ph, n.parent.dir.phaseOf(n.slot))
	}
	return ph
}

// plain moves to a name that is free.
func (m *move) plain() error {
	v, ph := m.v, m.found()
	if old, ok := m.to.dir.removed[m.name.Key]; ok {
		ph = max(ph, m.to.dir.phaseOf(old.slot))
	}
	dots, remove, err := m.after(ph)
	if err != nil {
		return err
	}
	d := m.src.d
	if m.src.born != v.epoch.id { // the medium has the old name
		d.ntCase = newerName(d.ntCase, d.ntCase)
	}
	slot, _, err := v.put(m.to, m.name, d)
	if err != nil {
		return err
	}
	m.depart(dots, remove)
	m.arrive(m.src, m.to, slot)
	return nil
}

// replace moves to a name that another file or directory has, by switching that entry over.
func (m *move) replace() error {
	v, src, dst := m.v, m.src, m.dst
	switch {
	case src.dir != nil && dst.dir == nil:
		return ErrNotDir
	case src.dir == nil && dst.dir != nil:
		return ErrIsDir
	case dst.dir != nil && dst.dir.live > 0:
		return ErrNotEmpty
	case dst.dir != nil && dst.dir.leaving() > phaseBody:
		return errCommit // it goes in phaseAdd
	}
	slot := dst.slot
	dots, remove, err := m.after(max(m.found(), m.to.dir.phaseOf(slot)))
	if err != nil {
		return err
	}
	m.payload(m.to, slot, src, phaseAdd)
	m.depart(dots, remove)
	delete(m.to.dir.kids, slot)
	v.unlinked(dst)
	m.arrive(src, m.to, slot)
	return nil
}

// payload makes the entry at a slot refer to n; it keeps its name.
func (m *move) payload(dir *Node, slot int32, n *Node, ph phase) {
	s := [slotSize]byte(dir.dir.slot(slot))
	d := n.d
	d.ntCase = s[12]
	if n.born != m.v.epoch.id {
		d.ntCase = newerName(s[12], n.d.ntCase)
	}
	d.encode(s[:], m.v.geo.Width)
	m.v.set(dir, slot, s[:], ph)
	n.fresh = neverFresh // the medium may have the entry for some phases, whatever becomes of n
}

// depart takes src out of the old directory, and points its ".." to the new one.
func (m *move) depart(dots, remove phase) {
	m.v.remove(m.from, m.src.slot, remove)
	if m.src.born == m.v.epoch.id {
		dots = phaseBody // the medium has the directory under no name yet
	}
	m.dotdot(m.src, m.from, m.to, dots)
}

// tangled reports whether the move has to wait for what the open epoch has moved before: a file that
// moves twice would have three names for a while, and of two directories that move to other parents
// one could be inside the other, which still is where it was, or was to go.
func (m *move) tangled() bool {
	v := m.v
	if v.epoch.spare {
		return true // a repair could not tell whose third name it is
	}
	for _, n := range []*Node{m.src, m.dst} {
		// A file that the medium does not know yet shows none of its names there.
		if n != nil && (n.moved == v.epoch.id && (n.born != v.epoch.id || n.dir != nil || !n.hidden()) || n.dir != nil && m.from != m.to && v.epoch.moved) {
			return true
		}
	}
	return false
}

// hidden reports whether nothing was on the medium in the place of n's entry when the open epoch began.
func (n *Node) hidden() bool {
	_, longs := n.parent.dir.long(n.slot)
	return n.parent.dir.allFresh(n.slot-longs, longs+1)
}

// anew reports whether n's contents begin elsewhere than its entry says as yet.
func (n *Node) anew() bool {
	return decodeDirent(n.parent.dir.slot(n.slot), n.v.geo.Width).first != n.d.first
}

// dotdot changes ".." of n, which moves between two directories.
func (m *move) dotdot(n, from, to *Node, ph phase) {
	if n.dir == nil || from == to || n.dir.slots() < 2 {
		return
	}
	s := [slotSize]byte(n.dir.slot(1))
	if !slotIsDot(s[:]) {
		return // a damaged directory without one
	}
	d := decodeDirent(s[:], m.v.geo.Width)
	d.first = to.dotdot()
	d.encode(s[:], m.v.geo.Width)
	m.v.set(n, 1, s[:], ph)
}

// arrive makes a slot n's place.
func (m *move) arrive(n, dir *Node, slot int32) {
	n.d.ntCase = dir.dir.slot(slot)[12]
	n.moved = m.v.epoch.id
	m.v.epoch.named = true
	if n.dir != nil && m.from != m.to {
		m.v.epoch.moved = true
	}
	m.v.noteMoved(n)
	m.v.place(n, dir, slot)
	m.v.noteRenamed(n)
	m.v.setDirty(n) // so that the epoch does not forget that it moved n
	m.v.touch(m.from)
	m.v.touch(m.to)
}

// respell changes how the name of src is written, in place where the slots of the long name lie in one atom.
func (m *move) respell() error {
	v, d, src := m.v, m.to.dir, m.src
	shown := v.names.ShowLong(m.name.Units)
	if m.name.Exact {
		shown = v.names.ShowShort(m.name.Short, m.name.Case)
	}
	if d.shown(v, src.slot) == shown {
		return nil
	}
	if d.phaseOf(src.slot) > phaseAdd {
		return errCommit // a name that came back: putBack could not tell this change from its removal
	}
	_, longs := d.long(src.slot)
	short := shortOf(d.slot(src.slot))
	switch {
	case m.name.Exact && longs == 0 && m.name.Short == short:
		s := [slotSize]byte(d.slot(src.slot))
		s[12] = m.name.Case
		d.leave(v, src.slot)
		v.set(m.to, src.slot, s[:], phaseAdd)
		d.enter(v, src.slot)
		src.d.ntCase = m.name.Case
	case !m.name.Exact && longs == int32(LongSlots(m.name.Units)) && (src.slot-longs)/slotsPerAtom == (src.slot-1)/slotsPerAtom:
		long := make([]byte, longs*slotSize)
		EncodeLong(long, m.name.Units, ShortChecksum(short))
		ph := max(phaseAdd, d.phaseOf(src.slot))
		d.leave(v, src.slot)
		for k := int32(0); k < longs; k++ {
			v.set(m.to, src.slot-longs+k, long[k*slotSize:(k+1)*slotSize], ph)
		}
		d.enter(v, src.slot)
	case src.anew():
		return errCommit // else two entries of one name would lead to different contents
	default:
		err := m.plain()
		if err == nil {
			src.respelled = v.epoch.id
		}
		return err
	}
	v.touch(m.to)
	return nil
}

// exchange swaps src and dst. Where one atom holds both entries, one write does it. Otherwise src gets
// a third name for the time that its old one already leads to dst and the new one still does: each of
// the two has a name at every instant.
func (m *move) exchange() error {
	v, src, dst := m.v, m.src, m.dst
	a, b := src.slot, dst.slot
	if len(m.from.dir.edits[a]) > 0 || len(m.to.dir.edits[b]) > 0 {
		return errCommit // both must be on the medium as they are
	}
	if m.from == m.to && a/slotsPerAtom == b/slotsPerAtom {
		m.payload(m.from, a, dst, phaseAdd)
		m.payload(m.to, b, src, phaseAdd)
	} else {
		if v.epoch.named || src.anew() || dst.anew() {
			return errCommit // a repair could not tell whose third name it is; or the medium still has one
		}
		temp, ok := m.to.dir.spareName(v)
		if !ok {
			return ErrNoSpace
		}
		t, err := v.alloc(m.to, 1)
		if err != nil {
			return err
		}
		s := [slotSize]byte(m.from.dir.slot(a))
		copy(s[:11], temp[:])
		s[12] = spareCase
		v.set(m.to, t, s[:], phaseAdd)
		v.epoch.spare = true
		// ".." follows while the directory has a name on either side.
		m.dotdot(src, m.from, m.to, phaseSwap)
		m.payload(m.from, a, dst, phaseRemove)
		m.dotdot(dst, m.to, m.from, phaseLate)
		m.payload(m.to, b, src, phaseLast)
		s[0] = slotDeleted
		v.set(m.to, t, s[:], phaseCut)
		m.to.dir.freed[t] = 1
	}
	delete(m.from.dir.kids, a)
	delete(m.to.dir.kids, b)
	m.arrive(src, m.to, b)
	m.arrive(dst, m.from, a)
	return nil
}

// An exchange gives a file the name xchgnnnn.TMP for a moment: in a spelling, and with a count, that no user's file has.
const (
	spareShort = "XCHG"
	spareExt   = "TMP"
	spareCase  = nameCount | caseLowerBase
)

// spareName is an 8.3 name that the directory does not have.
func (d *dir) spareName(v *Volume) ([11]byte, bool) {
	for i := 0; i < 1000; i++ {
		s := [11]byte([]byte(fmt.Sprintf(spareShort+"%04d"+spareExt, i)))
		if !d.shortTaken(v, s) {
			return s, true
		}
	}
	return [11]byte{}, false
}
