package fattest

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxFile is the size of the largest file: the size field has 32 bits.
const maxFile = 1<<32 - 1

// Traits are the ways in which targets may differ.
type Traits struct {
	ClusterSize int
	Clusters    uint32
	RootEntries int  // slots of a root directory that cannot grow; 0 when it can
	NoRespell   bool // renaming a file to another spelling of its own name does nothing
	LateClose   bool // what closing a file frees is free only some time later
	LateReads   bool // a file that was read may be read ahead some time later
	DirectWhole bool // what is written past the cache is written whole, or not at all
	NoDots      bool // "." and ".." never reach it: whoever walks the path takes them for directories
}

// Model is what a FAT volume means, in memory: a tree of case-preserving names that match without
// regard to case, files up to 4 GiB − 1, attributes, and times of two seconds' resolution.
type Model struct {
	Traits
	root  *node
	slots map[int]*handle
	lists map[int]*listing
	// version counts changes of the tree, for whoever keeps something that is derived from it.
	version int
}

type node struct {
	name   string   // as a listing shows it
	alt    []string // other spellings of it that are right until a listing has shown which it is
	dir    bool
	parent *node // nil for the root and for what was removed
	kids   map[string]*node
	data   sparse
	unsure sparse // bytes other than 0 stand where a write failed: they may be old or new
	size   int64
	kept   bool // may have clusters beyond its size
	opens  int
	ino    uint64 // as the target said while the node was open; 0 for unknown

	attr, attrMask byte      // bits, and which of them are known
	mlo, mhi       time.Time // the modification time lies between these
	accessed       time.Time // zero when unknown
	read           bool      // since the volume was mounted
}

type handle struct {
	n      *node
	append bool
	direct bool
}

// listing is a directory that is being read.
type listing struct {
	dir *node
	// must are the entries that have been there under one name since the listing began, with
	// whether they have been seen; may are those that came, went or were renamed meanwhile.
	must map[*node]bool
	may  map[string]bool
	done bool
}

// NewModel returns the model of an empty volume.
func NewModel(t Traits) *Model {
	return &Model{Traits: t, root: &node{dir: true, kids: map[string]*node{}}, slots: map[int]*handle{}, lists: map[int]*listing{}}
}

// find walks a path. n is nil if there is no such entry; then parent is the directory in which
// there is none, if the path leads that far, and err says what a lookup gives.
func (m *Model) find(path string) (parent *node, name string, n *node, err syscall.Errno) {
	if path == "" {
		return nil, "", m.root, 0
	}
	n = m.root
	for path != "" {
		name, path, _ = strings.Cut(path, "/")
		if !n.dir {
			return nil, "", nil, syscall.ENOTDIR
		}
		parent = n
		if n = parent.kids[Fold(name)]; n == nil {
			if path != "" {
				return nil, "", nil, syscall.ENOENT
			}
			return parent, name, nil, syscall.ENOENT
		}
	}
	return parent, name, n, 0
}

// path is where the node is.
func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	if p := n.parent.path(); p != "" {
		return p + "/" + n.name
	}
	return n.name
}

// within reports whether n is dir or lies below it.
func (n *node) within(dir *node) bool {
	for ; n != nil; n = n.parent {
		if n == dir {
			return true
		}
	}
	return false
}

func (m *Model) link(dir *node, name string, n *node) {
	m.version++
	n.parent, n.name, n.alt = dir, storedName(name), nil
	dir.kids[Fold(name)] = n
	for _, l := range m.lists {
		if l.dir == dir {
			l.may[n.name] = true
		}
	}
}

func (m *Model) unlink(n *node) {
	m.version++
	delete(n.parent.kids, Fold(n.name))
	for _, l := range m.lists {
		if l.dir == n.parent {
			// What was read of the directory before may be handed out later.
			delete(l.must, n)
			l.may[n.name] = true
			for _, name := range n.alt {
				l.may[name] = true
			}
		}
	}
	n.parent = nil
}

// clusters is how many clusters hold so many bytes.
func (m *Model) clusters(size int64) int64 { return ceilDiv(size, int64(m.ClusterSize)) }

// growth is the most clusters that adding an entry to a directory takes.
func (m *Model) growth(dir *node, name string) int64 {
	if dir == nil || dir == m.root && m.RootEntries > 0 {
		return 0
	}
	return m.clusters(slotsOf(name)*slotSize) + 1
}

// rootFull reports whether the fixed root directory may have no room for an entry: the free slots
// need not be next to one another.
func (m *Model) rootFull(dir *node, name string) bool {
	if dir != m.root || m.RootEntries == 0 {
		return false
	}
	need, free := slotsOf(name), int64(m.RootEntries)-1 // a label takes a slot
	for _, n := range dir.kids {
		free -= slotsOf(n.name)
	}
	return free <= int64(len(dir.kids)+1)*(need-1)
}

// nodes lists the tree, parents first, in a fixed order.
func (m *Model) nodes() []*node {
	out := []*node{m.root}
	for i := 0; i < len(out); i++ {
		for _, k := range slices.Sorted(maps.Keys(out[i].kids)) {
			out = append(out, out[i].kids[k])
		}
	}
	return out
}

// closeAll forgets all handles, as an unmount does.
func (m *Model) closeAll() {
	for _, h := range m.slots {
		h.n.opens, h.n.ino, h.n.kept = 0, 0, false
	}
	for _, n := range m.nodes() {
		n.read = false
	}
	clear(m.slots)
	clear(m.lists)
}

// wasRead: the access time may be any, now and, with LateReads, for some time.
func (n *node) wasRead() { n.accessed, n.read = time.Time{}, true }

func (n *node) touch(lo, hi time.Time) { n.mlo, n.mhi = roundModify(lo), roundModify(hi) }

// mayTouch: the operation may or may not set the modification time.
func (n *node) mayTouch(lo, hi time.Time) {
	if lo = roundModify(lo); lo.Before(n.mlo) {
		n.mlo = lo
	}
	if hi = roundModify(hi); hi.After(n.mhi) {
		n.mhi = hi
	}
}

// shows reports whether a listing may give the name for n, and learns which spelling it is.
func (n *node) shows(name string) bool {
	if name != n.name && !slices.Contains(n.alt, name) {
		return false
	}
	n.name, n.alt = name, nil
	return true
}

// roundModify is what remains of a modification time: two seconds, within 1980…2107, UTC.
func roundModify(t time.Time) time.Time {
	lo := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	hi := time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	t = t.UTC().Truncate(2 * time.Second)
	if t.Before(lo) {
		return lo
	}
	if t.After(hi) {
		return hi
	}
	return t
}

// roundAccess is what remains of an access time: its date.
func roundAccess(t time.Time) time.Time {
	t = roundModify(t)
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}
