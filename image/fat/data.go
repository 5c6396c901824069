package fat

import (
	"fmt"
	"math"
)

// A span is a piece of a file that lies in one piece on the device: bytes [from, to) of the file at
// offset off.
type span struct {
	from, to int64
	off      int64
}

// spans calls fn for the pieces of bytes [from, to) of n in order, over its chain and then, where
// that ends, over the clusters of r. The caller holds n.mu. An error of ErrCorrupt means that the
// chain is shorter than the file.
func (n *Node) spans(from, to int64, r *reservation, fn func(span) error) error {
	v, shift := n.v, n.v.geo.ClusterShift
	for from < to {
		i := uint32(from >> shift)
		want := uint32((to-1)>>shift) - i + 1
		c, count, err := n.lookup(i, want, r)
		if err != nil {
			return v.note(err)
		}
		end := min(to, int64(i+count)<<shift)
		s := span{from, end, v.clusterOffset(c) + from&int64(v.geo.ClusterSize-1)}
		if err := fn(s); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// lookup returns the cluster at index i of n's chain, continued by r, and how many follow it.
func (n *Node) lookup(i, want uint32, r *reservation) (Cluster, uint32, error) {
	ch := n.chain
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.length < i+want && !ch.complete {
		if err := ch.extend(n.v.tab, i+want); err != nil && ch.length <= i {
			return 0, 0, err
		}
	}
	if i < ch.length {
		return ch.find(n.v.tab, i, min(want, ch.length-i))
	}
	if r != nil {
		k := i - ch.length
		for _, e := range r.extents {
			if k < e.n {
				return e.start + Cluster(k), min(e.n-k, want), nil
			}
			k -= e.n
		}
	}
	return 0, 0, fmt.Errorf("%w: chain of a file of %d bytes ends after %d clusters, expected %d",
		ErrCorrupt, n.d.size, ch.length, n.v.clustersFor(n.d.size))
}

// ReadAt reads into p from the byte offset off. It returns less than len(p) without an error only at
// the end of the file, and 0 beyond.
func (n *Node) ReadAt(p []byte, off int64) (int, error) {
	if err := n.v.enter(); err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	defer n.v.leave()
	if n.dir != nil {
		return 0, fmt.Errorf("read: %w", ErrIsDir)
	}
	if off < 0 {
		return 0, fmt.Errorf("read at offset %d: %w", off, ErrInvalid)
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.dead != nil {
		return 0, fmt.Errorf("read: %w", n.dead)
	}
	return n.readLocked(p, off)
}

// readLocked is ReadAt for a caller that holds n.mu.
func (n *Node) readLocked(p []byte, off int64) (int, error) {
	end := min(int64(n.d.size), off+int64(len(p)))
	if off >= end {
		return 0, nil
	}
	err := n.spans(off, end, nil, func(s span) error {
		_, err := n.v.dev.ReadAt(p[s.from-off:s.to-off], s.off)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read %d bytes at offset %d: %w", len(p), off, err)
	}
	n.v.access(n)
	return int(end - off), nil
}

// WriteAt writes p at the byte offset off. What does not fit, into the volume or below MaxFileSize,
// is left out: the count says how much was written, with an error only when that is nothing.
func (n *Node) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("write at offset %d: %w", off, ErrInvalid)
	}
	done, _, err := n.write(p, false, func() int64 { return off })
	return done, err
}

// WriteAllAt is WriteAt for callers that cannot go on after a part: what does not fit whole is not
// written at all, and the error says why.
func (n *Node) WriteAllAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("write at offset %d: %w", off, ErrInvalid)
	}
	done, _, err := n.write(p, true, func() int64 { return off })
	return done, err
}

// Append writes p at the end of the file, wherever that is by then, and returns the offset.
func (n *Node) Append(p []byte) (done int, off int64, err error) {
	return n.write(p, false, func() int64 { return int64(n.d.size) })
}

// write writes p, all of it or as much as fits, at the offset that at returns once n.mu is held.
func (n *Node) write(p []byte, all bool, at func() int64) (done int, off int64, err error) {
	v := n.v
	if v.opt.Sync {
		v.awaitSingle(n)
	}
	if err := v.enterWrite(); err != nil {
		return 0, 0, fmt.Errorf("write: %w", err)
	}
	defer v.leave()
	if n.dir != nil {
		return 0, 0, fmt.Errorf("write: %w", ErrIsDir)
	}
	if len(p) == 0 {
		return 0, 0, nil
	}
	if err := v.throttleChange(n); err != nil {
		return 0, 0, fmt.Errorf("write: %w", err)
	}
	n.mu.RLock()
	if off = at(); off+int64(len(p)) <= int64(n.d.size) && n.dead == nil {
		err = n.overwrite(p, off)
		n.mu.RUnlock()
	} else {
		n.mu.RUnlock()
		n.mu.Lock()
		off = at()
		if err = n.dead; err == nil {
			p, err = n.extendWith(p, off, all)
		}
		n.mu.Unlock()
	}
	if err == nil && v.opt.Sync {
		err = v.sync()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("write %d bytes at offset %d: %w", len(p), off, err)
	}
	return len(p), off, nil
}

// overwrite writes within the file. The caller holds n.mu.
func (n *Node) overwrite(p []byte, off int64) error {
	v := n.v
	err := n.spans(off, off+int64(len(p)), nil, func(s span) error {
		return v.write(p[s.from-off:s.to-off], s.off)
	})
	if err != nil {
		return err
	}
	n.dataSeq.Store(v.dataSeq.Load())
	v.heat(n)
	v.modified(n)
	return nil
}

// extendWith writes p over or beyond the end of the file, and returns the part of it that fitted; with
// all, a part is ErrNoSpace or ErrTooBig. The caller holds n.mu exclusively. On an error the file is as
// it was, but for bytes overwritten within its size.
func (n *Node) extendWith(p []byte, off int64, all bool) ([]byte, error) {
	if off >= MaxFileSize || all && int64(len(p)) > MaxFileSize-off {
		return p, fmt.Errorf("%w: at most %d bytes", ErrTooBig, int64(MaxFileSize))
	}
	p = p[:min(int64(len(p)), MaxFileSize-off)]
	have, err := n.allChain()
	if err != nil {
		return p, err
	}
	if off > int64(n.d.size) {
		before := n.entry()
		// A gap may be gigabytes: it is filled piece by piece, below the size, before the data.
		if have, err = n.grow(off, have, true); err != nil {
			return p, err
		}
		p, err = n.extendWith(p, off, all)
		if err != nil {
			n.ungrow(before)
		}
		return p, err
	}
	end := off + int64(len(p))
	var r *reservation
	if need := n.v.clustersFor(uint32(end)); need > have {
		if r, err = n.v.take(n, need-have, have); err != nil {
			return p, err
		}
		if room := int64(have+r.count) << n.v.geo.ClusterShift; room < end {
			if room <= off || all {
				n.v.tab.unreserve(r)
				return p, ErrNoSpace
			}
			p, end = p[:room-off], room
		}
		if r.count == 0 { // what fits is in the last cluster
			n.v.tab.unreserve(r)
			r = nil
		}
	}
	err = n.spans(off, end, r, func(s span) error {
		return n.v.write(p[s.from-off:s.to-off], s.off)
	})
	if err != nil {
		if r != nil {
			n.v.tab.unreserve(r)
		}
		return p, err
	}
	n.dataSeq.Store(n.v.dataSeq.Load())
	n.v.heat(n)
	n.publish(r, have, uint32(max(end, int64(n.d.size))))
	return p, nil
}

// allChain reads the chain to its end, and returns its length, which covers the size. Where there is none, there may be one
// now. The caller holds n.mu exclusively.
func (n *Node) allChain() (uint32, error) {
	have, err := n.wholeChain()
	if err == nil && have == 0 {
		if err = n.lockSingle(); err == nil {
			n.v.meta.Unlock()
		}
	}
	return have, err
}

func (n *Node) wholeChain() (uint32, error) {
	ch := n.chain
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.complete {
		if err := ch.extend(n.v.tab, math.MaxUint32); err != nil {
			return 0, n.v.note(err)
		}
	}
	if need := n.v.clustersFor(n.d.size); ch.length < need {
		return 0, n.v.note(fmt.Errorf("%w: chain of a file of %d bytes ends after %d clusters, expected %d",
			ErrCorrupt, n.d.size, ch.length, need))
	}
	return ch.length, nil
}

// publish makes what was written part of the file: links the reservation behind the have clusters
// of the chain, and sets the size. The caller holds n.mu exclusively. It cannot fail.
func (n *Node) publish(r *reservation, have, size uint32) {
	v := n.v
	v.meta.Lock()
	defer v.meta.Unlock()
	if r != nil {
		n.attach(r, have, false)
	}
	n.d.size = size
	n.d.attr |= AttrArchive
	v.touch(n)
	v.setDirty(n)
}

// attach links a reservation behind the have clusters of n's chain. The caller holds v.meta, and
// n.mu exclusively where n is a file.
func (n *Node) attach(r *reservation, have uint32, barrier bool) {
	ch := n.chain
	ch.mu.Lock()
	defer ch.mu.Unlock()
	tail := ch.last()
	n.v.tab.link(r, tail, have > 0 && have-1 < n.fresh, barrier)
	if have == 0 {
		n.d.first = r.first()
		ch.runs = nil
	}
	n.fresh = min(n.fresh, have)
	ch.append(r.extents)
	n.v.changed()
}

const (
	// growClusters bounds the clusters that are reserved, zeroed and linked in one step.
	growClusters = 1 << 14
	// A window begins small, grows with its file, and is bounded.
	minWindow = 64 << 10
	maxWindow = 8 << 20
)

// take reserves up to want clusters behind the have that n has; fewer, perhaps none, when the volume
// is full even after everything that was freed has become usable.
func (v *Volume) take(n *Node, want, have uint32) (*reservation, error) {
	var goal Cluster
	if have > 0 {
		n.chain.mu.Lock()
		goal = n.chain.last() + 1
		n.chain.mu.Unlock()
	}
	ahead := uint32(0)
	if have > 0 { // the first write of a small file is often the only one
		ahead = uint32(min(max(int64(n.d.size), minWindow), maxWindow) >> v.geo.ClusterShift)
		if free, known := v.tab.free(); !known || free/16 < ahead {
			ahead = 0
		}
	}
	r, err := v.tab.reserve(want, goal, &n.win, ahead, false)
	if err != nil || r.count == want {
		return r, err
	}
	v.tab.unreserve(r)
	if err := v.reclaim(); err != nil {
		return nil, err
	}
	return v.tab.reserve(want, goal, &n.win, 0, true)
}

// grow makes the file size bytes long, in steps, and returns the length of its chain. New bytes are
// zeros. With withSize unset only the chain grows, and new clusters are not zeroed. The caller holds
// n.mu exclusively, and have is the length of the complete chain. When the volume gets full, the
// file keeps its size.
func (n *Node) grow(size int64, have uint32, withSize bool) (uint32, error) {
	v, old := n.v, int64(n.d.size)
	need := v.clustersFor(uint32(size))
	if withSize {
		if inside := min(size, int64(have)<<v.geo.ClusterShift); inside > old {
			err := n.spans(old, inside, nil, func(s span) error { return v.zero(s.off, s.to-s.from) })
			if err != nil {
				return have, err
			}
		}
	}
	for have < need {
		want := min(need-have, growClusters)
		r, err := v.take(n, want, have)
		if err == nil && r.count < want {
			v.tab.unreserve(r)
			err = ErrNoSpace
		}
		if err == nil && withSize {
			for _, e := range r.extents {
				if err = v.zero(v.clusterOffset(e.start), int64(e.n)<<v.geo.ClusterShift); err != nil {
					v.tab.unreserve(r)
					break
				}
			}
		}
		if err != nil {
			v.meta.Lock()
			v.trimLater(n)
			v.meta.Unlock()
			return have, err
		}
		v.meta.Lock()
		n.attach(r, have, false)
		v.setDirty(n)
		v.meta.Unlock()
		have += want
		if err := v.throttle(); err != nil {
			v.meta.Lock()
			v.trimLater(n)
			v.meta.Unlock()
			return have, err
		}
	}
	if withSize {
		n.publish(nil, have, uint32(size))
	}
	return have, nil
}

// entry is n's entry as it is at this moment. A rename may change parts of it while n.mu is held.
func (n *Node) entry() dirent {
	n.v.meta.RLock()
	defer n.v.meta.RUnlock()
	return n.d
}

// ungrow takes back that the file grew over a gap: what should have come behind it did not.
func (n *Node) ungrow(before dirent) {
	n.v.meta.Lock()
	defer n.v.meta.Unlock()
	n.d.size, n.d.attr = before.size, before.attr
	n.d.modifyDate, n.d.modifyTime = before.modifyDate, before.modifyTime
	n.v.trimLater(n)
	n.v.setDirty(n)
}

// modified stamps a change of n's data that left its size alone.
func (v *Volume) modified(n *Node) {
	now := v.stamp()
	v.meta.RLock()
	same := n.d.modifyDate == now.date && n.d.modifyTime == now.time && n.d.attr&AttrArchive != 0
	v.meta.RUnlock()
	if same {
		return
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	n.d.attr |= AttrArchive
	v.touch(n)
	v.setDirty(n)
}

// access stamps a use of n, once a day.
func (v *Volume) access(n *Node) {
	if v.opt.NoAtime || v.readOnly.Load() || n.dir != nil && v.opt.NoDirAtime {
		return
	}
	date := v.stamp().date
	v.meta.RLock()
	same := n.d.accessDate == date || n.unlinked || n.id == rootID
	v.meta.RUnlock()
	if same {
		return
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	n.d.accessDate = date
	v.setDirty(n)
}
