package fs

import (
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// A node is a fat.Node that the kernel knows. Its id is the FUSE node id.
type node struct {
	*fat.Node
	lookups uint64       // references that the kernel holds, and we for it; guarded by the table's shard
	pin     *fat.Handle  // keeps the file when it has lost its name; guarded by the table's shard
	opens   atomic.Int32 // open handles

	// respelled: its name was looked up by another spelling than the listed one. Where the
	// kernel knows no epochs, no spelling of it may be cached from then on.
	respelled atomic.Bool
	// stale: its name was removed through another spelling, and the epoch was not increased.
	// Dentries of the listed spelling may still lead here.
	stale atomic.Bool
	// kept: clusters beyond the size were asked for, which the last handle gives back.
	kept atomic.Bool
}

// A nodeTable holds the nodes that the kernel knows. The root is always in it.
type nodeTable struct {
	t     table[*node]
	count atomic.Int64 // of nodes in it, but for the root
	max   int64        // of nodes that the kernel may know before it is asked to forget some; see prune.go
	fresh atomic.Int64 // nodes that came since it was asked last
	most  atomic.Int64 // of count, about, since memory was given back last; see prune.go
	pins  atomic.Int64 // how many nodes have one
	keep  bool         // forget nothing: file handles of nfs=nostale_ro outlive the kernel's inodes
}

func (nt *nodeTable) get(id uint64) (*node, bool) { return nt.t.get(id) }

// remember counts one reference that the kernel is about to get by a reply. It takes over the
// reference that n came with.
func (nt *nodeTable) remember(n *fat.Node) *node {
	var kn *node
	nt.t.update(n.ID(), func(old *node, ok bool) (*node, bool) {
		kn = old
		if !ok {
			kn = &node{Node: n}
			count := nt.count.Add(1)
			nt.fresh.Add(1)
			if count > nt.most.Load() {
				nt.most.Store(count) // another one's may get lost, which is of the same order
			}
		}
		kn.lookups++
		return kn, true
	})
	return kn
}

// forget takes back count references. With the last one of a file without a name it returns the pin,
// which the caller closes.
func (nt *nodeTable) forget(id, count uint64) (pin *fat.Handle) {
	if nt.keep {
		return nil
	}
	var gone *fat.Node
	nt.t.update(id, func(kn *node, ok bool) (*node, bool) {
		if !ok {
			return nil, false
		}
		count = min(count, kn.lookups)
		kn.lookups -= count
		gone = kn.Node
		if kn.lookups > 0 || id == fuse.FUSE_ROOT_ID {
			return kn, true
		}
		pin = nt.takePin(kn)
		nt.count.Add(-1)
		return kn, false
	})
	if gone != nil && count > 0 {
		gone.Release(int(count))
	}
	return pin
}

// clear gives back everything: the kernel sends no FORGET for what it holds when it unmounts.
func (nt *nodeTable) clear() {
	nt.dropPins()
	for _, kn := range nt.t.drain() {
		kn.Release(int(kn.lookups))
	}
}

// node finds the node of a request. One that is not known is a handle from before, and one that is stale
// of what the volume was before something else changed it: ESTALE makes the kernel look the path up again.
func (fs *fileSystem) node(id uint64) (*node, fuse.Status) {
	n, st := fs.openNode(id)
	if st.Ok() && n.Stale() {
		return nil, fuse.Status(syscall.ESTALE)
	}
	return n, st
}

// openNode is node for requests that come by an open descriptor. No path leads anew to what that was
// opened on, so the engine's error is the answer.
func (fs *fileSystem) openNode(id uint64) (*node, fuse.Status) {
	n, ok := fs.nodes.get(id)
	if !ok {
		return nil, fuse.Status(syscall.ESTALE)
	}
	return n, fuse.OK
}
