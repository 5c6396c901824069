package fs

import (
	"encoding/binary"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// The one flag of lsattr(1) that FAT can hold is the immutable one, as the system attribute, and that
// only with sys_immutable.
const (
	// The size in these is that of a long, though an int is passed; 32-bit programs have 4.
	ioctlGetFlags   = iocRead<<30 | 8<<16 | 'f'<<8 | 1
	ioctlSetFlags   = iocWrite<<30 | 8<<16 | 'f'<<8 | 2
	ioctlGetFlags32 = iocRead<<30 | 4<<16 | 'f'<<8 | 1
	ioctlSetFlags32 = iocWrite<<30 | 4<<16 | 'f'<<8 | 2

	// Linux 5.13 and later ask for these before they set flags of the other kind.
	ioctlGetXFlags = iocRead<<30 | xflagsSize<<16 | 'X'<<8 | 31
	ioctlSetXFlags = iocWrite<<30 | xflagsSize<<16 | 'X'<<8 | 32
	xflagsSize     = 28 // struct fsxattr: u32 xflags, and what FAT has nothing of

	flagImmutable  = 0x10 // FS_IMMUTABLE_FL
	xflagImmutable = 0x08 // FS_XFLAG_IMMUTABLE
)

func (fs *fileSystem) ioctlGetFlags(r *ioctlRequest) (int32, fuse.Status) {
	return fs.getFlags(r, flagImmutable)
}

func (fs *fileSystem) ioctlGetXFlags(r *ioctlRequest) (int32, fuse.Status) {
	return fs.getFlags(r, xflagImmutable)
}

func (fs *fileSystem) getFlags(r *ioctlRequest, immutable uint32) (int32, fuse.Status) {
	a, st := fs.attr(r.n)
	if st.Ok() && fs.opt.immutable(a.Attributes) {
		binary.NativeEndian.PutUint32(r.out, immutable)
	}
	return 0, st
}

func (fs *fileSystem) ioctlSetFlags(r *ioctlRequest) (int32, fuse.Status) {
	return fs.setFlags(r, flagImmutable)
}

func (fs *fileSystem) ioctlSetXFlags(r *ioctlRequest) (int32, fuse.Status) {
	for _, b := range r.in[4:xflagsSize] {
		if b != 0 { // an extent size or a project
			return 0, fuse.Status(syscall.EOPNOTSUPP)
		}
	}
	return fs.setFlags(r, xflagImmutable)
}

func (fs *fileSystem) setFlags(r *ioctlRequest, immutable uint32) (int32, fuse.Status) {
	flags := binary.NativeEndian.Uint32(r.in)
	if flags&^immutable != 0 || flags != 0 && !fs.opt.SysImmutable {
		return 0, fuse.Status(syscall.EOPNOTSUPP)
	}
	a, st := fs.attr(r.n)
	if !st.Ok() {
		return 0, st
	}
	if fs.opt.immutable(a.Attributes) == (flags != 0) {
		return 0, fuse.OK
	}
	return 0, fs.setAttributes(&r.Caller, r.n, a.Attributes^fat.AttrSystem)
}
