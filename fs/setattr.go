package fs

import (
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// Parts of SetAttrIn.Valid that belong together.
const (
	fattrOwner = fuse.FATTR_UID | fuse.FATTR_GID
	fattrTimes = fuse.FATTR_ATIME | fuse.FATTR_MTIME
)

// nowSlack is how old a time may be that the kernel means as now: as long as a request may have been on its way here.
const nowSlack = 10 * time.Second

// SetAttr changes size, times and, as the w bits of the mode, the read-only attribute. Everything
// that can be refused is looked at before anything is changed.
func (fs *fileSystem) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	a, st := fs.attr(n)
	if !st.Ok() {
		return st
	}
	if fs.opt.immutable(a.Attributes) && !sparesImmutable(in) {
		return fuse.EPERM
	}
	if fs.ownChecks {
		if st := fs.permitSetAttr(in, n, &a); st == fuse.EPERM && fs.opt.Quiet {
			return fs.reply(n, out)
		} else if !st.Ok() {
			return st
		}
	}
	if !fs.holds(in) {
		if !fs.opt.Quiet {
			return fuse.EPERM
		}
		return fs.reply(n, out)
	}
	if st := fs.applySetAttr(in, n, &a); !st.Ok() {
		return st
	}
	return fs.replyAfter(n, out)
}

// sparesImmutable: only who has an immutable file open from before may go on and truncate it.
func sparesImmutable(in *fuse.SetAttrIn) bool {
	return in.Valid&(fuse.FATTR_MODE|fattrOwner|fattrTimes) == 0 && in.Valid&fuse.FATTR_FH != 0
}

// holds reports whether FAT can hold the owner and the mode: the owner of the mount, and nothing
// beyond the permission bits.
func (fs *fileSystem) holds(in *fuse.SetAttrIn) bool {
	if uid, ok := in.GetUID(); ok && uid != fs.opt.UID {
		return false
	}
	if gid, ok := in.GetGID(); ok && gid != fs.opt.GID {
		return false
	}
	mode, ok := in.GetMode()
	return !ok || mode&^modeValid == 0
}

func (fs *fileSystem) applySetAttr(in *fuse.SetAttrIn, n *node, a *fat.Attr) fuse.Status {
	if size, ok := in.GetSize(); ok {
		if size > 1<<62 {
			return fuse.Status(syscall.EFBIG)
		}
		err := n.Truncate(int64(size))
		if fs.madeRoom(err) {
			err = n.Truncate(int64(size))
		}
		if err != nil {
			return fs.nodeStatus(err)
		}
	}
	if mode, ok := in.GetMode(); ok {
		if st := fs.chmod(n, a, mode); !st.Ok() {
			return st
		}
	}
	modified, accessed := setTimes(in)
	if modified != nil || accessed != nil {
		if err := n.SetTimes(nil, modified, accessed); err != nil {
			return fs.nodeStatus(err)
		}
	}
	return fuse.OK
}

func setTimes(in *fuse.SetAttrIn) (modified, accessed *time.Time) {
	if t, ok := in.GetMTime(); ok {
		modified = &t
	}
	if t, ok := in.GetATime(); ok {
		accessed = &t
	}
	return modified, accessed
}

func (fs *fileSystem) chmod(n *node, a *fat.Attr, mode uint32) fuse.Status {
	from, err := fs.mode(n.Node, a)
	if err != nil {
		return fs.status(err)
	}
	readOnly, ok := fs.opt.chmod(from, mode)
	if !ok {
		return fuse.OK
	}
	attributes := a.Attributes &^ fat.AttrReadOnly
	if readOnly {
		attributes |= fat.AttrReadOnly
	}
	if attributes == a.Attributes {
		return fuse.OK
	}
	return fs.nodeStatus(n.SetAttributes(attributes))
}

// permitSetAttr does what the kernel does in setattr_prepare, but for allow_utime. EPERM is for what
// only the owner may do, EACCES for what needs the w bit.
func (fs *fileSystem) permitSetAttr(in *fuse.SetAttrIn, n *node, a *fat.Attr) fuse.Status {
	c := &in.Caller
	if in.Valid&fattrTimes != 0 {
		if st := fs.permitTimes(in, n, a); !st.Ok() {
			return st
		}
	}
	if in.Valid&(fuse.FATTR_MODE) != 0 && !fs.owns(c) {
		return fuse.EPERM
	}
	if in.Valid&fattrOwner != 0 && !fs.mayChown(in) {
		return fuse.EPERM
	}
	// An open descriptor was checked when it was opened.
	if in.Valid&fuse.FATTR_SIZE != 0 && in.Valid&fuse.FATTR_FH == 0 {
		return fs.permitAttr(c, n, a, mayWrite)
	}
	return fuse.OK
}

func (fs *fileSystem) permitTimes(in *fuse.SetAttrIn, n *node, a *fat.Attr) fuse.Status {
	c := &in.Caller
	if fs.owns(c) {
		return fuse.OK
	}
	// The write-back cache of the kernel sends the times of what an open descriptor wrote.
	if fs.opt.Writeback && in.Valid&fuse.FATTR_FH != 0 {
		if h, ok := fs.handles.get(in.Fh); ok && h.writable {
			return fuse.OK
		}
	}
	allow := fs.opt.AllowUTime
	if fs.inGroup(c) {
		allow >>= 3
	}
	if allow&mayWrite != 0 {
		return fuse.OK
	}
	// With that cache the kernel also puts its own clock's time in for a "now" of mtime, and does not say that it is one.
	mtime, _ := in.GetMTime()
	now := in.Valid&fuse.FATTR_MTIME_NOW != 0 || fs.opt.Writeback && time.Since(mtime).Abs() < nowSlack
	explicit := in.Valid&fuse.FATTR_ATIME != 0 && in.Valid&fuse.FATTR_ATIME_NOW == 0 || in.Valid&fuse.FATTR_MTIME != 0 && !now
	if explicit {
		return fuse.EPERM
	}
	return fs.permitAttr(c, n, a, mayWrite)
}

// mayChown: root may ask for any owner, the owner for himself and for a group that he is in.
func (fs *fileSystem) mayChown(in *fuse.SetAttrIn) bool {
	c := &in.Caller
	if c.Uid == 0 {
		return true
	}
	if c.Uid != fs.opt.UID {
		return false
	}
	if uid, ok := in.GetUID(); ok && uid != fs.opt.UID {
		return false
	}
	gid, ok := in.GetGID()
	return !ok || gid == fs.opt.GID || gid == c.Gid || slices.Contains(groupsOf(c.Pid), gid)
}
