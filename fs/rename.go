package fs

import (
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// Flags of renameat2(2), linux/fs.h.
const (
	renameNoReplace = 1 << 0
	renameExchange  = 1 << 1
)

// renameFlags translates the flags of renameat2. FAT has no whiteouts.
func renameFlags(flags uint32) (fat.RenameFlags, bool) {
	switch flags {
	case 0:
		return 0, true
	case renameNoReplace:
		return fat.RenameNoReplace, true
	case renameExchange:
		return fat.RenameExchange, true
	}
	return 0, false
}

// Rename moves a name. That it may be another spelling of the same name, to change its case, is not
// for us to see: the kernel finds one inode under both and is done.
func (fs *fileSystem) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	flags, ok := renameFlags(in.Flags)
	if !ok {
		return fuse.EINVAL
	}
	oldDir, st := fs.enter(&in.InHeader)
	if !st.Ok() {
		return st
	}
	newDir := oldDir
	if in.Newdir != in.NodeId {
		if newDir, st = fs.node(in.Newdir); !st.Ok() {
			return st
		}
		if st := fs.permit(&in.Caller, newDir, mayWrite|mayExec); !st.Ok() {
			return st
		}
	}

	from, err := fs.resolve(oldDir, oldName)
	if err != nil {
		return fs.status(err)
	}
	defer from.release()
	to, err := fs.resolve(newDir, newName)
	if err != nil && !errors.Is(err, fat.ErrNotExist) {
		return fs.status(err)
	}
	defer to.release()
	for _, l := range []*link{&from, &to} {
		if st := fs.mutable(l); !st.Ok() {
			return st
		}
	}

	if newDir != oldDir {
		moving := []*link{&from}
		if flags == fat.RenameExchange {
			moving = append(moving, &to)
		}
		for _, l := range moving {
			if st := fs.permitMove(&in.Caller, l); !st.Ok() {
				return st
			}
		}
	}
	if flags != fat.RenameExchange {
		if err := pinVictim(&to); err != nil {
			return fs.status(err)
		}
	}
	err = fs.vol.Rename(oldDir.Node, oldName, newDir.Node, newName, flags)
	if fs.madeRoom(err) {
		err = fs.vol.Rename(oldDir.Node, oldName, newDir.Node, newName, flags)
	}
	if err != nil && !errors.Is(err, fat.ErrNotSynced) {
		return fs.status(err)
	}
	fs.moved(oldDir, &from)
	fs.arrived(newDir, newName)
	switch {
	case flags == fat.RenameExchange:
		fs.moved(newDir, &to)
		fs.arrived(oldDir, oldName)
	case to.n != from.n:
		fs.removed(newDir, &to)
	}
	fs.undone(err, oldDir, oldName)
	fs.undone(err, newDir, newName)
	return fs.status(err)
}

// permitMove: a directory that goes to another one changes, by its "..".
func (fs *fileSystem) permitMove(c *fuse.Caller, l *link) fuse.Status {
	if l.n == nil || !l.n.IsDir() {
		return fuse.OK
	}
	n, ok := fs.nodes.get(l.n.ID())
	if !ok {
		return fuse.OK // nobody has it, so nobody moves it
	}
	return fs.permit(c, n, mayWrite)
}
