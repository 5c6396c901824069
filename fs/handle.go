package fs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// A handle is an open file.
type handle struct {
	*fat.Handle
	n        *node
	writable bool
}

// Bits of OpenIn.Flags.
const (
	openAccess = syscall.O_ACCMODE
	openExec   = 0x20 // FMODE_EXEC: the file is being executed
)

// wants gives the rights that an open with these flags needs.
func wants(flags uint32) (want uint32) {
	switch {
	case flags&openExec != 0:
		want = mayExec
	case flags&openAccess == syscall.O_RDONLY:
		want = mayRead
	case flags&openAccess == syscall.O_WRONLY:
		want = mayWrite
	default:
		want = mayRead | mayWrite
	}
	if flags&syscall.O_TRUNC != 0 {
		want |= mayWrite
	}
	return want
}

// opened makes a handle of n, which the engine has opened or not, and fills in the reply.
func (fs *fileSystem) opened(n *node, fh *fat.Handle, err error, flags uint32, out *fuse.OpenOut) (*handle, fuse.Status) {
	if err != nil {
		return nil, fs.nodeStatus(err)
	}
	n.opens.Add(1)
	h := &handle{Handle: fh, n: n, writable: flags&openAccess != syscall.O_RDONLY}
	out.Fh = fs.lastHandle.Add(1)
	// Only what goes through the kernel changes a file, so what it has cached stays good.
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	if !h.writable {
		// A descriptor that cannot write has no error to report at close(2).
		out.OpenFlags |= fuse.FOPEN_NOFLUSH
	}
	return h, fuse.OK
}

// openEngine opens n, unless the kernel got here by a name that is gone; see coherence.go.
func (fs *fileSystem) openEngine(n *node) (*fat.Handle, error) {
	if n.stale.Load() {
		if a, err := n.Attr(); err != nil || a.Links == 0 {
			return nil, errors.Join(err, fat.ErrNotExist)
		}
	}
	return n.Open()
}

func (fs *fileSystem) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	if n.IsDir() {
		return fuse.EISDIR
	}
	if st := fs.permit(&in.Caller, n, wants(in.Flags)); !st.Ok() {
		return st
	}
	fh, err := fs.openEngine(n)
	h, st := fs.opened(n, fh, err, in.Flags, out)
	if !st.Ok() {
		return st
	}
	if in.Flags&syscall.O_TRUNC != 0 {
		if err := n.Truncate(0); err != nil {
			h.close()
			return fs.nodeStatus(err)
		}
	}
	fs.handles.put(out.Fh, h)
	return fuse.OK
}

func (fs *fileSystem) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	dir, st := fs.enter(&in.InHeader)
	if !st.Ok() {
		return st
	}
	if st := fs.make(fs.vol.Create, dir, name, fs.created(in.Mode, false), &out.EntryOut); !st.Ok() {
		return st
	}
	n, _ := fs.nodes.get(out.NodeId)
	fh, err := n.OpenAfter()
	h, st := fs.opened(n, fh, err, in.Flags, &out.OpenOut)
	if !st.Ok() {
		fs.Forget(out.NodeId, 1)
		return st
	}
	fs.handles.put(out.Fh, h)
	return fuse.OK
}

// handle finds the open file of a request.
func (fs *fileSystem) handle(fh uint64) (*handle, fuse.Status) {
	h, ok := fs.handles.get(fh)
	if !ok {
		return nil, fuse.EBADF
	}
	return h, fuse.OK
}

// Flush is sent at each close(2) of a descriptor, and brings back an error that it concerns.
func (fs *fileSystem) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	h, st := fs.handle(in.Fh)
	if !st.Ok() {
		return st
	}
	return fs.status(h.Flush())
}

// Fsync has both contents and metadata on stable storage; FAT's metadata is one entry, so that
// fdatasync has nothing to spare.
func (fs *fileSystem) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h, st := fs.handle(in.Fh)
	if !st.Ok() {
		return st
	}
	return fs.status(h.Sync())
}

// Release is sent when the last descriptor of an open file is closed. Nobody waits for it.
func (fs *fileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	fs.closing.RLock()
	defer fs.closing.RUnlock()
	if h, ok := fs.handles.take(in.Fh); ok {
		h.close()
		if h.n.opens.Load() == 0 && h.n.kept.Swap(false) {
			fs.expireAttr(h.n.ID()) // the clusters are given back, and st_blocks is another
		}
		if fs.prunes && h.n.respelled.Load() && h.n.opens.Load() == 0 && fs.nodes.pinned(h.n.ID()) {
			fs.letGo(h.n.ID())
		}
	}
}

func (h *handle) close() {
	h.Handle.Close()
	h.n.opens.Add(-1)
}
