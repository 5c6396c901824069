package fs

import (
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// created are the attributes of a new file or directory: read-only when the mode has no w bit and
// such a node can hold that.
func (fs *fileSystem) created(mode uint32, dir bool) fat.Attributes {
	if mode&modeWrite == 0 && fs.opt.holdsReadOnly(dir) {
		return fat.AttrReadOnly
	}
	return 0
}

// enter finds the directory of a request that changes it.
func (fs *fileSystem) enter(in *fuse.InHeader) (*node, fuse.Status) {
	dir, st := fs.node(in.NodeId)
	if !st.Ok() {
		return nil, st
	}
	return dir, fs.permit(&in.Caller, dir, mayWrite|mayExec)
}

// newEntry replies with a node that was just made under name. The node is there: that the medium has gone
// since is for the next request to say.
func (fs *fileSystem) newEntry(dir *node, n *fat.Node, name string, out *fuse.EntryOut) fuse.Status {
	listed, _, err := n.NamesAfter()
	a, attrErr := n.AttrAfter()
	return fs.entryOf(dir, n, a, attrErr, err == nil && listed == name, out)
}

func (fs *fileSystem) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if t := in.Mode & modeType; t != modeFile && t != 0 {
		return fuse.EPERM
	}
	dir, st := fs.enter(&in.InHeader)
	if !st.Ok() {
		return st
	}
	return fs.make(fs.vol.Create, dir, name, fs.created(in.Mode, false), out)
}

func (fs *fileSystem) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	dir, st := fs.enter(&in.InHeader)
	if !st.Ok() {
		return st
	}
	return fs.make(fs.vol.Mkdir, dir, name, fs.created(in.Mode, true), out)
}

// A maker is Volume.Create or Volume.Mkdir.
type maker func(dir *fat.Node, name string, attr fat.Attributes) (*fat.Node, error)

func (fs *fileSystem) make(do maker, dir *node, name string, attr fat.Attributes, out *fuse.EntryOut) fuse.Status {
	n, err := do(dir.Node, name, attr)
	if fs.madeRoom(err) {
		n, err = do(dir.Node, name, attr)
	}
	if err != nil {
		return fs.status(err)
	}
	return fs.newEntry(dir, n, name, out)
}

func (fs *fileSystem) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return fs.remove(in, name, fs.vol.Unlink)
}

func (fs *fileSystem) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return fs.remove(in, name, fs.vol.Rmdir)
}

func (fs *fileSystem) remove(in *fuse.InHeader, name string, remove func(*fat.Node, string) error) fuse.Status {
	dir, st := fs.enter(in)
	if !st.Ok() {
		return st
	}
	l, err := fs.resolve(dir, name)
	if err != nil {
		return fs.status(err)
	}
	defer l.release()
	if st := fs.mutable(&l); !st.Ok() {
		return st
	}
	if err := pinVictim(&l); err != nil {
		return fs.status(err)
	}
	if err = remove(dir.Node, name); err != nil && !errors.Is(err, fat.ErrNotSynced) {
		return fs.status(err)
	}
	fs.removed(dir, &l)
	fs.undone(err, dir, name)
	return fs.status(err)
}

// mutable answers EPERM if what l leads to must not lose its name.
func (fs *fileSystem) mutable(l *link) fuse.Status {
	if !fs.opt.SysImmutable || l.n == nil {
		return fuse.OK
	}
	a, err := l.n.Attr()
	if err != nil {
		return fs.status(err)
	}
	if fs.opt.immutable(a.Attributes) {
		return fuse.EPERM
	}
	return fuse.OK
}

// Link, Symlink: FAT holds neither. vfat has no such operations either, for which the kernel gives
// EPERM.
func (fs *fileSystem) Link(<-chan struct{}, *fuse.LinkIn, string, *fuse.EntryOut) fuse.Status {
	return fuse.EPERM
}

func (fs *fileSystem) Symlink(<-chan struct{}, *fuse.InHeader, string, string, *fuse.EntryOut) fuse.Status {
	return fuse.EPERM
}

func (fs *fileSystem) Readlink(<-chan struct{}, *fuse.InHeader) ([]byte, fuse.Status) {
	return nil, fuse.EINVAL
}
