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
	opens   atomic.Int32 // open handles

	// respelled: its name was looked up by another spelling than the listed one. Where the
	// kernel knows no epochs, no spelling of it may be cached from then on.
	respelled atomic.Bool
	// stale: a name of it was removed through another spelling. Dentries of the listed spelling
	// may still lead here.
	stale atomic.Bool
}

// A nodeTable holds the nodes that the kernel knows. The root is always in it.
type nodeTable struct {
	t    table[*node]
	keep bool // forget nothing: file handles of nfs=nostale_ro outlive the kernel's inodes
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
		}
		kn.lookups++
		return kn, true
	})
	return kn
}

// forget takes back count references.
func (nt *nodeTable) forget(id, count uint64) {
	if nt.keep {
		return
	}
	var gone *fat.Node
	nt.t.update(id, func(kn *node, ok bool) (*node, bool) {
		if !ok {
			return nil, false
		}
		count = min(count, kn.lookups)
		kn.lookups -= count
		gone = kn.Node
		return kn, kn.lookups > 0 || id == fuse.FUSE_ROOT_ID
	})
	if gone != nil && count > 0 {
		gone.Release(int(count))
	}
}

// clear gives back everything: the kernel sends no FORGET for what it holds when it unmounts.
func (nt *nodeTable) clear() {
	for _, kn := range nt.t.all() {
		id := kn.ID()
		if kn, ok := nt.t.take(id); ok && kn.lookups > 0 {
			kn.Release(int(kn.lookups))
		}
	}
}

// node finds the node of a request. One that is not known is a handle from before: ESTALE makes the
// kernel look the path up again.
func (fs *fileSystem) node(id uint64) (*node, fuse.Status) {
	n, ok := fs.nodes.get(id)
	if !ok {
		return nil, fuse.Status(syscall.ESTALE)
	}
	return n, fuse.OK
}
