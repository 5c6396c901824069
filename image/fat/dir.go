package fat

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"fatvol/image/device"
)

// dir is the directory half of a Node. Its contents are read whole on first use, kept as they are
// on disk with all changes of memory applied, and indexed by folded name.
type dir struct {
	kids map[int32]*Node // nodes in memory by the slot of their short entry; guarded by v.meta

	pins   atomic.Int32 // operations that need the contents in memory
	loadMu sync.Mutex   // one reader of the contents at a time; taken before v.meta
	queued bool         // in v.loadedDirs; guarded by v.meta
	needed uint64       // the epoch whose commit needs the contents, or one before. Guarded by v.meta
	left   uint64       // digest of the contents that were evicted while kids had places in them; otherwise 0. Guarded by v.meta

	contents
}

// contents is what is known of a directory's slots. Guarded by v.meta. Meaningful only while loaded.
type contents struct {
	loaded  bool
	used    bool   // since the last look of the evictor
	inPlan  bool   // the commit under way writes what memory already holds
	data    []byte // all slots
	tail    int32  // slots from here on were never used
	oldTail int32  // what tail was when the open epoch began, or less
	garbage bool   // those slots are not all zero, as some formatters leave them
	live    int32  // entries that a listing shows
	label   int32  // slot of the volume label, or -1
	index   map[uint64]int32
	more    map[uint64][]int32 // further slots for a hash: of names that differ in case only, or that are there twice by damage
	holes   []hole             // free slots below tail

	// What the open epoch changed.
	listed  bool // in v.epoch.dirs; so it may stay when no edit is left
	edits   map[int32][]edit
	removed map[string]removedName // names that went, by key
	freed   map[int32]int32        // slots, by the first, that become free once the removal is on the medium
	// goneShort holds the 8.3 names that the open epoch removed: the medium still has them.
	goneShort map[[11]byte]bool
}

// A hole is a run of free slots.
type hole struct{ at, n int32 }

// removedName remembers a name that the open epoch removed: the medium still has it, so the name
// can come back in this epoch only at the same slots.
type removedName struct {
	slot, longs int32
	shown       string
}

func newDir() *dir {
	return &dir{kids: make(map[int32]*Node)}
}

// forget makes d a directory of which nothing is known, in place: that there is one, and so that its node
// is a directory, never changes.
func (d *dir) forget() {
	d.kids, d.contents, d.queued, d.needed, d.left = make(map[int32]*Node), contents{}, false, 0, 0
	d.pins.Store(0)
}

func (d *dir) slots() int32 { return int32(len(d.data) / slotSize) }

func (d *dir) slot(i int32) []byte {
	return d.data[int(i)*slotSize : int(i+1)*slotSize : int(i+1)*slotSize]
}

// busy reports whether the contents must stay in memory.
func (d *dir) busy() bool {
	return d.listed || d.inPlan || d.pins.Load() > 0
}

// maxDirClusters is the number of clusters of the largest directory.
func maxDirClusters(g *Geometry) uint32 {
	return uint32(max(1, maxSlots*slotSize>>g.ClusterShift))
}

// pin brings the contents of directory n into memory and keeps them there until unpin. The caller
// holds no lock of the volume.
func (v *Volume) pin(n *Node) error {
	d := n.dir
	if d == nil {
		return ErrNotDir
	}
	d.pins.Add(1)
	v.meta.RLock()
	loaded, stale := d.loaded, errors.Is(n.dead, ErrStale)
	v.meta.RUnlock()
	if stale {
		d.pins.Add(-1)
		return ErrStale
	}
	if loaded {
		return nil
	}
	d.loadMu.Lock()
	defer d.loadMu.Unlock()
	v.meta.RLock()
	loaded = d.loaded
	ch := n.chain
	v.meta.RUnlock()
	if loaded {
		return nil
	}
	data, err := v.readDirData(ch)
	if err != nil {
		d.pins.Add(-1)
		return v.note(err)
	}
	v.meta.Lock()
	d.data = data
	d.parse(v, n.id == rootID)
	lost := d.disown(d.left != 0 && d.left != v.digest(data))
	d.loaded, d.left = true, 0
	v.dirBytes += int64(len(data))
	v.queueDir(n)
	v.evictDirs()
	v.meta.Unlock()
	if lost > 0 {
		// The directory itself can be used.
		_ = v.note(fmt.Errorf("%w: a directory changed since it was read before: %d entries that are in use are gone, or others; its clusters may belong to another as well",
			ErrCorrupt, lost))
	}
	return nil
}

// digest stands for the contents of a directory. It is never 0.
func (v *Volume) digest(data []byte) uint64 { return maphash.Bytes(v.seed, data) | 1 }

// disown takes the nodes out of the directory whose entries are not in what was read, though nobody removed
// them, and returns their number: all, if something else changed it while it was not in memory, as another system may do
// while the medium is away. Two directories that share clusters get there as well. Nothing may be written
// for such a node: where its entry was, there is something else, or nothing. The caller holds v.meta.
func (d *dir) disown(all bool) (lost int) {
	for slot, kid := range d.kids {
		if slot < d.tail && !all {
			if s := d.slot(slot); !slotIsFree(s) && !slotIsLong(s) && !slotIsLabel(s) {
				continue
			}
		}
		delete(d.kids, slot)
		kid.unlinked, kid.slot = true, -1
		lost++
	}
	return lost
}

func (v *Volume) unpin(n *Node) { n.dir.pins.Add(-1) }

// holdParent has the directory in memory that n's entry is in, until the open epoch is committed: for a change of the entry,
// which can be written then also where nothing can be read any more.
func (v *Volume) holdParent(n *Node) error {
	v.meta.RLock()
	p, held := n.parent, n.unlinked || n.parent == nil || n.parent.dir.held(v)
	v.meta.RUnlock()
	if held {
		return nil
	}
	if err := v.pin(p); err != nil {
		return err
	}
	defer v.unpin(p)
	v.meta.Lock()
	defer v.meta.Unlock()
	p.dir.needed = v.epoch.id
	return nil
}

// held reports whether the contents stay in memory until the open epoch is committed.
func (d *dir) held(v *Volume) bool { return d.loaded && (d.listed || d.needed == v.epoch.id) }

// readDirData reads all slots of a directory: the fixed root for a nil chain.
func (v *Volume) readDirData(ch *chain) ([]byte, error) {
	if ch == nil {
		data := make([]byte, v.geo.RootEntries*slotSize)
		if _, err := v.dev.ReadAt(data, v.geo.RootStart); err != nil {
			return nil, fmt.Errorf("read root directory: %w", err)
		}
		device.Keep(v.dev, v.geo.RootStart, data)
		return data, nil
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	limit := maxDirClusters(v.geo)
	if err := ch.extend(v.tab, limit+1); err != nil {
		return nil, fmt.Errorf("read directory: %w", err)
	}
	if ch.length > limit {
		return nil, fmt.Errorf("read directory: %w: more than %d clusters, expected at most %d slots", ErrCorrupt, limit, maxSlots)
	}
	data := make([]byte, int64(ch.length)<<v.geo.ClusterShift)
	for i := uint32(0); i < ch.length; {
		c, n, err := ch.find(v.tab, i, ch.length-i)
		if err != nil {
			return nil, err
		}
		part := data[int64(i)<<v.geo.ClusterShift : int64(i+n)<<v.geo.ClusterShift]
		if _, err := v.dev.ReadAt(part, v.clusterOffset(c)); err != nil {
			return nil, fmt.Errorf("read directory at cluster %d: %w", c, err)
		}
		device.Keep(v.dev, v.clusterOffset(c), part)
		i += n
	}
	// Clusters larger than the largest directory have room that no slot number reaches.
	return data[:min(len(data), maxSlots*slotSize)], nil
}

// parse builds the index over d.data.
func (d *dir) parse(v *Volume, root bool) {
	n := d.slots()
	d.tail, d.live, d.label, d.garbage = n, 0, -1, false
	d.index, d.more = make(map[uint64]int32, keysPerEntry*d.entries()), nil
	d.holes = nil
	d.edits = make(map[int32][]edit)
	d.forgetRemoved()
	var lp LongParser
	next := int32(0) // first slot that is not accounted for
	for i := int32(0); i < n; i++ {
		s := d.slot(i)
		if s[0] == slotEnd {
			d.tail = i
			break
		}
		if s[0] == slotDeleted {
			lp.Reset()
			continue
		}
		if slotIsLong(s) {
			lp.Slot(s)
			continue
		}
		start := i
		units, slots, ok := lp.Take(shortOf(s))
		if ok {
			start -= int32(slots)
		} else {
			units = nil
		}
		d.addHole(next, start-next)
		next = i + 1
		switch {
		case !root && i < 2 && slotIsDot(s):
		case slotIsLabel(s):
			if root && d.label < 0 {
				d.label = i
			}
		default:
			if Attributes(s[11])&AttrVolumeID != 0 {
				break // neither a label nor a file: no reader shows it
			}
			d.live++
			d.addKeys(v, i, units)
		}
	}
	if len(d.kids) == 0 {
		d.kids = make(map[int32]*Node, min(d.live, kidsRoom))
	}
	d.oldTail = d.tail
	if next < d.tail {
		// Nothing but free slots and stray long-name slots up to the end.
		d.addHole(next, d.tail-next)
	}
	d.garbage = !allZero(d.data[int(d.tail)*slotSize:])
}

// kidsRoom is for how many nodes there is room at first: a map of a few dozen would be made anew several times.
const kidsRoom = 32

// keysPerEntry is how many keys most entries have: one of each name.
const keysPerEntry = 2

// entries counts the short entries up to the end mark, so that the index is made as large as it gets.
func (d *dir) entries() (n int) {
	for at := 0; at < len(d.data) && d.data[at] != slotEnd; at += slotSize {
		if s := d.data[at : at+slotSize]; s[0] != slotDeleted && !slotIsLong(s) {
			n++
		}
	}
	return n
}

func (d *dir) addHole(at, n int32) {
	if n > 0 {
		d.holes = append(d.holes, hole{at, n})
	}
}

// keys are the comparison keys by which the entry at slot i, with the given long name or nil, can be
// found: of that, of the 8.3 name, and of this as it is shown where case matters (check=strict).
func (d *dir) keys(v *Volume, i int32, units []uint16) []string {
	keys := make([]string, 0, 3)
	if units != nil {
		keys = append(keys, v.names.FoldUnits(units))
	}
	s := d.slot(i)
	keys = append(keys, v.names.FoldShort(shortOf(s)))
	if v.opt.Names.Check == CheckStrict && s[12] != 0 {
		keys = append(keys, v.names.Fold(v.names.ShowShort(shortOf(s), s[12])))
	}
	return keys
}

// enter adds the entry at slot i to the index, leave takes it out.
func (d *dir) enter(v *Volume, i int32) {
	units, _ := d.long(i)
	d.addKeys(v, i, units)
}

func (d *dir) leave(v *Volume, i int32) {
	units, _ := d.long(i)
	for _, key := range d.keys(v, i, units) {
		d.dropKey(v, key, i)
	}
}

func hashKey(v *Volume, key string) uint64 { return maphash.String(v.seed, key) }

// addKeys adds the keys of the entry at slot i to the index: those of keys, without a string for each where a directory
// of thousands is read.
func (d *dir) addKeys(v *Volume, i int32, units []uint16) {
	if v.opt.Names.Check == CheckStrict {
		for _, key := range d.keys(v, i, units) {
			d.addHash(hashKey(v, key), i)
		}
		return
	}
	var buf [maxUnits]byte
	if units != nil {
		d.addHash(maphash.Bytes(v.seed, v.names.appendFoldUnits(buf[:0], units)), i)
	}
	d.addHash(maphash.Bytes(v.seed, v.names.appendFoldShort(buf[:0], shortOf(d.slot(i)))), i)
}

func (d *dir) addHash(h uint64, i int32) {
	old, ok := d.index[h]
	if !ok {
		d.index[h] = i
		return
	}
	if old == i {
		return
	}
	if d.more == nil {
		d.more = make(map[uint64][]int32)
	}
	d.more[h] = append(d.more[h], i)
}

func (d *dir) dropKey(v *Volume, key string, i int32) {
	h := hashKey(v, key)
	rest := d.more[h]
	if d.index[h] == i {
		if len(rest) == 0 {
			delete(d.index, h)
			return
		}
		d.index[h] = rest[0]
		rest = rest[1:]
	} else {
		for k, s := range rest {
			if s == i {
				rest = append(rest[:k:k], rest[k+1:]...)
				break
			}
		}
	}
	if len(rest) == 0 {
		delete(d.more, h)
	} else {
		d.more[h] = rest
	}
}

// find returns the slot of the short entry whose long or short name has the key, or -1.
func (d *dir) find(v *Volume, key string) int32 {
	h := hashKey(v, key)
	i, ok := d.index[h]
	if !ok {
		return -1
	}
	if d.matches(v, i, key) {
		return i
	}
	for _, i := range d.more[h] {
		if d.matches(v, i, key) {
			return i
		}
	}
	return -1
}

// named is find for a name, given with its key. Of several entries that it could mean, as a volume has that was used with
// check=strict, or by a system that knows one case from another, it means the one that is spelled so.
func (d *dir) named(v *Volume, key, name string) int32 {
	i := d.find(v, key)
	if i < 0 || len(d.more) == 0 || d.shown(v, i) == name {
		return i
	}
	for _, k := range d.more[hashKey(v, key)] {
		if d.shown(v, k) == name && d.matches(v, k, key) {
			return k
		}
	}
	return i
}

func (d *dir) matches(v *Volume, i int32, key string) bool {
	units, _ := d.long(i)
	return slices.Contains(d.keys(v, i, units), key)
}

// long returns the long name of the short entry at slot i and the number of slots before i that
// hold it; nil and 0 when it has none.
func (d *dir) long(i int32) ([]uint16, int32) {
	short := shortOf(d.slot(i))
	sum := ShortChecksum(short)
	for n := int32(1); n <= 20 && n <= i; n++ {
		s := d.slot(i - n)
		if slotIsFree(s) || !slotIsLong(s) || s[13] != sum || int32(s[0]&0x3f) != n {
			break
		}
		if s[0]&0x40 == 0 {
			continue
		}
		var lp LongParser
		for k := i - n; k < i; k++ {
			lp.Slot(d.slot(k))
		}
		units, slots, ok := lp.Take(short)
		if !ok {
			break
		}
		return slices.Clone(units), int32(slots)
	}
	return nil, 0
}

// shown is the name of the entry at slot i as applications see it.
func (d *dir) shown(v *Volume, i int32) string {
	if units, _ := d.long(i); units != nil {
		return v.names.ShowLong(units)
	}
	s := d.slot(i)
	return v.names.ShowShort(shortOf(s), s[12])
}

// evictDirs forgets contents that nobody needs until they fit the cache. The caller holds v.meta.
func (v *Volume) evictDirs() {
	for tries := 2 * len(v.loadedDirs); v.dirBytes > v.opt.CacheBytes/dirCost && tries > 0; tries-- {
		n := v.loadedDirs[0]
		v.loadedDirs = v.loadedDirs[1:]
		if !n.dir.loaded {
			n.dir.queued = false
			continue
		}
		if n.dir.used || n.dir.busy() || n.dir.needed == v.epoch.id {
			n.dir.used = false
			v.loadedDirs = append(v.loadedDirs, n)
			continue
		}
		n.dir.queued = false
		v.evict(n)
	}
}

// leastQueue is the length from which on the queue of the evictor is looked through for what has gone by itself.
const leastQueue = 64

// queueDir puts a directory whose contents were just read where the evictor looks. What was removed, or is not known to
// anybody any more, leaves the queue here: the cache may never be full. The caller holds v.meta.
func (v *Volume) queueDir(n *Node) {
	if n.dir.queued {
		return // it was evicted since, by others
	}
	n.dir.queued = true
	v.loadedDirs = append(v.loadedDirs, n)
	if len(v.loadedDirs) < v.dirsLimit {
		return
	}
	v.loadedDirs = slices.DeleteFunc(v.loadedDirs, func(n *Node) bool {
		n.dir.queued = n.dir.loaded
		return !n.dir.loaded
	})
	v.dirsLimit = 2*len(v.loadedDirs) + leastQueue
}

// dirCost is the memory that a directory takes, with its index, as a multiple of its bytes on disk;
// half of the cache is for directories.
const dirCost = 4

// evict forgets the contents of n, which are not busy. The caller holds v.meta.
func (v *Volume) evict(n *Node) {
	d := n.dir
	if !d.loaded {
		return
	}
	v.dirBytes -= int64(len(d.data))
	v.forgetDir(n)
	if len(d.kids) > 0 {
		d.left = v.digest(d.data)
	}
	d.loaded, d.data, d.index, d.more, d.holes = false, nil, nil, nil, nil
	d.edits, d.removed, d.freed, d.goneShort = nil, nil, nil, nil
}

// forgetDir tells the device that the contents of n are not in memory any more.
func (v *Volume) forgetDir(n *Node) {
	if n.chain == nil {
		device.Forget(v.dev, v.geo.RootStart, int64(len(n.dir.data)))
		return
	}
	n.chain.mu.Lock()
	defer n.chain.mu.Unlock()
	for _, r := range n.chain.runs {
		device.Forget(v.dev, v.clusterOffset(r.start), int64(r.n)<<v.geo.ClusterShift)
	}
}

// forgetRemoved begins an epoch in which no name was removed yet.
func (d *dir) forgetRemoved() {
	d.removed = make(map[string]removedName)
	d.freed = make(map[int32]int32)
	d.goneShort = make(map[[11]byte]bool)
}
