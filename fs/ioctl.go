package fs

import (
	"encoding/binary"
	"math"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// Commands as the kernel numbers them (linux/msdos_fs.h, linux/fs.h), by the layout of _IOC that all
// but a few old architectures share.
const (
	iocWrite = 1
	iocRead  = 2

	ioctlGetAttributes = iocRead<<30 | 4<<16 | 'r'<<8 | 0x10
	ioctlSetAttributes = iocWrite<<30 | 4<<16 | 'r'<<8 | 0x11
	ioctlGetVolumeID   = iocRead<<30 | 4<<16 | 'r'<<8 | 0x13
	ioctlTrim          = (iocRead|iocWrite)<<30 | trimRangeSize<<16 | 'X'<<8 | 121
	ioctlGetLabel      = iocRead<<30 | labelSize<<16 | 0x94<<8 | 49
	ioctlSetLabel      = iocWrite<<30 | labelSize<<16 | 0x94<<8 | 50

	trimRangeSize = 24  // struct fstrim_range
	labelSize     = 256 // FSLABEL_MAX
	intSize       = 4
)

// An ioctl answers a command: in has what the caller passed and out room for what he gets, both of
// the sizes in the command's entry. result is what ioctl(2) returns.
type ioctl struct {
	in, out int
	do      func(fs *fileSystem, r *ioctlRequest) (result int32, st fuse.Status)
}

type ioctlRequest struct {
	*fuse.IoctlIn
	n       *node
	in, out []byte
}

var ioctls = map[uint32]ioctl{
	ioctlGetAttributes: {out: intSize, do: (*fileSystem).ioctlGetAttributes},
	ioctlSetAttributes: {in: intSize, do: (*fileSystem).ioctlSetAttributes},
	ioctlGetVolumeID:   {out: intSize, do: (*fileSystem).ioctlGetVolumeID},
	ioctlTrim:          {in: trimRangeSize, out: trimRangeSize, do: (*fileSystem).ioctlTrim},
	ioctlGetLabel:      {out: labelSize, do: (*fileSystem).ioctlGetLabel},
	ioctlSetLabel:      {in: labelSize, do: (*fileSystem).ioctlSetLabel},
	ioctlGetFlags:      {out: intSize, do: (*fileSystem).ioctlGetFlags},
	ioctlSetFlags:      {in: intSize, do: (*fileSystem).ioctlSetFlags},
	ioctlGetFlags32:    {out: intSize, do: (*fileSystem).ioctlGetFlags},
	ioctlSetFlags32:    {in: intSize, do: (*fileSystem).ioctlSetFlags},
	ioctlGetXFlags:     {out: xflagsSize, do: (*fileSystem).ioctlGetXFlags},
	ioctlSetXFlags:     {in: xflagsSize, do: (*fileSystem).ioctlSetXFlags},

	scan64.command(scanBoth):  {out: 2 * scan64.size, do: (*fileSystem).ioctlScan},
	scan64.command(scanShort): {out: 2 * scan64.size, do: (*fileSystem).ioctlScan},
	scan32.command(scanBoth):  {out: 2 * scan32.size, do: (*fileSystem).ioctlScan},
	scan32.command(scanShort): {out: 2 * scan32.size, do: (*fileSystem).ioctlScan},
}

// Ioctl answers the ioctls of vfat and those of all file systems that make sense on FAT.
func (fs *fileSystem) Ioctl(_ <-chan struct{}, in *fuse.IoctlIn, inbuf []byte, out *fuse.IoctlOut, outbuf []byte) fuse.Status {
	c, ok := ioctls[in.Cmd]
	if !ok {
		return fuse.Status(syscall.ENOTTY)
	}
	if len(inbuf) < c.in || len(outbuf) < c.out {
		return fuse.EINVAL
	}
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	clear(outbuf)
	out.Result, st = c.do(fs, &ioctlRequest{in, n, inbuf, outbuf})
	return st
}

func (fs *fileSystem) ioctlGetAttributes(r *ioctlRequest) (int32, fuse.Status) {
	a, st := fs.attr(r.n)
	if st.Ok() {
		// The two bits that the specification reserves may be anything, and are nobody's business.
		binary.NativeEndian.PutUint32(r.out, uint32(a.Attributes&(fat.AttrSettable|fat.AttrDirectory)))
	}
	return 0, st
}

func (fs *fileSystem) ioctlSetAttributes(r *ioctlRequest) (int32, fuse.Status) {
	// The bits above the byte are of NTFS, and the kernel's vfat drops them too.
	return 0, fs.setAttributes(&r.Caller, r.n, fat.Attributes(binary.NativeEndian.Uint32(r.in)))
}

// setAttributes changes a node's attributes, which only its owner may: it is a chmod. With
// sys_immutable, the system attribute is root's to give and to take.
func (fs *fileSystem) setAttributes(c *fuse.Caller, n *node, to fat.Attributes) fuse.Status {
	if !fs.owns(c) {
		return fuse.EPERM
	}
	a, st := fs.attr(n)
	if !st.Ok() {
		return st
	}
	to = to&fat.AttrSettable | a.Attributes&^fat.AttrSettable
	if n.ID() == fuse.FUSE_ROOT_ID && to&fat.AttrSettable != 0 {
		return fuse.EINVAL // it has no entry that could hold them
	}
	if fs.opt.SysImmutable && (to|a.Attributes)&fat.AttrSystem != 0 && c.Uid != 0 {
		return fuse.EPERM
	}
	if to == a.Attributes {
		return fuse.OK
	}
	if err := n.SetAttributes(to); err != nil {
		return fs.nodeStatus(err)
	}
	fs.expireAttr(n.ID()) // the mode may have changed
	return fuse.OK
}

func (fs *fileSystem) ioctlGetVolumeID(r *ioctlRequest) (int32, fuse.Status) {
	binary.NativeEndian.PutUint32(r.out, fs.vol.Serial())
	return 0, fuse.OK
}

// ioctlTrim is FITRIM: struct fstrim_range has the start, the length and the least length of a piece,
// in bytes; in the length comes back how much was given up.
func (fs *fileSystem) ioctlTrim(r *ioctlRequest) (int32, fuse.Status) {
	if !fs.administers(&r.Caller) {
		return 0, fuse.EPERM
	}
	field := func(i int) int64 {
		return int64(min(binary.NativeEndian.Uint64(r.in[8*i:]), math.MaxInt64))
	}
	trimmed, err := fs.vol.Trim(field(0), field(1), field(2))
	if err != nil {
		return 0, fs.status(err)
	}
	copy(r.out, r.in[:trimRangeSize])
	binary.NativeEndian.PutUint64(r.out[8:], uint64(trimmed))
	return 0, fuse.OK
}

func (fs *fileSystem) ioctlGetLabel(r *ioctlRequest) (int32, fuse.Status) {
	label, err := fs.vol.Label()
	if err != nil {
		return 0, fs.status(err)
	}
	copy(r.out[:labelSize-1], label)
	return 0, fuse.OK
}

func (fs *fileSystem) ioctlSetLabel(r *ioctlRequest) (int32, fuse.Status) {
	if !fs.administers(&r.Caller) {
		return 0, fuse.EPERM
	}
	label, _, ended := strings.Cut(string(r.in[:labelSize]), "\x00")
	if !ended {
		return 0, fuse.EINVAL
	}
	return 0, fs.status(fs.vol.SetLabel(label))
}
