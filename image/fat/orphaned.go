package fat

import "errors"

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
