package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// forever is how long the kernel may trust names and attributes: nobody but it changes the volume,
// and what we change behind its back we tell it.
const forever = 24 * time.Hour

// attrTimeout and entryTimeout are shorter where the kernel does not check permissions and some
// user may not traverse directories: then every access by name has to come to us.
func (fs *fileSystem) attrTimeout() time.Duration {
	if fs.distrust {
		return 0
	}
	return forever
}

// program reports whether ShowExec gives the x bits to n.
func (fs *fileSystem) program(n *fat.Node) (bool, error) {
	if !fs.opt.ShowExec || n.IsDir() {
		return false, nil
	}
	_, short, err := n.NamesAfter() // whoever asks has the attributes already
	return isProgram(short), err
}

// mode gives the st_mode of n.
func (fs *fileSystem) mode(n *fat.Node, a *fat.Attr) (uint32, error) {
	program, err := fs.program(n)
	return fs.opt.mode(a.Attributes, a.IsDir, program), err
}

// fill translates attributes into the kernel's. st_ctime is the time of the last change, as on
// vfat: FAT has no other, and the creation time is not one.
func (fs *fileSystem) fill(n *fat.Node, a *fat.Attr, out *fuse.Attr) error {
	mode, err := fs.mode(n, a)
	if err != nil {
		return err
	}
	out.Ino = a.Ino
	out.Size = uint64(a.Size)
	out.Blocks = uint64(a.Allocated+511) / 512
	out.SetTimes(&a.Accessed, &a.Modified, &a.Modified)
	out.Mode = mode
	out.Nlink = a.Links
	out.Uid, out.Gid = fs.opt.UID, fs.opt.GID
	out.Blksize = uint32(fs.opt.BlockSize)
	return nil
}

// attr gives the attributes of n, or ESTALE where the kernel got here by a name that is gone; see
// coherence.go.
func (fs *fileSystem) attr(n *node) (fat.Attr, fuse.Status) {
	a, err := n.Attr()
	if err != nil {
		return a, fs.status(err)
	}
	if a.Links == 0 && n.stale.Load() && n.opens.Load() == 0 {
		return a, fuse.Status(syscall.ESTALE)
	}
	return a, fuse.OK
}

// reply fills in the attributes of n as they are now.
func (fs *fileSystem) reply(n *node, out *fuse.AttrOut) fuse.Status {
	a, st := fs.attr(n)
	if !st.Ok() {
		return st
	}
	return fs.replyWith(n, &a, out)
}

// replyAfter is reply to a request that has changed n. That the medium has gone since is for the next request
// to say.
func (fs *fileSystem) replyAfter(n *node, out *fuse.AttrOut) fuse.Status {
	a, err := n.AttrAfter()
	if err != nil {
		return fs.status(err)
	}
	return fs.replyWith(n, &a, out)
}

func (fs *fileSystem) replyWith(n *node, a *fat.Attr, out *fuse.AttrOut) fuse.Status {
	if err := fs.fill(n.Node, a, &out.Attr); err != nil {
		return fs.status(err)
	}
	out.SetTimeout(fs.attrTimeout())
	return fuse.OK
}

func (fs *fileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	return fs.reply(n, out)
}

// Bits of struct statx, linux/stat.h.
const (
	statxBasic         = 0x07ff
	statxBtime         = 0x0800
	statxAttrImmutable = 0x0010
)

// Statx is sent where an application asks for the birth time, which GETATTR cannot carry.
func (fs *fileSystem) Statx(_ <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	a, st := fs.attr(n)
	if !st.Ok() {
		return st
	}
	mode, err := fs.mode(n.Node, &a)
	if err != nil {
		return fs.status(err)
	}
	out.Statx = fuse.Statx{
		Mask:           statxBasic | statxBtime,
		Blksize:        uint32(fs.opt.BlockSize),
		AttributesMask: statxAttrImmutable,
		Nlink:          a.Links,
		Uid:            fs.opt.UID,
		Gid:            fs.opt.GID,
		Mode:           uint16(mode),
		Ino:            a.Ino,
		Size:           uint64(a.Size),
		Blocks:         uint64(a.Allocated+511) / 512,
		Atime:          sxTime(a.Accessed),
		Btime:          sxTime(a.Created),
		Ctime:          sxTime(a.Modified),
		Mtime:          sxTime(a.Modified),
	}
	if fs.opt.immutable(a.Attributes) {
		out.Attributes |= statxAttrImmutable
	}
	out.SetTimeout(fs.attrTimeout())
	return fuse.OK
}

func sxTime(t time.Time) fuse.SxTime {
	return fuse.SxTime{Sec: uint64(t.Unix()), Nsec: uint32(t.Nanosecond())}
}
