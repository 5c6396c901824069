package fat

import (
	"errors"
	"fmt"

	"fatvol/image/device"
)

// ErrUnsettled is returned by Reset when changes of this volume are not on the medium.
var ErrUnsettled = errors.New("changes are not on the medium")

// Reset forgets everything that is known of the volume, because something else changed it while it was
// away, and begins anew with what dev has, which is the volume's device as it will be. All nodes and
// handles but the root become ErrStale. Nothing is forgotten when there is an error: ErrUnsettled when there
// are changes that dev lacks, ErrClosed, and those of Open.
func (v *Volume) Reset(dev device.Device) error {
	v.life.Lock() // every call from outside is over
	defer v.life.Unlock()
	if v.closing {
		return ErrClosed
	}
	f, err := find(dev, &v.opt)
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if f.geo.Width != v.geo.Width {
		return fmt.Errorf("reset: %w: %v, expected %v", ErrCorrupt, f.geo.Width, v.geo.Width)
	}
	v.endRepair(false)
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	if !v.opt.ReadOnly && !v.settled() || v.hasOrphans() {
		return fmt.Errorf("reset: %w", ErrUnsettled)
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	for _, n := range v.inos {
		if n != v.root {
			n.retire()
		}
	}
	v.hot.mu.Lock()
	hot := v.hot.nodes
	v.hot.nodes = nil
	v.hot.mu.Unlock()
	for _, n := range hot {
		n.refs.Add(-1)
	}
	v.begin(f)
	return nil
}

// retire makes a node stale. The caller holds v.meta, and nobody else uses the volume.
func (n *Node) retire() {
	n.dead = ErrStale
	n.stale.Store(true)
	n.slot = -1
	n.unlinked = true
	n.forgotten = true // its place in the tables is gone, and there is nothing to drop
	if n.dir != nil {
		n.dir.forget()
	}
}
