package fs

import (
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// Lookup finds a name in any of its spellings. A name that is not there gets ENOENT, which the kernel
// does not keep: the name may come to be by any other spelling.
func (fs *fileSystem) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	dir, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	if name == "." || name == ".." {
		return fs.lookupDot(dir, name, out)
	}
	if st := fs.permit(&in.Caller, dir, mayExec); !st.Ok() {
		return st
	}
	passing := fs.repairing()
	n, exact, err := fs.vol.Lookup(dir.Node, name)
	if err != nil {
		if errors.Is(err, fat.ErrName) {
			return fuse.ENOENT // no such name can be, hence it is not
		}
		return fs.status(err)
	}
	st = fs.entry(dir, n, exact, out)
	if passing {
		out.SetEntryTimeout(0)
	}
	return st
}

// repairing reports whether a repair may take names away, or lead them to other files, of which the kernel is not told:
// what is found meanwhile it must not keep. To be asked before anything is looked up.
func (fs *fileSystem) repairing() bool { return fs.vol.Repair() == fat.RepairRunning }

// lookupDot resolves the names that knfsd uses to get from a file handle to a node and to its parent.
func (fs *fileSystem) lookupDot(n *node, name string, out *fuse.EntryOut) fuse.Status {
	target := n.Node
	if name == ".." {
		target = fs.vol.Parent(n.Node)
	}
	target, err := fs.vol.Hold(target)
	if err != nil {
		return fs.nodeStatus(err)
	}
	return fs.entry(nil, target, false, out)
}

// entry replies with n, which comes with a reference, found in dir by a name that is the listed one
// or not. dir may be nil for a name that no dentry bears.
func (fs *fileSystem) entry(dir *node, n *fat.Node, exact bool, out *fuse.EntryOut) fuse.Status {
	a, err := n.Attr()
	return fs.entryOf(dir, n, a, err, exact, out)
}

// entryOf is entry with n's attributes, or the error that there was instead.
func (fs *fileSystem) entryOf(dir *node, n *fat.Node, a fat.Attr, err error, exact bool, out *fuse.EntryOut) fuse.Status {
	if err == nil {
		err = fs.fill(n, &a, &out.Attr)
	}
	if err != nil {
		n.Release(1)
		return fs.status(err)
	}
	kn := fs.nodes.remember(n)
	fs.pruneWhenMany()
	if !exact && dir != nil {
		fs.noteRespelled(dir, kn)
	}
	fs.fillEntry(kn, exact, out)
	return fuse.OK
}

// fillEntry sets everything of the reply but the attributes.
func (fs *fileSystem) fillEntry(n *node, exact bool, out *fuse.EntryOut) {
	out.NodeId, out.Generation = n.ID(), fs.generation
	if out.NodeId == fuse.FUSE_ROOT_ID {
		out.Generation = 0
	}
	out.SetAttrTimeout(fs.attrTimeout())
	timeout := forever
	if !exact || fs.distrust || n.respelled.Load() && !fs.epochs {
		timeout = 0
	}
	out.SetEntryTimeout(timeout)
}
