package fs

import (
	"runtime/debug"
	"slices"
)

// The kernel keeps an inode for as long as it has memory to spare, and we a node for each: a million files that
// were looked at once would take half a gigabyte here, which the kernel knows nothing of. So when it knows more
// than maxNodes, it is asked to forget the oldest of those that nobody uses (FUSE_NOTIFY_PRUNE, Linux 6.18).
const (
	maxNodes = 1 << 16
	// pruneShare is the part of them that is to go at once; and so many have to come before it is asked again,
	// as it may have use for all of them.
	pruneShare = 4
	// pruneBatch bounds what one notification names.
	pruneBatch = 1 << 10
)

// pruneWhenMany is told that the kernel is about to know one more node.
func (fs *fileSystem) pruneWhenMany() {
	n := &fs.nodes
	if n.count.Load() <= n.max || n.fresh.Load() < n.max/pruneShare || !fs.prunes || n.keep || !fs.pruning.CompareAndSwap(false, true) {
		return
	}
	n.fresh.Store(0)
	fs.background.Go(func() {
		defer fs.pruning.Store(false)
		fs.prune()
	})
}

// prune has the kernel forget the oldest nodes, but for those in use. It holds no lock: FORGETs come meanwhile.
func (fs *fileSystem) prune() {
	ids := fs.nodes.t.ids()
	slices.Sort(ids)
	ids = ids[:max(0, len(ids)-int(fs.nodes.max)*(pruneShare-1)/pruneShare)]
	for batch := range slices.Chunk(ids, pruneBatch) {
		if st := fs.kernel.PruneNotify(batch); !st.Ok() {
			fs.opt.Log.Debug("the kernel does not forget", "status", st)
			break
		}
	}
}

// giveBackWhenFew is told that the kernel forgot a node. Once most of many are gone, as when the system is short of
// memory, what they took goes back to the system: by itself, Go would collect it after minutes, and keep much of it.
func (fs *fileSystem) giveBackWhenFew() {
	n := &fs.nodes
	most, count := n.most.Load(), n.count.Load()
	if most < n.max/pruneShare || count > most/pruneShare || !n.most.CompareAndSwap(most, count) {
		return
	}
	fs.background.Go(debug.FreeOSMemory)
}
