package fat

import (
	"slices"
	"sync"

	"fatvol/image/device"
)

// maxHot bounds the files that are kept in memory because of unsynced writes.
const maxHot = 1 << 16

// hot are the files whose data was written and may not be on the medium yet. They stay in memory, so
// that it can be said which files would suffer.
type hot struct {
	mu    sync.Mutex
	nodes []*Node
}

// heat keeps n in memory until the device has nothing unsynced. The caller holds n.mu, or a reference of n.
func (v *Volume) heat(n *Node) {
	if n.hot.Load() || n.hot.Swap(true) {
		return
	}
	v.hot.mu.Lock()
	if len(v.hot.nodes) < maxHot {
		n.refs.Add(1)
		v.hot.nodes = append(v.hot.nodes, n)
	}
	v.hot.mu.Unlock()
	v.wake()
}

// cool lets go of the hot files where the device has nothing unsynced, and of those without a name. It reports whether some are left.
func (v *Volume) cool() bool {
	all := device.Unsynced(v.dev) == 0
	v.hot.mu.Lock()
	nodes := slices.Clone(v.hot.nodes)
	v.hot.mu.Unlock()
	cold := make(map[*Node]bool)
	v.meta.RLock()
	for _, n := range nodes {
		// Where somebody always writes, something is always unsynced: what has lost its name, which nobody
		// is told of, must not wait for the end of that.
		if all || n.unlinked {
			cold[n] = true
		}
	}
	v.meta.RUnlock()
	var gone []*Node
	v.hot.mu.Lock()
	v.hot.nodes = slices.DeleteFunc(v.hot.nodes, func(n *Node) bool {
		if cold[n] {
			gone = append(gone, n)
		}
		return cold[n]
	})
	left := len(v.hot.nodes) > 0
	v.hot.mu.Unlock()
	for _, n := range gone {
		n.hot.Store(false)
	}
	if device.Unsynced(v.dev) != 0 {
		// Some of it may be of these, and was written while they counted as hot.
		v.meta.RLock()
		named := slices.DeleteFunc(slices.Clone(gone), func(n *Node) bool { return n.unlinked })
		v.meta.RUnlock()
		for _, n := range named {
			v.heat(n)
		}
		left = left || len(named) > 0
	}
	for _, n := range gone {
		n.Release(1)
	}
	return left
}

// Located is a file and where its bytes lie on the device, as far as that is known.
type Located struct {
	Path   string // "/DIR/NAME"; a part that is not in memory is "?"
	Size   int64
	Pieces []Piece
}

// Piece is a run of n bytes at offset Off of the device.
type Piece struct{ Off, N int64 }

// Located returns the files that were written lately, without asking the device for anything: it works
// when that is gone.
func (v *Volume) Located() []Located {
	v.hot.mu.Lock()
	nodes := append([]*Node(nil), v.hot.nodes...)
	v.hot.mu.Unlock()
	v.meta.RLock()
	defer v.meta.RUnlock()
	out := make([]Located, 0, len(nodes))
	for _, n := range nodes {
		if n.unlinked {
			continue
		}
		f := Located{Path: v.path(n), Size: int64(n.d.size)}
		left := f.Size
		n.chain.mu.Lock()
		for _, r := range n.chain.runs {
			k := min(left, int64(r.n)<<v.geo.ClusterShift)
			if k > 0 {
				f.Pieces = append(f.Pieces, Piece{v.clusterOffset(r.start), k})
			}
			left -= k
		}
		n.chain.mu.Unlock()
		out = append(out, f)
	}
	return out
}

// path is the path of n as far as it is in memory. The caller holds v.meta.
func (v *Volume) path(n *Node) string {
	if n.parent == nil {
		return ""
	}
	name := "?"
	if n.parent.dir.loaded && n.slot >= 0 {
		name = n.parent.dir.shown(v, n.slot)
	}
	return v.path(n.parent) + "/" + name
}
