package fat

import (
	"errors"
	"fmt"
	"math"

	"fatvol/image/device"
)

// maxTries bounds how often an operation starts over because its directory had to grow, the epoch
// to be committed, or somebody else changed what it looked up.
const maxTries = 64

// Lookup returns the node that name means in directory dir, in whatever spelling, with one more
// reference. exact says that the name is spelled as ReadDir spells it. ErrNotExist when there is none.
func (v *Volume) Lookup(dir *Node, name string) (n *Node, exact bool, err error) {
	if err := v.enter(); err != nil {
		return nil, false, fmt.Errorf("lookup %q: %w", name, err)
	}
	defer v.leave()
	if n, exact, err = v.lookup(dir, name); err != nil {
		return nil, false, fmt.Errorf("lookup %q: %w", name, err)
	}
	return n, exact, nil
}

func (v *Volume) lookup(dir *Node, name string) (n *Node, exact bool, err error) {
	if err := v.pin(dir); err != nil {
		return nil, false, err
	}
	defer v.unpin(dir)
	key := v.names.Fold(name)
	v.meta.RLock()
	d := dir.dir
	slot := d.named(v, key, name)
	if slot >= 0 {
		exact = d.shown(v, slot) == name
		if n = d.kids[slot]; n != nil {
			n.refs.Add(1)
		}
	}
	v.meta.RUnlock()
	if slot < 0 {
		return nil, false, ErrNotExist
	}
	if n != nil {
		return n, exact, nil
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	d.used = true
	if slot = d.named(v, key, name); slot < 0 {
		return nil, false, ErrNotExist
	}
	exact = d.shown(v, slot) == name
	n, err = v.instantiate(dir, slot)
	return n, exact, err
}

// Create makes an empty file. ErrExist when an entry has the name in any spelling.
func (v *Volume) Create(dir *Node, name string, attr Attributes) (*Node, error) {
	n, err := v.create(dir, name, attr&AttrSettable|AttrArchive)
	if err != nil {
		return nil, fmt.Errorf("create %q: %w", name, n.abandon(err))
	}
	return n, nil
}

// Mkdir makes an empty directory.
func (v *Volume) Mkdir(dir *Node, name string, attr Attributes) (*Node, error) {
	n, err := v.mkdir(dir, name, attr&(AttrSettable&^AttrArchive)|AttrDirectory)
	if err != nil {
		return nil, fmt.Errorf("mkdir %q: %w", name, n.abandon(err))
	}
	return n, nil
}

// abandon gives back the reference on a node that was made but whose commit failed.
func (n *Node) abandon(err error) error {
	if n != nil {
		n.Release(1)
	}
	return err
}

func (v *Volume) create(dir *Node, name string, attr Attributes) (*Node, error) {
	if err := v.enterWrite(); err != nil {
		return nil, err
	}
	defer v.leave()
	return v.add(dir, name, attr, nil)
}

// add adds an entry; for a directory r is its cluster, which is ready. The call was entered: to enter it again could wait
// for a Close that waits for it.
func (v *Volume) add(dir *Node, name string, attr Attributes, r *reservation) (*Node, error) {
	nm, err := v.names.Parse(name)
	if err != nil {
		return nil, err
	}
	var n *Node
	err = v.edit(dir, func() error {
		if dir.dir.find(v, nm.Key) >= 0 {
			return ErrExist
		}
		d := dirent{attr: attr}
		now := v.opt.Now()
		d.createDate, d.createTime, d.createCentis = v.opt.Clock.Encode(now)
		d.modifyDate, d.modifyTime, d.accessDate = d.createDate, d.createTime, d.createDate
		if r != nil {
			d.first = r.first()
		}
		slot, _, err := v.put(dir, nm, d)
		if err != nil {
			return err
		}
		d.ntCase = dir.dir.slot(slot)[12]
		n = v.newNode(d)
		n.born = v.epoch.id
		if r != nil {
			v.tab.link(r, 0, false, false)
			n.chain.mu.Lock()
			n.chain.reset(0)
			n.chain.append(r.extents)
			n.chain.mu.Unlock()
			n.dir = newDir()
			v.dirs[d.first] = n
		}
		n.refs.Add(1)
		v.place(n, dir, slot)
		v.setDirty(n) // so that it is known as new until the epoch ends
		v.touch(dir)
		return nil
	})
	return n, v.settleDir(err)
}

func (v *Volume) mkdir(dir *Node, name string, attr Attributes) (*Node, error) {
	if err := v.enterWrite(); err != nil {
		return nil, err
	}
	defer v.leave()
	if _, err := v.names.Parse(name); err != nil {
		return nil, err
	}
	if err := v.absent(dir, name); err != nil {
		return nil, err
	}
	r, err := v.dirCluster(dir)
	if err != nil {
		return nil, err
	}
	n, err := v.add(dir, name, attr, r)
	if err != nil && n == nil {
		v.tab.unreserve(r)
	}
	return n, err
}

// absent returns ErrExist when dir has the name: it spares work that would be for nothing.
func (v *Volume) absent(dir *Node, name string) error {
	if err := v.pin(dir); err != nil {
		return err
	}
	defer v.unpin(dir)
	v.meta.RLock()
	defer v.meta.RUnlock()
	if dir.dir.find(v, v.names.Fold(name)) >= 0 {
		return ErrExist
	}
	return nil
}

// dirCluster reserves a cluster and makes it an empty directory below parent, not linked yet.
func (v *Volume) dirCluster(parent *Node) (*reservation, error) {
	r, err := v.takeOne(0)
	if err != nil {
		return nil, err
	}
	now := v.stamp()
	data := make([]byte, 2*slotSize)
	d := dirent{attr: AttrDirectory, first: r.first(), modifyDate: now.date, modifyTime: now.time,
		createDate: now.date, createTime: now.time, accessDate: now.date}
	copy(data, ".          ")
	d.encode(data, v.geo.Width)
	copy(data[slotSize:], "..         ")
	d.first = parent.dotdot()
	d.encode(data[slotSize:], v.geo.Width)
	off := v.clusterOffset(r.first())
	err = v.zero(off, int64(v.geo.ClusterSize))
	if err == nil {
		err = v.write(data, off)
	}
	if err != nil {
		v.tab.unreserve(r)
		return nil, err
	}
	return r, nil
}

// dotdot is the cluster that ".." of n's children names: 0 for the root, whatever its cluster.
func (n *Node) dotdot() Cluster {
	if n.id == rootID {
		return 0
	}
	return n.d.first
}

// takeOne reserves one cluster, after goal-1 where it is not 0.
func (v *Volume) takeOne(goal Cluster) (*reservation, error) {
	r, err := v.tab.reserve(1, goal, nil, 0, false)
	if err != nil || r.count == 1 {
		return r, err
	}
	v.tab.unreserve(r)
	if err := v.reclaim(); err != nil {
		return nil, err
	}
	if r, err = v.tab.reserve(1, goal, nil, 0, true); err != nil || r.count == 1 {
		return r, err
	}
	v.tab.unreserve(r)
	return nil, ErrNoSpace
}

// edit calls change with v.meta held and the contents of dir in memory, again after the directory
// grew or the epoch was committed where change asks for that. change must not have changed anything
// when it returns an error.
func (v *Volume) edit(dir *Node, change func() error) error {
	if err := v.pin(dir); err != nil {
		return err
	}
	defer v.unpin(dir)
	if err := v.throttle(); err != nil {
		return err
	}
	for try, full := 0, false; ; try++ {
		v.meta.Lock()
		dir.dir.used = true
		err := ErrNotExist
		if !dir.unlinked {
			err = change()
		}
		slots := dir.dir.slots()
		v.meta.Unlock()
		if try >= maxTries && (errors.Is(err, errGrow) || errors.Is(err, errCommit)) {
			return fmt.Errorf("after %d attempts to make room: %w", try, ErrNoSpace)
		}
		switch {
		case errors.Is(err, errGrow):
			err = v.growDir(dir, slots)
			if errors.Is(err, ErrNoSpace) && !full {
				full = true // slots of names that went may come free
				err = v.sync()
			}
		case errors.Is(err, errCommit):
			err = v.sync()
		default:
			return err
		}
		if err != nil {
			return err
		}
	}
}

// growDir gives directory n, which is pinned, one more cluster, unless somebody did so since it had
// the given number of slots, or a commit made room in it.
func (v *Volume) growDir(n *Node, slots int32) error {
	d := n.dir
	d.loadMu.Lock() // one grower at a time
	defer d.loadMu.Unlock()
	v.meta.RLock()
	grown := d.slots() > slots
	full := n.chain == nil || slots+1 > maxSlots
	v.meta.RUnlock()
	if grown {
		return nil
	}
	if !full {
		n.chain.mu.Lock()
		full = n.chain.length >= maxDirClusters(v.geo)
		n.chain.mu.Unlock()
	}
	if full {
		return fmt.Errorf("directory of %d slots is full: %w", d.slots(), ErrNoSpace)
	}
	n.chain.mu.Lock()
	goal := n.chain.last() + 1
	n.chain.mu.Unlock()
	r, err := v.takeOne(goal)
	if err != nil {
		return err
	}
	if err := v.zero(v.clusterOffset(r.first()), int64(v.geo.ClusterSize)); err != nil {
		v.tab.unreserve(r)
		return err
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	if n.unlinked {
		v.tab.unreserve(r)
		return ErrNotExist
	}
	n.chain.mu.Lock()
	last := n.chain.last()
	if last+1 != goal { // a commit took clusters away: there is room, and r does not hold the entry of the one that is last now
		n.chain.mu.Unlock()
		v.tab.unreserve(r)
		return nil
	}
	v.tab.link(r, last, true, true)
	n.chain.append(r.extents)
	n.chain.mu.Unlock()
	size := min(len(d.data)+v.geo.ClusterSize, maxSlots*slotSize)
	data := append(d.data, make([]byte, size-len(d.data))...)
	device.Keep(v.dev, v.clusterOffset(r.first()), data[len(d.data):])
	v.dirBytes += int64(len(data) - len(d.data))
	d.data = data
	v.changed()
	return nil
}

// settleDir ends a change of a directory under the sync options.
func (v *Volume) settleDir(err error) error {
	if err != nil || !v.opt.Sync && !v.opt.DirSync {
		return err
	}
	if err := v.sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSynced, err)
	}
	return nil
}

// Unlink removes a file's name. The file goes with it, or with its last handle.
func (v *Volume) Unlink(dir *Node, name string) error {
	err := v.removeEntry(dir, name, func(n *Node) error {
		if n.dir != nil {
			return ErrIsDir
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("unlink %q: %w", name, err)
	}
	return nil
}

// Rmdir removes an empty directory.
func (v *Volume) Rmdir(dir *Node, name string) error {
	err := v.removeEntry(dir, name, func(n *Node) error {
		switch {
		case n.dir == nil:
			return ErrNotDir
		case n.dir.live > 0:
			return ErrNotEmpty
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("rmdir %q: %w", name, err)
	}
	return nil
}

func (v *Volume) removeEntry(dir *Node, name string, allowed func(*Node) error) error {
	if err := v.enterWrite(); err != nil {
		return err
	}
	defer v.leave()
	for try := 0; try < maxTries; try++ {
		n, _, err := v.lookup(dir, name)
		if err != nil {
			return err
		}
		moved := false
		err = v.withVictim(n, func() error {
			return v.edit(dir, func() error {
				if n.parent != dir || n.unlinked || dir.dir.named(v, v.names.Fold(name), name) != n.slot {
					moved = true
					return nil
				}
				if err := allowed(n); err != nil {
					return err
				}
				if n.moved == v.epoch.id && (n.dir != nil || !n.hidden()) {
					return errCommit // its ".." goes with it, and the medium may show its former name
				}
				ph := phaseRemove
				if n.dir != nil {
					ph = max(ph, n.dir.leaving())
				}
				v.remove(dir, n.slot, ph)
				v.unlinked(n)
				v.touch(dir)
				return nil
			})
		})
		n.Release(1)
		if !moved || err != nil {
			return v.settleDir(err)
		}
	}
	return fmt.Errorf("name kept changing: %w", ErrNotExist)
}

// withVictim calls fn with everything in memory that is needed to free n, a file or directory that
// is about to lose its name: the whole chain, and a directory's contents. n.mu is held.
func (v *Volume) withVictim(n *Node, fn func() error) error {
	if n.dir != nil {
		if err := v.pin(n); err != nil {
			return err
		}
		defer v.unpin(n)
		return fn()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chain.mu.Lock()
	err := n.chain.extend(v.tab, math.MaxUint32)
	n.chain.mu.Unlock()
	if err != nil && (v.note(err) != nil && v.opt.Errors != ErrorsContinue || !errors.Is(err, ErrCorrupt)) {
		return err
	}
	return fn()
}

// unlinked takes over that n, which withVictim prepared, lost its name. The caller holds v.meta.
func (v *Volume) unlinked(n *Node) {
	v.noteMoved(n)
	n.unlinked = true
	n.slot = -1
	if n.dir != nil {
		delete(v.dirs, n.d.first)
		v.evictNow(n)
		v.bury(n)
		return
	}
	if n.opens > 0 {
		v.orphans[n] = struct{}{}
		return
	}
	v.free(n)
}

// evictNow forgets the contents of a removed directory together with changes that no longer matter.
func (v *Volume) evictNow(n *Node) {
	d := n.dir
	if d.listed {
		d.listed = false
		for i, other := range v.epoch.dirs {
			if other == n {
				v.epoch.dirs = append(v.epoch.dirs[:i:i], v.epoch.dirs[i+1:]...)
				break
			}
		}
	}
	d.edits = nil
	d.live = 0
	v.evict(n)
}
