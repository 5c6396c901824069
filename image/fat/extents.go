package fat

import (
	"fmt"
	"math"
)

// An Extent is a piece of a file or directory that lies in one piece on the volume.
type Extent struct {
	Cluster Cluster // the first of it; 0 for the fixed root directory, which has none
	Count   uint32  // clusters
	At      int64   // where the piece begins in the file, in bytes
	Off     int64   // where it begins on the volume, in bytes
	Len     int64   // bytes, those of the last cluster behind the file's end included
}

// Extents calls fn for the extents of n in order, until fn returns an error. A chain that is damaged
// gives those up to the damage, and then an error that wraps ErrCorrupt. fn must not call the volume.
func (n *Node) Extents(fn func(Extent) error) error {
	if err := n.v.enter(); err != nil {
		return fmt.Errorf("extents: %w", err)
	}
	defer n.v.leave()
	n.mu.RLock()
	defer n.mu.RUnlock()
	v := n.v
	v.meta.RLock()
	ch, dead := n.chain, n.dead
	v.meta.RUnlock()
	if dead != nil {
		return fmt.Errorf("extents: %w", dead)
	}
	if ch == nil {
		size := int64(v.geo.RootEntries) * slotSize
		return fn(Extent{Off: v.geo.RootStart, Len: size})
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var damage error
	if !ch.complete {
		damage = ch.extend(v.tab, math.MaxUint32)
	}
	var e Extent
	for i := uint32(0); i < ch.length; {
		c, k, err := ch.find(v.tab, i, ch.length-i)
		if err != nil {
			return fmt.Errorf("extents: %w", err)
		}
		if e.Count > 0 && e.Cluster+Cluster(e.Count) == c {
			e.Count += k
		} else {
			if e.Count > 0 {
				if err := fn(e); err != nil {
					return err
				}
			}
			e = Extent{Cluster: c, Count: k, At: int64(i) << v.geo.ClusterShift, Off: v.clusterOffset(c)}
		}
		e.Len = int64(e.Count) << v.geo.ClusterShift
		i += k
	}
	if e.Count > 0 {
		if err := fn(e); err != nil {
			return err
		}
	}
	if damage != nil {
		return fmt.Errorf("extents: %w", v.note(damage))
	}
	return nil
}
