package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// The kernel's cache of names is case-sensitive, the volume is not. What keeps them in step:
//
//   - ENOENT is never cached, so a name that comes to be is found by every spelling at once.
//   - Only the listed spelling is cached, the one that ReadDir gives. Others are looked up anew
//     each time, so they follow whatever happens to the file.
//   - What is removed or renamed by its listed spelling, the kernel itself forgets.
//   - A directory has a single dentry, which takes on whatever spelling was looked up last.
//
// What is left is a file that is removed, renamed or replaced by another spelling while the kernel
// holds the listed one. That dentry must be out of use before the reply, or else the kernel would apply
// it to the next file of such a name, and have another idea of where things are. A request that changes
// a directory comes with that directory locked, and FUSE_NOTIFY_INVAL_ENTRY waits for the lock. But the
// epoch can be increased, which takes no lock: that outdates all cached names at once (Linux 6.16), and
// FUSE_NOTIFY_PRUNE then drops the one that is left over (Linux 6.18).
//
// Older kernels, and those with something mounted inside of us, have it as well as it can be had. There a
// file that was once looked up by another spelling has no cached name at all any more; the entry is
// invalidated as soon as the reply has unlocked the directory; and in between, whoever comes by the old
// dentry and asks for attributes or opens the file gets ESTALE, upon which the kernel walks the path
// again, asking us for each name.

// A link is a name that is about to be changed, and what it leads to.
type link struct {
	n      *fat.Node   // with a reference; nil where the name is not there
	listed string      // the spelling that ReadDir gives; "" if the name is that
	pin    *fat.Handle // keeps what is about to lose its name; see orphan.go
}

func (l *link) release() {
	if l.pin != nil {
		l.pin.Close()
	}
	if l.n != nil {
		l.n.Release(1)
	}
}

// odd reports whether the kernel may hold a dentry for another spelling than the one in use.
func (l *link) odd() bool { return l.n != nil && l.listed != "" && !l.n.IsDir() }

// noteRespelled is told of every lookup by another spelling than the listed one.
func (fs *fileSystem) noteRespelled(dir, n *node) {
	if n.IsDir() {
		return
	}
	if n.respelled.Swap(true) || fs.epochs {
		return
	}
	if listed, _, err := n.Names(); err == nil {
		fs.expireEntry(dir.ID(), listed)
	}
}

// wasRespelled reports whether the kernel may hold dentries for other spellings than the listed one of a file's
// name. They are looked up anew each time, so they mislead nobody; but each keeps the inode.
func (fs *fileSystem) wasRespelled(id uint64) bool {
	n, ok := fs.nodes.get(id)
	return ok && n.respelled.Load()
}

// resolve finds out what name leads to, and how it is spelled, for an operation that changes it.
func (fs *fileSystem) resolve(dir *node, name string) (link, error) {
	n, exact, err := fs.vol.Lookup(dir.Node, name)
	if err != nil {
		return link{}, err
	}
	l := link{n: n}
	if !exact {
		if l.listed, _, err = n.Names(); err != nil {
			l.release()
			return link{}, err
		}
	}
	return l, nil
}

// removed is told when the file or directory l of dir has lost its name.
func (fs *fileSystem) removed(dir *node, l *link) {
	if l.n == nil {
		return
	}
	id := l.n.ID()
	switch {
	case !l.odd() && !fs.wasRespelled(id):
		fs.nodes.keepOrphan(l)
	case !l.odd(), fs.increaseEpoch():
		// The dentries of the other spellings may keep the kernel's inode for long. The space
		// should not have to wait for it.
		if fs.prunes {
			fs.nodes.keepOrphan(l)
			fs.letGo(id)
		}
	default:
		if n, ok := fs.nodes.get(id); ok {
			n.stale.Store(true)
		}
		fs.expireAttr(id)
		fs.expireEntry(dir.ID(), l.listed)
	}
}

// moved is told when a file that goes on to exist is no longer under the name l of dir.
func (fs *fileSystem) moved(dir *node, l *link) {
	if l.odd() {
		fs.outdate(dir, l.listed)
	}
}

// arrived is told when a file was renamed to name. The dentry goes on with the trust that the old name
// had, so if the listed spelling is another one (that of what was replaced, or the composed form of
// the name), this one must not be trusted.
func (fs *fileSystem) arrived(dir *node, name string) {
	n, exact, err := fs.vol.Lookup(dir.Node, name)
	if err == nil {
		defer n.Release(1)
		if exact || n.IsDir() {
			return
		}
		if kn, ok := fs.nodes.get(n.ID()); ok {
			kn.respelled.Store(true)
		}
	}
	fs.outdate(dir, name)
}

// undone is told of a name that was changed, when the kernel hears of an error and takes it for unchanged: then it must ask
// again.
func (fs *fileSystem) undone(err error, dir *node, name string) {
	if err != nil {
		fs.outdate(dir, name)
	}
}

// outdate has the kernel look up the name anew when it next meets it.
func (fs *fileSystem) outdate(dir *node, name string) {
	if !fs.increaseEpoch() {
		fs.expireEntry(dir.ID(), name)
	}
}

// expireAttr invalidates cached attributes. It takes no lock and may be used before a reply.
func (fs *fileSystem) expireAttr(id uint64) {
	if fs.kernel != nil {
		fs.kernel.InodeNotify(id, -1, 0)
	}
}

// expireEntry invalidates a cached name once the reply that is under way has unlocked the directory.
func (fs *fileSystem) expireEntry(dir uint64, name string) {
	if fs.kernel == nil {
		return
	}
	fs.background.Go(func() { fs.kernel.EntryNotify(dir, name) })
}

// increaseEpoch outdates all cached names, and reports whether it could. It takes no lock and may be used
// before a reply. As the kernel takes an outdated name for gone, it unmounts what is mounted there; so
// while something is mounted inside of us, we do as with a kernel that knows no epochs.
func (fs *fileSystem) increaseEpoch() bool {
	if !fs.epochs || fs.covered() {
		return false
	}
	if st := fs.notifyEpoch(); !st.Ok() {
		fs.opt.Log.Warn("the kernel did not take a new epoch", "err", st)
		return false
	}
	return true
}

var _ fuse.RawFileSystem = (*fileSystem)(nil)
