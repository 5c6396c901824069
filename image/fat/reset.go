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
// handles but the root become ErrStale. Nothing is forgotten, and the error is ErrUnsettled, when there
// are changes that dev lacks.
func (v *Volume) Reset(dev device.Device) error {
	v.life.Lock() // every call from outside is over
	defer v.life.Unlock()
	if v.closing {
		return ErrClosed
	}
	v.endRepair(false)
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	if !v.opt.ReadOnly && !v.settled() || v.hasOrphans() {
		return fmt.Errorf("reset: %w", ErrUnsettled)
	}
	boot := make([]byte, min(BootSize, dev.Size()))
	if _, err := dev.ReadAt(boot, 0); err != nil {
		return fmt.Errorf("reset: read boot sector: %w", err)
	}
	geo, err := ParseGeometry(boot, dev.Size(), v.opt.Geometry)
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if err := geo.chooseFAT(dev); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if geo.Width != v.geo.Width {
		return fmt.Errorf("reset: %w: %v, expected %v", ErrCorrupt, geo.Width, v.geo.Width)
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
	v.begin(geo, boot)
	if err := v.readState(dev); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if err := v.protectFATs(); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	v.startRepair()
	v.work.Add(1)
	go v.counter()
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

// begin takes up a volume of which nothing is known but its boot sector. The caller holds v.meta and
// v.commitMu, or nobody else knows of v yet.
func (v *Volume) begin(geo *Geometry, boot []byte) {
	v.geo, v.boot = geo, boot[:atom]
	v.tab = newTable(v.dev, geo, v.opt.CacheBytes)
	v.inos = map[uint64]*Node{rootID: v.root}
	v.dirs = make(map[Cluster]*Node)
	v.orphans = make(map[*Node]struct{})
	v.loadedDirs, v.dirsLimit, v.dirBytes = nil, leastQueue, 0
	v.mirror, v.quarantine, v.dead = nil, nil, nil
	v.keepers.Store(0)
	v.root.dir.forget()
	v.root.chain = nil
	v.root.d = dirent{attr: AttrDirectory, first: Cluster(geo.RootCluster)}
	if geo.Width == FAT32 {
		v.root.chain = newChain(v.root.d.first)
		v.dirs[v.root.d.first] = v.root
	}
	device.Keep(v.dev, 0, v.boot)
}
