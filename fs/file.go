package fs

import (
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// maxOffset keeps sums of an offset and a length within int64. The engine says EFBIG long before.
const maxOffset = 1 << 62

// readResult is what Read gives to go-fuse: a part of the buffer that go-fuse passed in. It is used
// again for the next request once that has sent it.
type readResult struct{ data []byte }

var readResults = sync.Pool{New: func() any { return new(readResult) }}

func (r *readResult) Bytes([]byte) ([]byte, fuse.Status) { return r.data, fuse.OK }
func (r *readResult) Size() int                          { return len(r.data) }

func (r *readResult) Done() {
	r.data = nil
	readResults.Put(r)
}

func (fs *fileSystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h, st := fs.handle(in.Fh)
	if !st.Ok() {
		return nil, st
	}
	if in.Offset > maxOffset {
		return nil, fuse.EINVAL
	}
	buf = buf[:min(len(buf), int(in.Size))]
	n, err := h.ReadAt(buf, int64(in.Offset))
	if err != nil {
		return nil, fs.status(err)
	}
	fs.traffic.read(int64(n))
	r := readResults.Get().(*readResult)
	r.data = buf[:n]
	return r, fuse.OK
}

// Write writes all of data, or as much as fits; then the failure comes back with the next request.
func (fs *fileSystem) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	write, st := fs.writer(in)
	if !st.Ok() {
		return 0, st
	}
	n, err := write(data, int64(in.Offset))
	if n == 0 && fs.madeRoom(err) {
		n, err = write(data, int64(in.Offset))
	}
	if n > 0 || err == nil {
		fs.traffic.wrote(int64(n))
		return uint32(n), fuse.OK
	}
	return 0, fs.status(err)
}

// writer gives what writes for a request. The kernel appends by itself: it holds the inode's lock and
// knows the size. What it writes back from its cache comes by any descriptor that is open for
// writing, so an error is not that descriptor's; the kernel keeps it for the right ones.
//
// A part is no answer to O_DIRECT, for which the kernel makes it EIO, nor to what comes from its cache,
// where it takes it for the whole.
func (fs *fileSystem) writer(in *fuse.WriteIn) (func(p []byte, off int64) (int, error), fuse.Status) {
	if in.Offset > maxOffset {
		return nil, fuse.Status(syscall.EFBIG)
	}
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		n, st := fs.openNode(in.NodeId)
		if !st.Ok() {
			return nil, st
		}
		return n.WriteAllAt, st
	}
	h, st := fs.handle(in.Fh)
	switch {
	case !st.Ok():
		return nil, st
	case in.Flags&openDirect != 0:
		return h.WriteAllAt, st
	}
	return h.WriteAt, st
}

// Modes of fallocate(2), linux/falloc.h.
const (
	fallocKeepSize  = 0x01
	fallocPunchHole = 0x02
	fallocZeroRange = 0x10
)

// Fallocate allocates, or makes a range read as zeros. FAT has no holes: what is punched stays
// allocated.
func (fs *fileSystem) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h, st := fs.handle(in.Fh)
	if !st.Ok() {
		return st
	}
	if in.Offset > maxOffset || in.Length > maxOffset {
		return fuse.Status(syscall.EFBIG)
	}
	do := h.n.Allocate
	switch in.Mode {
	case 0, fallocKeepSize:
	case fallocZeroRange, fallocZeroRange | fallocKeepSize, fallocPunchHole | fallocKeepSize:
		do = h.n.Zero
	default:
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	off, length, keepSize := int64(in.Offset), int64(in.Length), in.Mode&fallocKeepSize != 0
	err := do(off, length, keepSize)
	if fs.madeRoom(err) {
		err = do(off, length, keepSize)
	}
	if in.Mode == fallocKeepSize {
		h.n.kept.Store(true)
	}
	return fs.status(err)
}

// maxCopy bounds the time that one request takes. The application asks again for the rest.
const maxCopy = 32 << 20

// CopyFileRange copies without the data passing through the kernel. The kernel has written back what
// it holds of the source, and drops what it holds of the destination.
func (fs *fileSystem) CopyFileRange(_ <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	src, st := fs.handle(in.FhIn)
	if !st.Ok() {
		return 0, st
	}
	dst, st := fs.handle(in.FhOut)
	if !st.Ok() {
		return 0, st
	}
	if in.OffIn > maxOffset || in.OffOut > maxOffset {
		return 0, fuse.Status(syscall.EFBIG)
	}
	from, to, length := int64(in.OffIn), int64(in.OffOut), int64(min(in.Len, maxCopy))
	n, err := src.n.CopyTo(dst.n.Node, from, to, length)
	if n == 0 && fs.madeRoom(err) {
		n, err = src.n.CopyTo(dst.n.Node, from, to, length)
	}
	if err != nil && n == 0 {
		return 0, fs.status(err)
	}
	fs.traffic.read(n)
	fs.traffic.wrote(n)
	return uint32(n), fuse.OK
}

// Lseek is sent for SEEK_DATA and SEEK_HOLE. A file without holes is what the kernel assumes once it
// has been told that we don't know: data up to the size, a hole after it, ENXIO beyond. It then
// answers by itself, for every file.
func (fs *fileSystem) Lseek(<-chan struct{}, *fuse.LseekIn, *fuse.LseekOut) fuse.Status {
	return fuse.ENOSYS
}

// Locks are never sent: the kernel keeps those of flock(2) and fcntl(2) itself.
func (fs *fileSystem) GetLk(<-chan struct{}, *fuse.LkIn, *fuse.LkOut) fuse.Status {
	return fuse.Status(syscall.EOPNOTSUPP)
}

func (fs *fileSystem) SetLk(<-chan struct{}, *fuse.LkIn) fuse.Status {
	return fuse.Status(syscall.EOPNOTSUPP)
}

func (fs *fileSystem) SetLkw(<-chan struct{}, *fuse.LkIn) fuse.Status {
	return fuse.Status(syscall.EOPNOTSUPP)
}
