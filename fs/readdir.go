package fs

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// Offsets in a directory stream: "." ends at 1, ".." at 2, and an entry at its cookie, which the
// engine keeps while entries come and go, plus 2.
const (
	offDot    = 1
	offDotDot = 2
)

// maxName is the longest name that every kernel takes (FUSE_NAME_MAX of Linux before 6.14); one longer
// name would fail the whole listing. Only the escaped forms of names that no system wrote get there.
const maxName = 1024

// OpenDir gives the directory a number and nothing else: what little state a directory stream has
// comes to be with the first ioctl that needs it.
func (fs *fileSystem) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	if !n.IsDir() {
		return fuse.ENOTDIR
	}
	if st := fs.permit(&in.Caller, n, wants(in.Flags)); !st.Ok() {
		return st
	}
	if err := fs.vol.Alive(); err != nil {
		return fs.status(err)
	}
	out.Fh = fs.lastHandle.Add(1)
	// The kernel does not keep the listing (FOPEN_CACHE_DIR): a stream that reads on may complete a
	// listing that it began before a change, and the kernel checks that only for who is at the
	// beginning. Others that are under way would get names that are gone, and miss ones that are there.
	return fuse.OK
}

func (fs *fileSystem) ReleaseDir(in *fuse.ReleaseIn) { fs.scans.take(in.Fh) }

func (fs *fileSystem) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	n, st := fs.openNode(in.NodeId)
	if !st.Ok() {
		return st
	}
	return fs.status(n.Sync())
}

// dirent is an entry as the kernel is shown it.
func dirent(e *fat.Entry) fuse.DirEntry {
	d := fuse.DirEntry{Name: shownName(e), Ino: e.Ino, Off: e.Cookie + offDotDot, Mode: modeFile}
	if e.IsDir {
		d.Mode = modeDir
	}
	return d
}

func shownName(e *fat.Entry) string {
	if len(e.Name) > maxName {
		return e.Short()
	}
	return e.Name
}

// dots adds "." and ".." as far as they come after off, and reports whether there is room for more.
func (fs *fileSystem) dots(n *node, off uint64, add func(fuse.DirEntry) bool) bool {
	if off < offDot && !add(fuse.DirEntry{Name: ".", Ino: n.Ino(), Off: offDot, Mode: modeDir}) {
		return false
	}
	if off < offDotDot {
		return add(fuse.DirEntry{Name: "..", Ino: fs.vol.Parent(n.Node).Ino(), Off: offDotDot, Mode: modeDir})
	}
	return true
}

// cookie is where the engine goes on for an offset of the stream.
func cookie(off uint64) uint64 { return max(off, offDotDot) - offDotDot }

// ReadDir lists names, with the types and numbers of what is under them.
func (fs *fileSystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	n, st := fs.openNode(in.NodeId)
	if !st.Ok() {
		return st
	}
	if !fs.dots(n, in.Offset, out.AddDirEntry) {
		return fuse.OK
	}
	return fs.status(fs.vol.ReadDir(n.Node, cookie(in.Offset), func(e *fat.Entry) bool {
		return out.AddDirEntry(dirent(e))
	}))
}

// A slot is an entry of a READDIRPLUS reply whose attributes are to be filled in.
type slot struct {
	n     *fat.Node // nil where there is an error
	exact bool      // the name is that of the listing
	out   *fuse.EntryOut
}

var slotLists = sync.Pool{New: func() any { return new([]slot) }}

// ReadDirPlus lists names and, for each, what a lookup of it would have given.
func (fs *fileSystem) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	n, st := fs.openNode(in.NodeId)
	if !st.Ok() {
		return st
	}
	more := fs.dots(n, in.Offset, func(d fuse.DirEntry) bool {
		return out.AddDirLookupEntry(d) != nil
	})
	if !more {
		return fuse.OK
	}
	passing := fs.repairing()
	list := slotLists.Get().(*[]slot)
	slots := (*list)[:0]
	err := fs.vol.ReadDirNodes(n.Node, cookie(in.Offset), func(e *fat.Entry) bool {
		d := dirent(e)
		o := out.AddDirLookupEntry(d)
		if o != nil {
			slots = append(slots, slot{exact: d.Name == e.Name, out: o})
		}
		return o != nil
	}, func(n *fat.Node, err error) {
		if err == nil {
			slots[len(slots)-1].n = n
		}
	})
	for i := range slots {
		fs.plus(&slots[i])
		if passing {
			slots[i].out.SetEntryTimeout(0)
		}
	}
	clear(slots)
	*list = slots
	slotLists.Put(list)
	return fs.status(err)
}

// plus fills in what is known of an entry. What cannot be read stays a mere name: then the kernel asks when
// it needs to know, and gets the error.
func (fs *fileSystem) plus(s *slot) {
	if s.n == nil {
		return
	}
	a, err := s.n.Attr()
	if err == nil {
		err = fs.fill(s.n, &a, &s.out.Attr)
	}
	if err != nil {
		s.n.Release(1)
		*s.out = fuse.EntryOut{}
		return
	}
	fs.fillEntry(fs.nodes.remember(s.n), s.exact, s.out)
	fs.pruneWhenMany()
}

// A scan is where the VFAT_IOCTL_READDIR ioctls are in an open directory.
type scan struct {
	mu  sync.Mutex
	off uint64
}

func (fs *fileSystem) scan(fh uint64) *scan {
	var s *scan
	fs.scans.update(fh, func(old *scan, ok bool) (*scan, bool) {
		if !ok {
			old = new(scan)
		}
		s = old
		return old, true
	})
	return s
}
