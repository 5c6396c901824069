package fat

import (
	"context"
	"fmt"
)

const (
	// moveBytes and moveNodes bound what is moved between two commits: it takes twice its space so long.
	moveBytes = 64 << 20
	moveNodes = 256
	// movePieces bounds the pieces of a file that are noted at a time.
	movePieces = 1 << 12
)

// A mover relocates pieces of files and directories into free space, many with each commit. It has the
// volume for itself.
type mover struct {
	v        *Volume
	ctx      context.Context
	progress func(bytes int64) // called for what was copied; may be nil

	// Where to: clusters in [from, to), but for avoid.
	from, to Cluster
	avoid    extent
	free     *freeMap
	gone     uint32 // clusters that became free since free was taken

	nodes int   // moved in the open epoch
	bytes int64 // the same
	told  int64 // value of v.relocated when progress was called last
	moved uint64
}

func (v *Volume) newMover(ctx context.Context, progress func(int64)) *mover {
	return &mover{v: v, ctx: ctx, progress: progress, from: firstCluster, to: Cluster(v.tab.entries), told: v.relocated.Load()}
}

// settle commits what was moved, and makes its old clusters free.
func (m *mover) settle() error {
	m.nodes, m.bytes = 0, 0
	return m.v.drain()
}

// giveUp commits what was done before err.
func (m *mover) giveUp(err error) error {
	if late := m.settle(); late != nil && err != nil {
		return fmt.Errorf("%w; %w", err, late)
	} else if late != nil {
		return late
	}
	return err
}

// place takes n free clusters: in one piece, or, where scattered, in as few as can be. It takes stock
// again when clusters were freed since.
func (m *mover) place(n uint32, scattered bool) ([]extent, bool, error) {
	for {
		if m.free != nil {
			take := m.free.one
			if scattered {
				take = m.free.some
			}
			if es, ok := take(n); ok {
				return es, true, nil
			}
			if m.gone < n && !(scattered && m.gone > 0) {
				return nil, false, nil
			}
		}
		if err := m.settle(); err != nil {
			return nil, false, err
		}
		f, err := m.v.freeMap(m.from, m.to, m.avoid)
		if err != nil {
			return nil, false, err
		}
		m.free, m.gone = f, 0
	}
}

// move moves a piece of n, in one piece unless scattered, and reports whether there was room.
func (m *mover) move(n *Node, p piece, scattered bool) (bool, error) {
	p, err := m.v.widen(n, p)
	if err != nil {
		return false, err
	}
	es, ok, err := m.place(p.count, scattered)
	if !ok || err != nil {
		return false, err
	}
	return true, m.moveTo(n, p, es)
}

// moveTo moves a piece of n to the given clusters.
func (m *mover) moveTo(n *Node, p piece, es []extent) error {
	err := m.v.relocate(m.ctx, n, p, es)
	m.tell()
	if err != nil {
		return err
	}
	m.gone += p.count
	m.moved++
	m.nodes++
	m.bytes += int64(p.count) << m.v.geo.ClusterShift
	// Entries of FAT12 lie across atoms: there a node is moved once an epoch, and no more.
	if m.bytes >= moveBytes || m.nodes >= moveNodes || m.v.geo.Width == FAT12 {
		return m.settle()
	}
	return nil
}

func (m *mover) tell() {
	now := m.v.relocated.Load()
	if m.progress != nil && now > m.told {
		m.progress(now - m.told)
	}
	m.told = now
}

// widen begins a piece earlier where the entry that has to lead to it, on FAT12, lies across two
// atoms, and could not be switched in one write.
func (v *Volume) widen(n *Node, p piece) (piece, error) {
	if _, _, _, err := n.cutOut(p); err != nil {
		return p, err
	}
	ch := n.chain
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for p.at > 0 {
		c, _, err := ch.find(v.tab, p.at-1, 1)
		if err != nil {
			return p, err
		}
		if mask := v.tab.atomsOf(c); mask&(mask-1) == 0 {
			break
		}
		p.at--
		p.count++
	}
	return p, nil
}

// pieces are the parts of n's chain that lie in an extent, at most movePieces of them.
func (n *Node) pieces(in extent) (list []piece, total, count uint32, err error) {
	stop := in.start + Cluster(in.n)
	err = n.Extents(func(e Extent) error {
		count++
		lo, hi := max(e.Cluster, in.start), min(e.Cluster+Cluster(e.Count), stop)
		at := total
		total += e.Count
		if lo >= hi {
			return nil
		}
		p := piece{at + uint32(lo-e.Cluster), uint32(hi - lo)}
		if k := len(list) - 1; k >= 0 && list[k].at+list[k].count == p.at {
			list[k].count += p.count
		} else if len(list) < movePieces {
			list = append(list, p)
		}
		return nil
	})
	return list, total, count, err
}

// evacuate moves everything out of the clusters of an extent, which stay free: nothing is allocated
// there meanwhile. ErrNoSpace when there is not enough room elsewhere, ErrLost when clusters remain
// that belong to no file.
func (m *mover) evacuate(from extent) error {
	m.avoid = from
	err := m.v.walkTree(m.ctx, func(path string, n *Node) error {
		if n.chain == nil {
			return nil
		}
		for {
			list, _, _, err := n.pieces(from)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if len(list) == 0 {
				return nil
			}
			for _, p := range list {
				if err := m.evict(n, p); err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
			}
		}
	})
	if err == nil {
		err = m.settle()
	}
	if err != nil {
		return err
	}
	return m.vacant(from)
}

// evict moves a piece out of the way, whole where that is possible.
func (m *mover) evict(n *Node, p piece) error {
	ok, err := m.move(n, p, false)
	if err == nil && !ok {
		ok, err = m.move(n, p, true)
	}
	if err == nil && !ok {
		err = fmt.Errorf("no room for %d clusters: %w", p.count, ErrNoSpace)
	}
	return err
}

// vacant checks that no cluster of an extent is in use. Bad ones do not count.
func (m *mover) vacant(e extent) error {
	stop := e.start + Cluster(e.n)
	return ScanTable(m.v.dev, m.v.geo, func(r Run) error {
		if r.State == RunUsed && r.Start < stop && e.start < r.Start+Cluster(r.Count) {
			return fmt.Errorf("%w: cluster %d", ErrLost, max(r.Start, e.start))
		}
		return nil
	})
}

// Evacuate moves everything out of count clusters from first on, and leaves them free. ErrNoSpace when
// there is not enough room elsewhere, ErrLost when clusters that belong to no file are among them,
// ErrCorrupt when the volume is damaged: then nothing was moved. The caller has the volume for itself.
func (v *Volume) Evacuate(ctx context.Context, first Cluster, count uint32, progress func(bytes int64)) error {
	region := extent{first, count}
	err := v.evacuate(ctx, region, progress)
	if err != nil {
		return fmt.Errorf("make clusters %d to %d free: %w", first, uint32(first)+count-1, err)
	}
	return nil
}

func (v *Volume) evacuate(ctx context.Context, region extent, progress func(bytes int64)) error {
	if v.ReadOnly() {
		return ErrReadOnly
	}
	if err := v.drain(); err != nil { // a chain that is still to be cut would get shorter meanwhile
		return err
	}
	s, err := v.Survey(ctx)
	if err != nil {
		return err
	}
	if err := v.canEvacuate(region, s); err != nil {
		return err
	}
	m := v.newMover(ctx, progress)
	return m.giveUp(m.evacuate(region)) // what was moved before an error stays where it is now
}

// canEvacuate makes sure that nothing but files is in an extent, and that there is room for them.
func (v *Volume) canEvacuate(e extent, s *Survey) error {
	stop := e.start + Cluster(e.n)
	var used, free uint32
	err := ScanTable(v.dev, v.geo, func(r Run) error {
		lo, hi := max(r.Start, e.start), min(r.Start+Cluster(r.Count), stop)
		inside := uint32(0)
		if lo < hi {
			inside = uint32(hi - lo)
		}
		switch r.State {
		case RunFree:
			free += r.Count - inside
		case RunUsed:
			used += inside
			for c := lo; c < hi; c++ {
				if !s.owned.has(c) {
					return fmt.Errorf("%w: cluster %d", ErrLost, c)
				}
			}
		}
		return nil
	})
	if err == nil && used > free {
		err = fmt.Errorf("%d clusters are used, and elsewhere %d are free: %w", used, free, ErrNoSpace)
	}
	return err
}
