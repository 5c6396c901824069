package fat

import (
	"container/heap"
	"fmt"
)

// packWindow bounds the pieces whose owners are known at a time.
const packWindow = 1 << 16

// slideSteps bounds the steps in which a file slides down by less than its length.
const slideSteps = 64

// An owned is a piece of a file as pack sees it: an extent, and whose it is.
type owned struct {
	extent
	at   uint32 // its first cluster's index in the chain
	path string
}

// lowest keeps the pieces that begin first: the one on top is the last of them.
type lowest []owned

func (l lowest) Len() int           { return len(l) }
func (l lowest) Less(a, b int) bool { return l[a].start > l[b].start }
func (l lowest) Swap(a, b int)      { l[a], l[b] = l[b], l[a] }
func (l *lowest) Push(x any)        { *l = append(*l, x.(owned)) }
func (l *lowest) Pop() any {
	old := *l
	x := old[len(old)-1]
	*l = old[:len(old)-1]
	return x
}

// window returns the pieces of files that begin at or after a cluster, in the order of their clusters;
// only the first of them when there are more than packWindow.
func (m *mover) window(from Cluster) ([]owned, error) {
	var l lowest
	err := m.v.walkTree(m.ctx, func(path string, n *Node) error {
		if n.chain == nil {
			return nil
		}
		at := uint32(0)
		return n.Extents(func(e Extent) error {
			o := owned{extent{e.Cluster, e.Count}, at, path}
			at += e.Count
			if o.start < from || len(l) == packWindow && o.start > l[0].start {
				return nil
			}
			if len(l) == packWindow {
				heap.Pop(&l)
			}
			heap.Push(&l, o)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	out := make([]owned, len(l))
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = heap.Pop(&l).(owned)
	}
	return out, nil
}

// pack moves what lies behind free space to its beginning, from the first hole to the end of the
// volume: in one step where the hole is as long, and else by way of free space behind it, or in steps.
// What can be moved in no way stays, and the sweep goes on behind it.
func (m *mover) pack() error {
	for next := firstCluster; ; {
		if err := m.settle(); err != nil {
			return err
		}
		list, err := m.window(next)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, o := range list {
			if next, err = m.lower(next, o); err != nil {
				return fmt.Errorf("%s: %w", o.path, err)
			}
		}
	}
}

// lower moves a piece to free clusters between next and it. It returns where the next one can go.
func (m *mover) lower(next Cluster, o owned) (Cluster, error) {
	end := o.start + Cluster(o.n)
	to, ok, err := m.v.tab.firstRun(next, o.start, o.n)
	if err == nil && (!ok || to > next) && m.nodes > 0 { // what was moved away has left room
		if err = m.settle(); err == nil {
			to, ok, err = m.v.tab.firstRun(next, o.start, o.n)
		}
	}
	if err != nil {
		return 0, err
	}
	hole, err := m.holeBefore(next, o.start)
	if err != nil || !ok && hole == 0 {
		return end, err
	}
	n, err := m.v.nodeAt(o.path)
	if err != nil {
		return 0, err
	}
	defer n.Release(1)
	p, err := m.v.widen(n, piece{o.at, o.n})
	if err != nil || p.at != o.at {
		return end, err
	}
	if ok {
		return to + Cluster(o.n), m.moveTo(n, p, []extent{{to, o.n}})
	}
	if (o.n+hole-1)/hole <= slideSteps && n.dir == nil {
		return m.slide(n, p, o.start-Cluster(hole), hole)
	}
	m.from, m.free = end, nil
	ok, err = m.move(n, p, false)
	m.from, m.free = firstCluster, nil
	if err == nil && ok {
		err = m.settle()
	}
	if err != nil || !ok {
		return end, err
	}
	to = o.start - Cluster(hole)
	return to + Cluster(o.n), m.moveTo(n, p, []extent{{to, o.n}})
}

// slide moves a piece of a file down by hole clusters, in steps of as many.
func (m *mover) slide(n *Node, p piece, to Cluster, hole uint32) (Cluster, error) {
	end := to + Cluster(hole) + Cluster(p.count)
	for p.count > 0 {
		step := piece{p.at, min(p.count, hole)}
		wide, err := m.v.widen(n, step)
		if err != nil {
			return 0, err
		}
		if wide.at != step.at {
			// The entry before lies across two atoms, and cannot be switched: the rest stays.
			return end, nil
		}
		if err := m.moveTo(n, step, []extent{{to, step.count}}); err != nil {
			return 0, err
		}
		if err := m.settle(); err != nil {
			return 0, err
		}
		p.at += step.count
		p.count -= step.count
		to += Cluster(step.count)
	}
	return to, nil
}

// holeBefore is the length of the free run that ends before cluster c, and begins at from or behind it.
func (m *mover) holeBefore(from, c Cluster) (n uint32, err error) {
	t := m.v.tab
	t.mu.Lock()
	defer t.mu.Unlock()
	for c-Cluster(n) > from {
		free, err := t.freeFromLocked(extent{c - Cluster(n) - 1, 1})
		if err != nil || !free {
			return n, err
		}
		n++
	}
	return n, nil
}

// firstRun finds the first run of want free clusters in [from, to).
func (t *table) firstRun(from, to Cluster, want uint32) (Cluster, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := from; c < to && t.contains(c); {
		p, err := t.pageLocked(uint32(c) / t.perPage)
		if err != nil {
			return 0, false, err
		}
		base := p.idx * t.perPage
		s, n := t.scanPageLocked(p, uint32(c)-base, want)
		if n == 0 {
			c = Cluster(base + t.perPage)
			continue
		}
		if s+n == t.perPage && n < want {
			if n, err = t.continueLocked(p.idx+1, n, want); err != nil {
				return 0, false, err
			}
		}
		start := Cluster(base + s)
		if start >= to || want > uint32(to-start) {
			break
		}
		if n >= want {
			return start, true, nil
		}
		c = start + Cluster(n)
	}
	return 0, false, nil
}

// nodeAt is the node at a path as walkTree spells it.
func (v *Volume) nodeAt(path string) (*Node, error) {
	n := v.root
	for path != "" && path != "/" {
		name := path[1:]
		i := 0
		for i < len(name) && name[i] != '/' {
			i++
		}
		next, _, err := v.Lookup(n, name[:i])
		n.Release(1)
		if err != nil {
			return nil, err
		}
		n, path = next, name[i:]
	}
	return n, nil
}
