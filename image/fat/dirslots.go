package fat

import (
	"errors"
	"fmt"
	"sort"
)

// errGrow asks the caller to make the directory larger, errCommit to commit the open epoch; then the
// operation is tried again. Neither leaves the package.
var (
	errGrow   = errors.New("directory has to grow")
	errCommit = errors.New("open epoch has to be committed")
)

// set changes slot i in phase ph, or in the phase of its last change in this epoch where that is
// later. It returns the phase. The caller holds v.meta.
func (v *Volume) set(n *Node, i int32, s []byte, ph phase) phase {
	d := n.dir
	es := d.edits[i]
	if k := len(es); k > 0 && es[k-1].phase >= ph {
		copy(d.slot(i), s)
		return es[k-1].phase
	}
	if !d.listed {
		d.listed = true
		v.epoch.dirs = append(v.epoch.dirs, n)
	}
	e := edit{pos: i, phase: ph}
	copy(e.old[:], d.slot(i))
	d.edits[i] = append(es, e)
	copy(d.slot(i), s)
	v.epoch.slots++
	v.changed()
	return ph
}

// restore undoes the last change of slot i in this epoch.
func (d *dir) restore(i int32) {
	es := d.edits[i]
	k := len(es) - 1
	copy(d.slot(i), es[k].old[:])
	if k == 0 {
		delete(d.edits, i)
	} else {
		d.edits[i] = es[:k]
	}
}

// allFresh reports whether n slots from at on were free on the medium when the open epoch began.
func (d *dir) allFresh(at, n int32) bool {
	for k := at; k < at+n; k++ {
		if es := d.edits[k]; len(es) == 0 || !slotIsFree(es[0].old[:]) {
			return false
		}
	}
	return true
}

// phaseOf is the phase of the last change of slot i in this epoch, phaseBody when there is none.
func (d *dir) phaseOf(i int32) phase {
	if es := d.edits[i]; len(es) > 0 {
		return es[len(es)-1].phase
	}
	return phaseBody
}

// leaving is the phase in which the last of the names that the open epoch has removed goes, phaseBody when there is none:
// until then, what had one may have no other name.
func (d *dir) leaving() (ph phase) {
	for _, r := range d.removed {
		ph = max(ph, d.phaseOf(r.slot))
	}
	return ph
}

// alloc takes n consecutive free slots, or returns errGrow or errCommit. The caller holds v.meta.
func (v *Volume) alloc(node *Node, n int32) (int32, error) {
	const recent = 16 // holes looked at before the tail is used
	d := node.dir
	if i, ok := d.takeHole(n, recent); ok {
		return i, nil
	}
	if d.tail+n <= d.slots() {
		if d.garbage {
			var zero [slotSize]byte
			for i := d.tail; i < d.slots(); i++ {
				v.set(node, i, zero[:], phaseBody)
			}
			d.garbage = false
			return 0, errCommit // before the end moves, what is behind it is gone
		}
		d.tail += n
		return d.tail - n, nil
	}
	d.mergeHoles()
	if i, ok := d.takeHole(n, len(d.holes)); ok {
		return i, nil
	}
	return 0, errGrow
}

func (d *dir) takeHole(n int32, tries int) (int32, bool) {
	for k := len(d.holes) - 1; k >= 0 && tries > 0; k, tries = k-1, tries-1 {
		h := &d.holes[k]
		if h.n < n {
			continue
		}
		at := h.at
		h.at, h.n = h.at+n, h.n-n
		if h.n == 0 {
			d.holes = append(d.holes[:k], d.holes[k+1:]...)
		}
		return at, true
	}
	return 0, false
}

// mergeHoles joins holes that touch, and the last of them with the free slots after the tail.
func (d *dir) mergeHoles() {
	sort.Slice(d.holes, func(a, b int) bool { return d.holes[a].at < d.holes[b].at })
	out := d.holes[:0]
	for _, h := range d.holes {
		if k := len(out) - 1; k >= 0 && out[k].at+out[k].n == h.at {
			out[k].n += h.n
		} else {
			out = append(out, h)
		}
	}
	d.holes = out
}

// trimTail moves the end of the directory before the free slots it ends with, so that readers stop
// earlier; their first bytes become 0 again. The caller holds v.meta; the removals are on the medium.
func (v *Volume) trimTail(n *Node) {
	d := n.dir
	if !d.loaded || len(d.edits) > 0 || d.tail == 0 || !slotIsFree(d.slot(d.tail-1)) {
		return
	}
	d.mergeHoles()
	k := len(d.holes) - 1
	if k < 0 || d.holes[k].at+d.holes[k].n != d.tail {
		return
	}
	from := d.holes[k].at
	d.holes = d.holes[:k]
	var zero [slotSize]byte
	for i := from; i < d.tail; i++ {
		if d.slot(i)[0] != slotEnd {
			v.set(n, i, zero[:], phaseBody)
		}
	}
	d.tail = from
	d.oldTail = min(d.oldTail, from)
}

// put writes a name into directory n, with payload e: at free slots in phaseAdd, or, when the open
// epoch removed that very name, at its old place in the phase of the removal. It returns the slot of
// the short entry and the phase in which the name appears. The caller holds v.meta and knows that no
// entry has the name.
func (v *Volume) put(n *Node, name Name, e dirent) (int32, phase, error) {
	d := n.dir
	if old, ok := d.removed[name.Key]; ok {
		shown := v.names.ShowLong(name.Units)
		if name.Exact {
			shown = v.names.ShowShort(name.Short, name.Case)
		}
		if shown != old.shown {
			return 0, 0, errCommit
		}
		return v.putBack(n, name.Key, old, e)
	}
	if name.Exact && d.goneShort[name.Short] {
		return 0, 0, errCommit // the medium has it as the alias of another name
	}
	var long []byte
	short := name.Short
	if !name.Exact {
		var ok bool
		short, ok = v.names.Alias(name, func(s [11]byte) bool { return d.shortTaken(v, s) })
		if !ok {
			return 0, 0, fmt.Errorf("no free 8.3 alias: %w", ErrNoSpace)
		}
		long = make([]byte, LongSlots(name.Units)*slotSize)
		EncodeLong(long, name.Units, ShortChecksum(short))
	}
	longs := int32(len(long) / slotSize)
	at, err := v.alloc(n, longs+1)
	if err != nil {
		return 0, 0, err
	}
	slot := at + longs
	for k := int32(0); k < longs; k++ {
		ph := phaseAdd
		if (at+k)/slotsPerAtom != slot/slotsPerAtom {
			ph = phaseBody
		}
		v.set(n, at+k, long[k*slotSize:(k+1)*slotSize], ph)
	}
	var s [slotSize]byte
	copy(s[:11], short[:])
	e.ntCase &= nameCount
	if name.Exact {
		e.ntCase |= name.Case
	}
	e.encode(s[:], v.geo.Width)
	v.set(n, slot, s[:], phaseAdd)
	d.live++
	d.enter(v, slot)
	return slot, phaseAdd, nil
}

// putBack revives a name that the open epoch removed.
func (v *Volume) putBack(n *Node, key string, old removedName, e dirent) (int32, phase, error) {
	d := n.dir
	es := d.edits[old.slot]
	before := es[len(es)-1].old
	if _, taken := d.index[hashKey(v, v.names.FoldShort(shortOf(before[:])))]; taken {
		return 0, 0, errCommit // its alias is the long name of another entry by now
	}
	for k := old.slot - old.longs; k < old.slot; k++ {
		d.restore(k)
	}
	e.ntCase = before[12]&^nameCount | e.ntCase&nameCount
	e.encode(before[:], v.geo.Width)
	ph := v.set(n, old.slot, before[:], phaseBody)
	delete(d.removed, key)
	delete(d.goneShort, shortOf(before[:]))
	delete(d.freed, old.slot-old.longs)
	d.live++
	d.enter(v, old.slot)
	return old.slot, ph, nil
}

// shortTaken reports whether an entry in memory, or one that the open epoch removed, has the alias. A
// chance meeting of two hashes counts as well: it costs another alias, to look closer would cost more.
func (d *dir) shortTaken(v *Volume, short [11]byte) bool {
	_, taken := d.index[hashKey(v, v.names.FoldShort(short))]
	return taken || d.goneShort[short]
}

// remove takes the entry at slot i out of directory n in phase ph. An entry that the open epoch
// added leaves no trace. The caller holds v.meta.
func (v *Volume) remove(n *Node, i int32, ph phase) {
	d := n.dir
	units, longs := d.long(i)
	shown := d.shown(v, i)
	key := d.keys(v, i, units)[0]
	d.leave(v, i)
	d.live--
	delete(d.kids, i)
	if d.allFresh(i-longs, longs+1) {
		v.unput(n, i-longs, longs+1)
		return
	}
	ph = max(ph, d.phaseOf(i)) // the long name does not go before the short one
	for k := i - longs; k <= i; k++ {
		at := phaseCut
		if k/slotsPerAtom == i/slotsPerAtom {
			at = ph
		}
		gone := [slotSize]byte(d.slot(k))
		gone[0] = slotDeleted
		v.set(n, k, gone[:], at)
	}
	d.removed[key] = removedName{i, longs, shown}
	d.goneShort[shortOf(d.edits[i][0].old[:])] = true
	d.freed[i-longs] = longs + 1
}

// unput takes back slots that the open epoch filled. Those that the medium has as never used must
// be marked as deleted all the same when an entry may follow: readers stop at the first of them.
func (v *Volume) unput(node *Node, at, n int32) {
	d := node.dir
	for k := at; k < at+n; k++ {
		for len(d.edits[k]) > 0 {
			d.restore(k)
		}
	}
	if at+n == d.tail && d.slot(at)[0] == slotEnd {
		d.tail = at
		return
	}
	for k := at; k < at+n; k++ {
		if d.slot(k)[0] == slotEnd {
			v.set(node, k, append([]byte{slotDeleted}, d.slot(k)[1:]...), phaseBody)
		}
	}
	d.addHole(at, n)
}
