package fat

import (
	"context"
	"fmt"
	"math"

	"fatvol/image/device"
)

// relocateStep bounds the buffer that clusters are copied through, in bytes.
const relocateStep = 4 << 20

// maxDotDots bounds the subdirectories whose ".." change in one epoch: their contents are in memory.
const maxDotDots = 256

// A piece is count clusters of a chain, from its index at on.
type piece struct{ at, count uint32 }

// reserveAt reserves the clusters of es, which the caller believes to be free, and brings the page of
// prev, where that is not 0, into memory. ErrNoSpace when one of them is not free.
func (t *table) reserveAt(es []extent, prev Cluster) (*reservation, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &reservation{}
	if prev != 0 {
		if err := t.pinLocked(r, extent{prev, 1}); err != nil {
			return nil, err
		}
	}
	for _, e := range es {
		if !t.contains(e.start) || e.n > t.entries-uint32(e.start) {
			t.undoLocked(r)
			return nil, fmt.Errorf("clusters %d to %d: %w", e.start, uint32(e.start)+e.n-1, ErrInvalid)
		}
		free, err := t.freeFromLocked(e)
		if err == nil && !free {
			err = fmt.Errorf("clusters %d to %d are in use: %w", e.start, uint32(e.start)+e.n-1, ErrNoSpace)
		}
		if err == nil {
			t.markExtentLocked(e)
			if err = t.takeLocked(r, e); err != nil {
				t.unmarkExtentLocked(e)
			}
		}
		if err != nil {
			t.undoLocked(r)
			return nil, err
		}
	}
	return r, nil
}

// freeFromLocked reports whether every cluster of e can be allocated.
func (t *table) freeFromLocked(e extent) (bool, error) {
	for n := uint32(0); n < e.n; {
		c := uint32(e.start) + n
		p, err := t.pageLocked(c / t.perPage)
		if err != nil {
			return false, err
		}
		want := min(e.n-n, t.perPage-c%t.perPage)
		if s, k := t.scanPageLocked(p, c%t.perPage, want); k < want || s != c%t.perPage {
			return false, nil
		}
		n += want
	}
	return true, nil
}

// splice links a reservation as a piece of a chain: its last cluster leads to next, or ends the chain
// where that is 0. With prev != 0 prev, to which the volume refers, leads to its first cluster once
// all of it, data included, is on the medium.
func (t *table) splice(r *reservation, prev, next Cluster) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.chainLocked(r, next)
	if prev != 0 {
		t.editLocked(t.pages[uint32(prev)/t.perPage], prev, uint32(r.first()), phaseLink, true)
	}
	t.reserved -= int64(r.count)
	t.unpinLocked(r)
}

// relocate moves a piece of n's chain to the clusters of to, which are free and as many. The medium
// has either the old place or the new one, whole, with the commit that ends the open epoch; the old
// clusters are free one epoch later. The caller has the volume for itself, and relocates each node
// once an epoch. Of a directory the epoch that is open before and the one that moves it are committed.
func (v *Volume) relocate(ctx context.Context, n *Node, p piece, to []extent) error {
	if n.dir != nil {
		return v.relocateDir(ctx, n, p, to)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead != nil {
		return n.dead
	}
	old, prev, next, err := n.cutOut(p)
	if err != nil {
		return err
	}
	r, err := v.tab.reserveAt(to, prev)
	if err != nil {
		return err
	}
	if err := v.copyClusters(ctx, n.chain, p, r); err != nil {
		v.tab.unreserve(r)
		return err
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	v.tab.splice(r, prev, next)
	v.replaced(n, p, r, old)
	return nil
}

// cutOut returns the first cluster of a piece of n's chain, the cluster before it and the one after
// it, each 0 where there is none. The chain is known completely then.
func (n *Node) cutOut(p piece) (old, prev, next Cluster, err error) {
	ch, t := n.chain, n.v.tab
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.complete {
		if err := ch.extend(t, math.MaxUint32); err != nil {
			return 0, 0, 0, n.v.note(err)
		}
	}
	if p.count == 0 || p.at > ch.length || p.count > ch.length-p.at {
		return 0, 0, 0, fmt.Errorf("clusters %d to %d of a chain of %d: %w", p.at, p.at+p.count, ch.length, ErrInvalid)
	}
	if old, _, err = ch.find(t, p.at, 1); err != nil {
		return 0, 0, 0, err
	}
	if p.at > 0 {
		if prev, _, err = ch.find(t, p.at-1, 1); err != nil {
			return 0, 0, 0, err
		}
	}
	if end := p.at + p.count; end < ch.length {
		next, _, err = ch.find(t, end, 1)
	}
	return old, prev, next, err
}

// replaced takes over that a piece of n's chain, which began at old, lies in the clusters of r. The
// caller holds v.meta.
func (v *Volume) replaced(n *Node, p piece, r *reservation, old Cluster) {
	ch := n.chain
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if p.at == 0 {
		n.d.first = r.first()
		v.setDirty(n)
	}
	ch.replace(p, r.extents)
	v.epoch.dead = append(v.epoch.dead, deadChain{old, p.count})
	v.tab.bury(p.count)
	v.changed()
}

// copyClusters copies a piece of a chain into a reservation.
func (v *Volume) copyClusters(ctx context.Context, ch *chain, p piece, r *reservation) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	step := max(1, relocateStep>>v.geo.ClusterShift)
	buf := make([]byte, min(uint32(step), p.count)<<v.geo.ClusterShift)
	done := uint32(0)
	for _, e := range r.extents {
		for i := uint32(0); i < e.n; {
			if err := ctx.Err(); err != nil {
				return err
			}
			c, k, err := ch.find(v.tab, p.at+done, min(e.n-i, uint32(step)))
			if err != nil {
				return err
			}
			part := buf[:int(k)<<v.geo.ClusterShift]
			if _, err := v.dev.ReadAt(part, v.clusterOffset(c)); err != nil {
				return fmt.Errorf("read cluster %d: %w", c, err)
			}
			to := e.start + Cluster(i)
			if err := v.write(part, v.clusterOffset(to)); err != nil {
				return fmt.Errorf("write cluster %d: %w", to, err)
			}
			v.relocated.Add(int64(len(part)))
			i += k
			done += k
		}
	}
	return nil
}

// relocateDir is relocate for a directory. When its first cluster moves, the ".." of those in it must
// name the new one: they follow in the same epoch, after the directory's own entry, or, where they are
// many, in the next ones; the old clusters stay allocated until the last ".." that names them is gone.
func (v *Volume) relocateDir(ctx context.Context, n *Node, p piece, to []extent) error {
	if err := v.sync(); err != nil {
		return err
	}
	if err := v.pin(n); err != nil {
		return err
	}
	defer v.unpin(n)
	if n.chain == nil {
		return fmt.Errorf("the fixed root directory has no clusters: %w", ErrInvalid)
	}
	if n.id == rootID && p.at == 0 {
		return v.relocateRoot(p, to)
	}
	old, prev, next, err := n.cutOut(p)
	if err != nil {
		return err
	}
	r, err := v.tab.reserveAt(to, prev)
	if err != nil {
		return err
	}
	var subdirs []*Node
	var late bool // there are more of them than one epoch takes
	if p.at == 0 {
		if subdirs, late, err = v.subdirs(n, 0, maxDotDots); err != nil {
			v.tab.unreserve(r)
			return err
		}
	}
	defer v.releaseAll(subdirs)
	if err := v.writeDir(n, p, r); err != nil {
		v.tab.unreserve(r)
		return err
	}
	v.meta.Lock()
	v.forgetPiece(n, p)
	v.tab.splice(r, prev, next)
	if p.at == 0 {
		delete(v.dirs, n.d.first)
		v.dirs[r.first()] = n
		n.dir.nameDot(r.first(), v.geo.Width)
	}
	v.replaced(n, p, r, old)
	held := v.epoch.dead[len(v.epoch.dead)-1]
	if late {
		v.epoch.dead = v.epoch.dead[:len(v.epoch.dead)-1]
	} else {
		v.nameDotDots(n, subdirs)
	}
	v.meta.Unlock()
	if err := v.sync(); err != nil || !late {
		return err
	}
	if err := v.followDotDots(n); err != nil {
		return err
	}
	v.meta.Lock()
	v.epoch.dead = append(v.epoch.dead, held)
	v.changed()
	v.meta.Unlock()
	return v.sync()
}

// nameDot makes "." name c, in memory.
func (d *dir) nameDot(c Cluster, w Width) {
	s := d.slot(0)
	if string(s[:2]) != ". " || !slotIsDot(s) {
		return // a damaged directory without one
	}
	e := decodeDirent(s, w)
	e.first = c
	e.encode(s, w)
}

// writeDir writes a piece of the contents of directory n into a reservation; where that is the first
// piece, "." names the new place.
func (v *Volume) writeDir(n *Node, p piece, r *reservation) error {
	shift := v.geo.ClusterShift
	img := make([]byte, int64(p.count)<<shift)
	v.meta.RLock()
	if from := int64(p.at) << shift; from < int64(len(n.dir.data)) {
		copy(img, n.dir.data[from:])
	}
	v.meta.RUnlock()
	if p.at == 0 {
		d := &dir{contents: contents{data: img}}
		d.nameDot(r.first(), v.geo.Width)
	}
	for _, e := range r.extents {
		part := img[:int64(e.n)<<shift]
		img = img[len(part):]
		if err := v.write(part, v.clusterOffset(e.start)); err != nil {
			return fmt.Errorf("write directory at cluster %d: %w", e.start, err)
		}
		device.Keep(v.dev, v.clusterOffset(e.start), part)
		v.relocated.Add(int64(len(part)))
	}
	return nil
}

// forgetPiece tells the device that a directory's old clusters are of no interest any more.
func (v *Volume) forgetPiece(n *Node, p piece) {
	n.chain.mu.Lock()
	defer n.chain.mu.Unlock()
	for i := p.at; i < p.at+p.count; {
		c, k, err := n.chain.find(v.tab, i, p.at+p.count-i)
		if err != nil {
			return // then the device keeps an eye on more than it has to
		}
		device.Forget(v.dev, v.clusterOffset(c), int64(k)<<v.geo.ClusterShift)
		i += k
	}
}

// subdirs returns the directories in n after a place, pinned and with a reference each, but no more
// than limit; more says that there are others.
func (v *Volume) subdirs(n *Node, after uint64, limit int) (list []*Node, more bool, err error) {
	var entries []Entry
	if err := v.ReadDir(n, after, func(e *Entry) bool {
		if e.IsDir {
			entries = append(entries, *e)
		}
		return len(entries) <= limit
	}); err != nil {
		return nil, false, err
	}
	if more = len(entries) > limit; more {
		entries = entries[:limit]
	}
	for i := range entries {
		e := &entries[i]
		sub, err := v.EntryNode(n, e)
		if err == nil {
			if err = v.pin(sub); err != nil {
				sub.Release(1)
			}
		}
		if err != nil {
			v.releaseAll(list)
			return nil, false, fmt.Errorf("%q: %w", e.Name, err)
		}
		list = append(list, sub)
	}
	return list, more, nil
}

func (v *Volume) releaseAll(list []*Node) {
	for _, n := range list {
		v.unpin(n)
		n.Release(1)
	}
}

// nameDotDots makes ".." of subdirectories name directory n. The caller holds v.meta.
func (v *Volume) nameDotDots(n *Node, subdirs []*Node) {
	for _, sub := range subdirs {
		if sub.dir.slots() < 2 || !slotIsDot(sub.dir.slot(1)) {
			continue
		}
		s := [slotSize]byte(sub.dir.slot(1))
		d := decodeDirent(s[:], v.geo.Width)
		d.first = n.dotdot()
		d.encode(s[:], v.geo.Width)
		v.set(sub, 1, s[:], phaseSwap)
	}
}

// followDotDots makes ".." of all directories in n name it, in as many epochs as it takes.
func (v *Volume) followDotDots(n *Node) error {
	for after, more := uint64(0), true; more; {
		list, rest, err := v.subdirs(n, after, maxDotDots)
		if err != nil {
			return err
		}
		v.meta.Lock()
		v.nameDotDots(n, list)
		for _, sub := range list {
			after = max(after, uint64(sub.slot)+1)
		}
		v.meta.Unlock()
		err = v.sync()
		v.releaseAll(list)
		if err != nil {
			return err
		}
		more = rest
	}
	return nil
}

// relocateRoot moves the beginning of the root directory of FAT32, which the boot sector names: first
// the new clusters, then one sector, then the backup of that.
func (v *Volume) relocateRoot(p piece, to []extent) error {
	n := v.root
	old, _, next, err := n.cutOut(p)
	if err != nil {
		return err
	}
	r, err := v.tab.reserveAt(to, 0)
	if err != nil {
		return err
	}
	if err := v.writeDir(n, p, r); err != nil {
		v.tab.unreserve(r)
		return err
	}
	first := r.first()
	v.meta.Lock()
	v.tab.splice(r, 0, next)
	v.changed()
	v.meta.Unlock()
	if err := v.sync(); err != nil {
		return err
	}
	if err := v.bootRoot(first); err != nil {
		return err // which of the two it names is not known: both stay allocated
	}
	v.meta.Lock()
	v.forgetPiece(n, p)
	delete(v.dirs, n.d.first)
	v.dirs[first] = n
	v.geo.RootCluster = uint32(first)
	v.replaced(n, p, r, old)
	v.meta.Unlock()
	return v.sync()
}

// bootRoot names the first cluster of the root directory in the boot sector, and then in its backup.
func (v *Volume) bootRoot(c Cluster) error {
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	boot := append([]byte(nil), v.boot...)
	putBootRoot(boot, c)
	if err := v.write(boot, 0); err != nil {
		return err
	}
	copy(v.boot, boot)
	if err := v.syncDevice(); err != nil {
		return err
	}
	if v.geo.BackupBoot == 0 {
		return nil
	}
	backup := make([]byte, atom)
	if _, err := v.dev.ReadAt(backup, v.geo.BackupBoot); err != nil {
		return err
	}
	putBootRoot(backup, c)
	if err := v.write(backup, v.geo.BackupBoot); err != nil {
		return err
	}
	return v.syncDevice()
}
