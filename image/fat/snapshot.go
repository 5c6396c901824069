package fat

import (
	"bytes"

	"fatvol/image/device"
)

// snapshot closes the open epoch and renders it into v.plan; without changes there is no plan. The
// caller holds v.commitMu. On an error nothing has changed.
func (v *Volume) snapshot() error {
	pinned := make(map[*Node]bool)
	defer func() {
		for n := range pinned {
			v.unpin(n)
		}
	}()
	for {
		v.meta.Lock()
		missing := v.parentsToPin(pinned)
		if len(missing) == 0 {
			break
		}
		v.meta.Unlock()
		for _, n := range missing {
			if err := v.pin(n); err == nil {
				pinned[n] = true
			} else if !v.leavesDir(n, err) {
				return err
			}
		}
	}
	defer v.meta.Unlock()
	if !v.epoch.open && len(v.dead) > 0 {
		if err := v.freeDead(); err != nil && !v.leaves(err) {
			return err
		}
	}
	busy, err := v.trim()
	if err != nil && !v.leaves(err) {
		return err
	}
	v.epoch.trims = busy
	if !v.epoch.open && len(v.mirror) == 0 {
		return nil
	}
	p := &plan{id: v.epoch.id, dead: v.epoch.dead, freed: v.quarantine, mirror: make(map[int64][]byte)}
	if v.epoch.open && !v.flagged && !v.keepDirty {
		if err := v.flagDirty(p); err != nil {
			return err
		}
	}
	v.renderNodes(p)
	if err := v.renderDirs(p); err != nil {
		return err
	}
	v.renderTable(p)
	for off, data := range v.mirror {
		v.addMirror(p, off, data)
	}
	for ph := range p.phases {
		p.phases[ph] = coalesce(p.phases[ph])
		p.barrier[ph] = p.barrier[ph] || phase(ph) >= phaseAdd
	}
	p.need = v.dataSeq.Load()
	v.mirror, v.quarantine = nil, nil
	v.epoch = epoch{id: v.epoch.id + 1, trims: busy}
	v.plan = p
	return nil
}

// parentsToPin lists the directories that hold entries to be written and that are not in memory for
// sure. The caller holds v.meta.
func (v *Volume) parentsToPin(pinned map[*Node]bool) (missing []*Node) {
	seen := make(map[*Node]bool)
	for _, list := range [][]*Node{v.epoch.nodes, v.epoch.trims} {
		for _, n := range list {
			if p := n.parent; !n.unlinked && p != nil && !pinned[p] && !seen[p] {
				seen[p] = true
				missing = append(missing, p)
			}
		}
	}
	return missing
}

// trim cuts the chains that are longer than their file or directory needs, and returns the files that
// are in use just now: a chain that grows looks longer than it has to be. The caller holds v.meta.
func (v *Volume) trim() (busy []*Node, err error) {
	for len(v.epoch.trims) > 0 {
		n := v.epoch.trims[0]
		if r := v.holds(); r != nil {
			r.trims = append(r.trims, n)
			v.epoch.trims = v.epoch.trims[1:]
			continue
		}
		// While the medium has the third name of an exchange, with the size from before, no chain is cut, nor is that
		// of a file with two spellings. The lock is not taken in the order of locks, but it does not wait.
		if v.epoch.spare || n.respelled == v.epoch.id || !n.mu.TryLock() {
			busy = append(busy, n)
		} else {
			err = v.trimNode(n)
			n.mu.Unlock()
			if err != nil {
				v.epoch.trims = append(v.epoch.trims, busy...)
				return nil, err
			}
			n.trimming = false
			v.drop(n)
		}
		v.epoch.trims = v.epoch.trims[1:]
	}
	return busy, nil
}

// trimLater has the next commit look whether n has clusters to give back. Until then n stays known:
// another Node for the same file would not know of its chain. The caller holds v.meta.
func (v *Volume) trimLater(n *Node) {
	if !n.trimming {
		n.trimming = true
		v.epoch.trims = append(v.epoch.trims, n)
	}
	v.changed()
}

func (v *Volume) trimNode(n *Node) error {
	if n.unlinked || n.kept > 0 && n.opens > 0 {
		return nil
	}
	need := v.clustersFor(n.d.size)
	if n.dir != nil {
		if !n.dir.loaded {
			return nil
		}
		need = max(1, uint32((int64(n.dir.tail)*slotSize+int64(v.geo.ClusterSize)-1)>>v.geo.ClusterShift))
	}
	ch := n.chain
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.complete || ch.length <= need {
		return nil
	}
	count := ch.length - need
	if need == 0 {
		v.epoch.dead = append(v.epoch.dead, deadChain{n.d.first, count})
		v.tab.bury(count)
		n.d.first = 0
		ch.reset(0)
		v.setDirty(n)
		return nil
	}
	first, _, err := ch.find(v.tab, need, 1)
	if err != nil {
		return err
	}
	last, _, err := ch.find(v.tab, need-1, 1)
	if err != nil {
		return err
	}
	if err := v.tab.cut(last); err != nil {
		return err
	}
	v.epoch.dead = append(v.epoch.dead, deadChain{first, count})
	v.tab.bury(count)
	if n.dir != nil {
		for i := need; i < ch.length; {
			c, k, err := ch.find(v.tab, i, ch.length-i)
			if err != nil {
				break // then the device keeps an eye on more than it has to
			}
			device.Forget(v.dev, v.clusterOffset(c), int64(k)<<v.geo.ClusterShift)
			i += k
		}
	}
	ch.cut(need)
	v.epoch.open = true
	if d := n.dir; d != nil {
		size := int(need) << v.geo.ClusterShift
		v.dirBytes -= int64(len(d.data) - size)
		for i := int32(size / slotSize); i < d.slots(); i++ {
			delete(d.edits, i)
		}
		d.data = d.data[:size:size]
	}
	return nil
}

// cut ends the chain that c belongs to with c, in phaseCut.
func (t *table) cut(c Cluster) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.pageLocked(uint32(c) / t.perPage)
	if err != nil {
		return err
	}
	t.editLocked(p, c, t.w.eoc(), phaseCut, false)
	return nil
}

// renderNodes brings the entries of changed nodes up to date in their directories.
func (v *Volume) renderNodes(p *plan) {
	for _, n := range v.epoch.nodes {
		n.dirty = false
		n.inPlan = true
		n.fresh = neverFresh
		p.nodes = append(p.nodes, n)
		if n.unlinked {
			continue
		}
		var s [slotSize]byte
		old := n.parent.dir.slot(n.slot)
		copy(s[:], old)
		n.d.encode(s[:], v.geo.Width)
		s[12] = old[12]
		if !bytes.Equal(s[:], old) {
			v.set(n.parent, n.slot, s[:], phaseAdd)
		}
	}
}

// renderDirs adds the writes of all edited slots to the plan.
func (v *Volume) renderDirs(p *plan) error {
	type job struct {
		n     *Node
		atom  int32
		off   int64
		fresh bool // one of newAtoms
	}
	var jobs []job
	for _, n := range v.epoch.dirs { // first everything that may fail
		first, end := n.dir.newAtoms()
		done := make(map[int32]bool, len(n.dir.edits)/slotsPerAtom)
		add := func(a int32) error {
			if done[a] {
				return nil
			}
			done[a] = true
			off, err := v.slotOffset(n, a*slotsPerAtom)
			if err == nil {
				jobs = append(jobs, job{n, a, off, a >= first && a < end})
			}
			return err
		}
		for a := first; a < end; a++ {
			if err := add(a); err != nil {
				return err
			}
		}
		for i := range n.dir.edits {
			if err := add(i / slotsPerAtom); err != nil {
				return err
			}
		}
	}
	for _, j := range jobs {
		var phases uint
		if j.fresh {
			phases |= 1 << phaseBody
		}
		for i := j.atom * slotsPerAtom; i < (j.atom+1)*slotsPerAtom; i++ {
			for _, e := range j.n.dir.edits[i] {
				phases |= 1 << e.phase
			}
		}
		for ph := phaseBody; ph < phaseCount; ph++ {
			if phases&(1<<ph) != 0 {
				p.add(ph, j.off, j.n.dir.render(j.atom, ph))
			}
		}
	}
	for _, n := range v.epoch.dirs {
		d := n.dir
		p.dirs = append(p.dirs, planDir{n, d.freed})
		d.inPlan = true
		d.oldTail = d.tail
		d.listed = false
		d.edits = make(map[int32][]edit)
		d.forgetRemoved()
	}
	return nil
}

// newAtoms are the atoms [first, end) over which the open epoch has moved the end of the directory, if those
// are more than one. Their writes have no order: so that no entry is ever behind the old end, slots to be filled
// are first marked as deleted.
func (d *dir) newAtoms() (first, end int32) {
	first, last := d.oldTail/slotsPerAtom, (d.tail-1)/slotsPerAtom
	if d.tail <= d.oldTail || first == last {
		return 0, 0
	}
	return first, last + 1
}

// render returns the bytes of an atom of the directory as they are in phase ph.
func (d *dir) render(atomNr int32, ph phase) []byte {
	from := int(atomNr) * atom
	img := append([]byte(nil), d.data[from:min(from+atom, len(d.data))]...)
	for i := atomNr * slotsPerAtom; i < min((atomNr+1)*slotsPerAtom, d.slots()); i++ {
		es := d.edits[i]
		for k := len(es) - 1; k >= 0 && es[k].phase > ph; k-- {
			copy(img[(i%slotsPerAtom)*slotSize:], es[k].old[:])
		}
		if s := img[(i%slotsPerAtom)*slotSize:]; i >= d.oldTail && i < d.tail && s[0] == slotEnd {
			s[0] = slotDeleted
		}
	}
	return img
}

// slotOffset is where slot i of directory n lies on the device.
func (v *Volume) slotOffset(n *Node, i int32) (int64, error) {
	at := int64(i) * slotSize
	if n.chain == nil {
		return v.geo.RootStart + at, nil
	}
	n.chain.mu.Lock()
	defer n.chain.mu.Unlock()
	c, _, err := n.chain.find(v.tab, uint32(at>>v.geo.ClusterShift), 1)
	if err != nil {
		return 0, err
	}
	return v.clusterOffset(c) + at&int64(v.geo.ClusterSize-1), nil
}

// renderTable adds the writes of the FAT to the plan. The bodies of new chains go before the links
// that make the volume refer to them, unless every link lies in one atom with the whole of its body
// and needs no data to be there: then an atom is written whole or not at all, and one phase will do.
func (v *Volume) renderTable(p *plan) {
	t := v.tab
	t.mu.Lock()
	defer t.mu.Unlock()
	pages := t.dirtyPagesLocked()
	body, links := phaseBody, false
	if merge, any := t.linksLocked(pages); any {
		links = true
		if merge && len(p.phases[phaseBody]) == 0 {
			body = phaseLink
		}
	}
	for _, pg := range pages {
		var masks [phaseCount]uint32
		masks[body] |= pg.body
		for _, e := range pg.edits {
			masks[e.phase] |= t.atomsOf(e.c)
		}
		for ph, mask := range masks {
			atoms(mask, func(a int) {
				img := t.renderLocked(pg, a, phase(ph))
				p.add(phase(ph), t.atomOffset(pg.idx, a, t.geo.ActiveFAT), img)
			})
		}
		if t.geo.Mirrored && t.geo.FATs > 1 {
			atoms(pg.dirty, func(a int) {
				p.mirror[t.atomOffset(pg.idx, a, 0)-t.geo.FATStart] = t.renderLocked(pg, a, phaseCount)
			})
		}
		pg.pins++
		p.pages = append(p.pages, pg)
		pg.dirty, pg.body, pg.edits = 0, 0, nil
		t.dirtyN--
	}
	p.barrier[phaseLink] = links && body == phaseBody
}

// linksLocked reports whether there are links to new clusters, and whether bodies and links may be
// written together.
func (t *table) linksLocked(pages []*page) (merge, any bool) {
	merge = true
	for _, p := range pages {
		for _, e := range p.edits {
			if e.phase != phaseLink {
				continue
			}
			any = true
			merge = merge && !e.barrier && t.selfContained(p, e.c)
		}
	}
	return merge, any
}

// selfContained reports whether the entries from c to the end of its chain lie in one atom of p.
func (t *table) selfContained(p *page, c Cluster) bool {
	home := t.atomsOf(c)
	if home&(home-1) != 0 {
		return false
	}
	for _, e := range p.edits {
		// What is cut off later in the epoch is still linked in phaseLink.
		if e.phase > phaseLink && t.atomsOf(e.c)&home != 0 {
			return false
		}
	}
	for steps := 0; steps <= atom; steps++ {
		if uint32(c)/t.perPage != p.idx || t.atomsOf(c) != home {
			return false
		}
		value := t.w.get(p.data, uint32(c)%t.perPage)
		if t.w.classify(value, t.geo.Clusters) != entryNext {
			return true
		}
		c = Cluster(value)
	}
	return false
}

// addMirror adds the writes that bring the other FATs up to what the first had after the last plan.
// They lag one plan behind on purpose: a second FAT is never ahead of the first.
func (v *Volume) addMirror(p *plan, off int64, data []byte) {
	for k := 0; k < v.geo.FATs; k++ {
		if k != v.geo.ActiveFAT {
			p.add(phaseBody, v.geo.FATStart+int64(k)*v.geo.FATBytes+off, data)
		}
	}
}

// flagDirty marks the volume as in use, with the first commit after it was clean.
func (v *Volume) flagDirty(p *plan) error {
	if v.tab.w.clean != 0 {
		// The mark in the boot sector is enough for whoever looks after the volume.
		if err := v.tab.flag(false); err != nil && !v.orphaned.Load() {
			return err
		}
	}
	if v.geo.StateOffset > 0 && v.geo.StateOffset < len(v.boot) {
		v.boot[v.geo.StateOffset] |= stateDirty
		p.flag = append([]byte(nil), v.boot...)
	}
	v.flagged, v.unmarked = true, false
	return nil
}

// stateDirty is the bit of the boot sector's state byte that Windows NT and Linux use.
const stateDirty = 0x01

// flag sets or clears the clean-shutdown bit of FAT[1] in memory.
func (t *table) flag(clean bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.pageLocked(0)
	if err != nil {
		return err
	}
	value := t.w.get(p.data, 1) &^ t.w.clean
	if clean {
		value |= t.w.clean
	}
	t.w.set(p.data, 1, value)
	p.body |= t.dirtyLocked(p, 1)
	return nil
}
