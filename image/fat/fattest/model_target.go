package fattest

import (
	"maps"
	"slices"
	"syscall"
	"time"
)

// ModelTarget is a model that plays the target: what the exerciser is proven with.
type ModelTarget struct {
	Model *Model
	now   time.Time
	rest  map[int][]DirEntry // of listings that are being read
}

// NewModelTarget returns a target that does everything right.
func NewModelTarget(t Traits) *ModelTarget {
	return &ModelTarget{Model: NewModel(t), rest: map[int][]DirEntry{}}
}

// SetNow sets the clock.
func (t *ModelTarget) SetNow(now time.Time) { t.now = now }

// Do performs an operation as the model would have it.
func (t *ModelTarget) Do(op Op) Result {
	w := t.Model.expect(op)
	switch {
	case !w.ok:
		return Result{Err: w.errs[0]}
	case w.full, w.need > 0 && w.need > t.free():
		return Result{Err: syscall.ENOSPC}
	}
	res := w.res
	if w.apply != nil {
		w.apply(res, t.now, t.now)
	}
	switch op.Kind {
	case OpStat:
		_, _, n, _ := t.Model.find(op.Path)
		res.Stat = t.stat(n)
	case OpFstat:
		res.Stat = t.stat(t.Model.slots[op.Slot].n)
	case OpList, OpDirOpen:
		_, _, n, _ := t.Model.find(op.Path)
		for _, k := range slices.Sorted(maps.Keys(n.kids)) {
			res.Entries = append(res.Entries, DirEntry{n.kids[k].name, n.kids[k].dir})
		}
		if op.Kind == OpDirOpen {
			t.rest[op.Slot], res.Entries = res.Entries, nil
		}
	case OpDirRead:
		if l := t.Model.lists[op.Slot]; l.dir.parent != nil || l.dir == t.Model.root {
			n := min(int(op.Len), len(t.rest[op.Slot]))
			res.Entries, t.rest[op.Slot] = t.rest[op.Slot][:n], t.rest[op.Slot][n:]
			res.End = len(t.rest[op.Slot]) == 0
		}
	}
	return res
}

func (t *ModelTarget) stat(n *node) Stat {
	s := Stat{IsDir: n.dir, Size: n.size, Attr: n.attr, AttrMask: attrMask, Modified: n.mlo, Accessed: n.accessed,
		Allocated: t.Model.clusters(n.size) * int64(t.Model.ClusterSize)}
	if n.parent != nil {
		s.Links = 1
	}
	return s
}

func (t *ModelTarget) free() int64 {
	free := int64(t.Model.Clusters)
	count := func(n *node) {
		if n.dir {
			free -= 1 + t.Model.clusters(int64(len(n.kids))*21*slotSize)
		} else {
			free -= t.Model.clusters(n.size)
		}
	}
	for _, n := range t.Model.nodes() {
		count(n)
	}
	unlinked := map[*node]bool{}
	for _, h := range t.Model.slots {
		if h.n.parent == nil && !unlinked[h.n] {
			unlinked[h.n] = true
			count(h.n)
		}
	}
	return max(0, free)
}

// Free is the number of clusters that the model's files leave.
func (t *ModelTarget) Free() (uint32, error) { return uint32(t.free()), nil }

// Unmount closes everything; there is no volume.
func (t *ModelTarget) Unmount() (Source, error) {
	t.Model.closeAll()
	return nil, nil
}

// Mount does nothing.
func (t *ModelTarget) Mount() error { return nil }

// Close does nothing.
func (t *ModelTarget) Close() {}
