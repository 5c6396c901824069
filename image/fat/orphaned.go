package fat

import (
	"errors"
	"slices"
)

// Orphan tells the volume that its device is gone for good: what is written goes elsewhere, and what is not
// in memory cannot be read. Names, sizes and times are all written by Close then, and clusters stay allocated
// that could only be freed by following a chain in the FAT: the volume stays marked, so that the repair of the
// next mount finds them.
func (v *Volume) Orphan() { v.orphaned.Store(true) }

// leaves gives up what the open epoch has to free, if it cannot be found out any more because the device is
// gone for good, which err comes from. The caller holds v.commitMu and v.meta.
func (v *Volume) leaves(err error) bool {
	if !v.orphaned.Load() || errors.Is(err, ErrCorrupt) {
		return false
	}
	v.dead, v.epoch.dead = nil, nil
	for _, n := range v.epoch.trims {
		n.trimming = false
		v.drop(n)
	}
	v.epoch.trims = nil
	v.keepDirty = true
	return true
}

// leavesDir gives up the entries that the open epoch changed of a directory that is not in memory, if it cannot be read any
// more because the device is gone for good, which err comes from. Who changes a file has its directory in memory before
// (holdParent), so it is about dates of access. The caller holds v.commitMu.
func (v *Volume) leavesDir(dir *Node, err error) bool {
	if !v.orphaned.Load() || errors.Is(err, ErrCorrupt) {
		return false
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	var left []*Node
	leave := func(n *Node) bool {
		of := n.parent == dir && !n.unlinked
		if of {
			left = append(left, n)
		}
		return of
	}
	v.epoch.nodes = slices.DeleteFunc(v.epoch.nodes, leave)
	v.epoch.trims = slices.DeleteFunc(v.epoch.trims, leave)
	for _, n := range left {
		n.dirty, n.trimming = false, false
		v.drop(n)
	}
	v.keepDirty = true
	return true
}
