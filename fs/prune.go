package fs

import (
	"errors"
	"runtime/debug"
	"slices"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// The kernel keeps an inode for as long as it has memory to spare, and we a node for each: a million files that
// were looked at once would take half a gigabyte here, which the kernel knows nothing of. So when it knows more
// than maxNodes, it is asked to forget the oldest of those that nobody uses: by FUSE_NOTIFY_PRUNE, and where it does
// not know that (before Linux 6.18), by dropping the names of files.
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
	if n.count.Load() <= n.max || n.fresh.Load() < n.max/pruneShare || !fs.prunes && !fs.drops || n.keep || !fs.pruning.CompareAndSwap(false, true) {
		return
	}
	n.fresh.Store(0)
	fs.background.Go(func() {
		fs.prune()
		fs.pruning.Store(false)
		fs.pruneWhenMany() // as many may have come meanwhile
	})
}

// prune has the kernel forget the oldest nodes, but for those in use. It holds no lock: FORGETs come meanwhile.
func (fs *fileSystem) prune() {
	ids := fs.nodes.t.ids()
	slices.Sort(ids)
	ids = ids[:max(0, len(ids)-int(fs.nodes.max)*(pruneShare-1)/pruneShare)]
	ask := fs.kernel.PruneNotify
	if !fs.prunes {
		ask = fs.dropNames
	}
	for batch := range slices.Chunk(ids, pruneBatch) {
		if st := ask(batch); !st.Ok() {
			fs.opt.Log.Debug("the kernel does not forget", "status", st)
			break
		}
	}
}

// dropNames drops the names of files that are not open, by one notification each. Directories stay, as somebody may be
// in them, or in what is below; and so does everything while something is mounted inside of us: it would be unmounted
// with the name that it is mounted on. A file that is being opened at that very moment is shown as deleted in
// /proc/*/fd, and is otherwise what it was.
func (fs *fileSystem) dropNames(ids []uint64) fuse.Status {
	if fs.covered() {
		return fuse.EBUSY
	}
	for _, id := range ids {
		kn, ok := fs.nodes.get(id)
		if !ok || kn.IsDir() || kn.opens.Load() > 0 {
			continue
		}
		dir, name, err := fs.nameOf(kn)
		switch {
		case errors.Is(err, fat.ErrNotExist) || err == nil && name == "":
			continue // forgotten meanwhile, or without a name
		case err != nil:
			return fs.status(err)
		}
		if st := fs.kernel.EntryNotify(dir, name); !st.Ok() && st != fuse.ENOENT {
			return st
		}
	}
	return fuse.OK
}

// nameOf is where the kernel may have the name of a node, and how it is listed there.
func (fs *fileSystem) nameOf(kn *node) (dir uint64, name string, err error) {
	n, err := fs.vol.Hold(kn.Node)
	if err != nil {
		return 0, "", err
	}
	defer n.Release(1)
	long, short, err := n.Names()
	if len(long) > maxName {
		long = short
	}
	return fs.vol.Parent(n).ID(), long, err
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
