package fat

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// neverFresh says that no cluster of a node's chain came in the open epoch.
const neverFresh = ^uint32(0)

// A Node is a file or directory that somebody holds: by references from Lookup and its like, by
// open handles, or by changes that are not committed. There is one Node for a file however it was
// reached.
type Node struct {
	v   *Volume
	id  uint64
	ino uint64
	dir *dir // nil for a file; set before anybody else knows the node

	refs atomic.Int64 // changed under v.meta (shared is enough); see Volume.drop

	// mu orders the uses of a file's data: held shared while bytes within the size are read or
	// overwritten, exclusively while size or chain change. Directories don't use it.
	mu sync.RWMutex

	// Guarded by v.meta. Size and chain change only with mu held exclusively as well, so that a
	// holder of mu may read them.
	parent   *Node // nil for the root
	slot     int32 // of the short entry in parent; -1 once unlinked, and for the root
	unlinked bool
	// dead is why nothing can be done with the node any more: ErrNotExist once it is unlinked and freed,
	// ErrStale after Volume.Reset. It changes with mu held as well.
	dead      error
	opens     int
	kept      uint32 // clusters in all, where more than the size needs were asked for; see Allocate
	dirty     bool   // in v.epoch.nodes
	forgotten bool
	inPlan    bool // changed by the commit under way
	trimming  bool // in v.epoch.trims
	wrote     bool // in repair.wrote
	d         dirent
	chain     *chain
	moved     uint64  // the epoch that renamed the node last
	respelled uint64  // the epoch in which the medium has its name twice for a while, in two spellings
	alias     Cluster // in v.aliases; 0 for none
	born      uint64  // the epoch that created the node; 0 for what the medium had
	// fresh is the index of the first cluster that was linked in the open epoch: no commit has
	// seen it, so nothing on the volume refers to it.
	fresh uint32

	dataSeq atomic.Uint64 // value of v.dataSeq after the last write of data
	hot     atomic.Bool   // in v.hot
	stale   atomic.Bool   // dead is ErrStale
	win     window        // clusters kept for the next append; used with mu held exclusively
}

// ID is the node's number, from a counter that never repeats in the life of a Volume. The root is 1.
func (n *Node) ID() uint64 { return n.id }

// Ino is a number for stat's st_ino. It is derived from the place of the directory entry, so that
// it is mostly the same at the next mount, and does not change while the node is known.
func (n *Node) Ino() uint64 { return n.ino }

// Stale reports whether the node is from before Volume.Reset. Its name, if there is such a one still,
// leads to another node.
func (n *Node) Stale() bool { return n.stale.Load() }

// IsDir reports whether the node is a directory.
func (n *Node) IsDir() bool { return n.dir != nil }

// Attr is what stat shows of a node. Times are those on disk, rounded as FAT rounds them.
type Attr struct {
	ID, Ino    uint64
	IsDir      bool
	Size       int64 // bytes; of a directory, those allocated
	Allocated  int64 // bytes in clusters
	Links      uint32
	Attributes Attributes

	Created, Modified, Accessed time.Time
}

// Attr returns what is known of the node. A directory's size needs its chain, hence the error.
func (n *Node) Attr() (Attr, error) {
	if err := n.v.enter(); err != nil {
		return Attr{}, fmt.Errorf("stat: %w", err)
	}
	defer n.v.leave()
	return n.attr()
}

// AttrAfter is Attr for the answer to a call that made or changed the node: it does not mind that the device
// has gone since.
func (n *Node) AttrAfter() (Attr, error) {
	if err := n.v.enterAfter(); err != nil {
		return Attr{}, fmt.Errorf("stat: %w", err)
	}
	defer n.v.leave()
	return n.attr()
}

func (n *Node) attr() (Attr, error) {
	v := n.v
	v.meta.RLock()
	a, ch, dead := n.attrLocked(), n.chain, n.dead
	v.meta.RUnlock()
	if errors.Is(dead, ErrStale) {
		return Attr{}, fmt.Errorf("stat: %w", dead)
	}
	if n.dir == nil {
		return a, nil
	}
	if ch == nil { // the fixed root
		a.Size = int64(v.geo.RootEntries) * slotSize
		a.Allocated = a.Size
		return a, nil
	}
	ch.mu.Lock()
	err := ch.extend(v.tab, maxDirClusters(v.geo)+1)
	a.Size = int64(ch.length) << v.geo.ClusterShift
	ch.mu.Unlock()
	a.Allocated = a.Size
	if err != nil {
		return Attr{}, fmt.Errorf("stat: %w", v.note(err))
	}
	return a, nil
}

func (n *Node) attrLocked() Attr {
	c := &n.v.opt.Clock
	a := Attr{
		ID: n.id, Ino: n.ino,
		IsDir:      n.dir != nil,
		Size:       int64(n.d.size),
		Links:      1,
		Attributes: n.d.attr,
		Created:    c.Decode(n.d.createDate, n.d.createTime, n.d.createCentis),
		Modified:   c.Decode(n.d.modifyDate, n.d.modifyTime, 0),
		Accessed:   c.Decode(n.d.accessDate, 0, 0),
	}
	a.Allocated = int64(max(n.v.clustersFor(n.d.size), n.kept)) << n.v.geo.ClusterShift
	if n.unlinked {
		a.Links = 0
	}
	return a
}

// Hold takes one more reference on n, which the caller knows to be alive: it is an ancestor of a node
// that the caller holds. It returns n.
func (v *Volume) Hold(n *Node) (*Node, error) {
	if err := v.enter(); err != nil {
		return nil, fmt.Errorf("hold: %w", err)
	}
	defer v.leave()
	v.meta.RLock()
	defer v.meta.RUnlock()
	if n.forgotten {
		return nil, fmt.Errorf("hold: %w", ErrNotExist)
	}
	n.refs.Add(1)
	return n, nil
}

// Release gives back references. It does no I/O.
func (n *Node) Release(count int) {
	if n.id == rootID || count == 0 {
		return
	}
	if n.refs.Add(-int64(count)) > 0 {
		return
	}
	n.v.meta.Lock()
	n.v.drop(n)
	n.v.meta.Unlock()
}

// drop forgets n, and then its parents, where nobody holds them. The caller holds v.meta.
func (v *Volume) drop(n *Node) {
	for n.id != rootID && n.refs.Load() <= 0 && n.opens == 0 && !n.dirty && !n.inPlan && !n.trimming && !n.forgotten {
		if n.dir != nil && (len(n.dir.kids) > 0 || n.dir.busy()) {
			return
		}
		if n.ino != 0 && v.inos[n.ino] == n {
			delete(v.inos, n.ino)
		}
		if v.aliases[n.alias] == n {
			delete(v.aliases, n.alias)
		}
		if n.dir != nil {
			v.evict(n)
			if v.dirs[n.d.first] == n {
				delete(v.dirs, n.d.first)
			}
		}
		p := n.parent
		if n.slot >= 0 && p.dir.kids[n.slot] == n {
			delete(p.dir.kids, n.slot)
			if len(p.dir.kids) == 0 {
				p.dir.kids = make(map[int32]*Node) // Go's maps do not shrink
			}
		}
		n.forgotten = true
		v.tab.closeWindow(&n.win) // of a file that nobody had open
		n = p
		n.refs.Add(-1)
	}
}

// setParent moves the reference that n holds on its parent. The caller holds v.meta.
func (n *Node) setParent(p *Node) {
	if n.parent != nil && n.parent != p {
		old := n.parent
		p.refs.Add(1)
		n.parent = p
		old.refs.Add(-1)
		n.v.drop(old)
		return
	}
	if n.parent == nil {
		p.refs.Add(1)
		n.parent = p
	}
}

// inoFor is the inode number of the entry at a slot: that of its place, or another that is free when nodes that
// moved still bear all of those.
func (v *Volume) inoFor(parent *Node, slot int32) uint64 {
	ino, free := v.inoAt(parent, slot)
	if !free {
		v.lastIno++
		ino = v.lastIno
	}
	return ino
}

// A place has several inode numbers, since a node that moved away keeps the one that it has. Each is greater than
// rootID, and less than 2⁴⁸, from where numbers without a place are taken.
const (
	inosOfPlace = 8
	nextIno     = firstPlaceless / inosOfPlace // from one number of a place to the next
)

// inoAt derives an inode number from the place of an entry: the first that no node bears, or the last, which is not free. A
// listing shows it as well, so that it is the one which the entry's node will have.
func (v *Volume) inoAt(parent *Node, slot int32) (ino uint64, free bool) {
	ino = uint64(parent.firstForIno())<<17 + uint64(slot) + rootID + 1
	for range inosOfPlace {
		if _, taken := v.inos[ino]; !taken {
			return ino, true
		}
		ino += nextIno
	}
	return ino - nextIno, false
}

func (n *Node) firstForIno() Cluster {
	if n.id == rootID {
		return 0
	}
	return n.d.first
}

// instantiate returns the node of the entry at slot in parent, with one more reference. The caller
// holds v.meta.
func (v *Volume) instantiate(parent *Node, slot int32) (*Node, error) {
	if n := parent.dir.kids[slot]; n != nil {
		n.refs.Add(1)
		return n, nil
	}
	d := decodeDirent(parent.dir.slot(slot), v.geo.Width)
	n := v.newNode(d)
	if d.attr&AttrDirectory != 0 {
		if !v.tab.contains(d.first) {
			return nil, v.note(fmt.Errorf("%w: directory starts at cluster %d, expected 2 to %d", ErrCorrupt, d.first, v.geo.Clusters+1))
		}
		if other := v.dirs[d.first]; other != nil {
			err := fmt.Errorf("%w: directory starts at cluster %d, which is the start of another one or of one above it", ErrCorrupt, d.first)
			if v.aliases != nil && !parent.within(other) {
				return nil, err // a cut may have left it two names: no reason to stop everything
			}
			return nil, v.note(err)
		}
		n.dir = newDir()
		v.dirs[d.first] = n
	} else if v.aliases != nil && d.first != 0 {
		// Two nodes would not know of each other's clusters.
		if other := v.aliases[d.first]; other != nil {
			return nil, fmt.Errorf("%w: file starts at cluster %d, as another one does that is in use; it has two names until the volume is repaired", ErrCorrupt, d.first)
		}
		v.aliases[d.first] = n
		n.alias = d.first
	}
	v.place(n, parent, slot)
	n.refs.Add(1)
	return n, nil
}

func (v *Volume) newNode(d dirent) *Node {
	v.lastID++
	both := new(struct { // at once: a listing makes thousands
		node  Node
		chain chain
	})
	n := &both.node
	n.v, n.id, n.slot, n.d, n.chain, n.fresh = v, v.lastID, -1, d, &both.chain, neverFresh
	n.chain.reset(d.first)
	return n
}

// place makes n the node of a slot. The caller holds v.meta.
func (v *Volume) place(n, parent *Node, slot int32) {
	n.setParent(parent)
	n.slot = slot
	parent.dir.kids[slot] = n
	if n.ino == 0 {
		n.ino = v.inoFor(parent, slot)
		v.inos[n.ino] = n
	}
}

// touch stamps a change of n's contents. The caller holds v.meta.
func (v *Volume) touch(n *Node) {
	if r := v.holds(); r != nil && !n.wrote && v.aliases[n.alias] == n {
		// If this is the older of two names, the newer one takes over what became of the file.
		n.wrote = true
		n.refs.Add(1)
		r.wrote = append(r.wrote, n)
	}
	now := v.stamp()
	if n.d.modifyDate == now.date && n.d.modifyTime == now.time {
		return
	}
	n.d.modifyDate, n.d.modifyTime = now.date, now.time
	v.setDirty(n)
}

// A moment is a time as directory entries keep it.
type moment struct {
	second     int64 // Unix time that it was made from
	date, time uint16
}

// stamp is the time now. It is worked out once a second: zone rules cost more than a small write.
func (v *Volume) stamp() moment {
	now := v.opt.Now()
	if s := v.lastStamp.Load(); s != nil && s.second == now.Unix() {
		return *s
	}
	s := moment{second: now.Unix()}
	s.date, s.time, _ = v.opt.Clock.Encode(now)
	v.lastStamp.Store(&s)
	return s
}

// setDirty notes that n's directory entry is to be written by the next commit. The caller holds
// v.meta.
func (v *Volume) setDirty(n *Node) {
	if n.dirty || n.unlinked || n.id == rootID {
		return
	}
	n.dirty = true
	if n.parent != nil {
		n.parent.dir.needed = v.epoch.id
	}
	v.epoch.nodes = append(v.epoch.nodes, n)
	v.changed()
}

// clustersFor is the number of clusters that size bytes need.
func (v *Volume) clustersFor(size uint32) uint32 {
	return uint32((int64(size) + int64(v.geo.ClusterSize) - 1) >> v.geo.ClusterShift)
}
