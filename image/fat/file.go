package fat

import (
	"fmt"
	"time"
)

// change begins a call that changes file n, and returns the function that ends it. n.mu is held
// exclusively in between.
func (n *Node) change(op string) (func(), error) {
	if n.v.opt.Sync {
		n.v.awaitSingle(n)
	}
	if err := n.v.enterWrite(); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if n.dir != nil {
		n.v.leave()
		return nil, fmt.Errorf("%s: %w", op, ErrIsDir)
	}
	if err := n.v.throttleChange(n); err != nil {
		n.v.leave()
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	n.mu.Lock()
	if n.dead != nil {
		defer n.v.leave()
		defer n.mu.Unlock()
		return nil, fmt.Errorf("%s: %w", op, n.dead)
	}
	return func() { n.mu.Unlock(); n.v.leave() }, nil
}

// settle ends a change under the sync option.
func (v *Volume) settle(err error) error {
	if err == nil && v.opt.Sync {
		err = v.sync()
	}
	return err
}

// Truncate sets the file's size in bytes. It grows with zeros. On an error the size is as before.
func (n *Node) Truncate(size int64) error {
	done, err := n.change("truncate")
	if err != nil {
		return err
	}
	defer done()
	if err := n.v.settle(n.resize(size)); err != nil {
		return fmt.Errorf("truncate to %d bytes: %w", size, err)
	}
	return nil
}

// resize is Truncate for a caller that holds n.mu exclusively.
func (n *Node) resize(size int64) error {
	if size < 0 {
		return ErrInvalid
	}
	if size > MaxFileSize {
		return ErrTooBig
	}
	have, err := n.allChain()
	if err != nil {
		return err
	}
	switch old := int64(n.d.size); {
	case size > old:
		_, err = n.grow(size, have, true)
		return err
	case size > 0:
		n.shrink(uint32(size))
	case old > 0 || have > 0:
		return n.empty()
	default:
		n.v.modified(n)
	}
	return nil
}

// shrink sets a smaller size than the chain has room for; the next commit cuts the chain.
func (n *Node) shrink(size uint32) {
	v := n.v
	v.tab.closeWindow(&n.win)
	v.meta.Lock()
	defer v.meta.Unlock()
	n.d.size = size
	n.d.attr |= AttrArchive
	n.keep(0)
	v.trimLater(n)
	v.touch(n)
	v.setDirty(n)
	v.changed()
}

// empty takes all clusters from the file. What is written next gets new ones, so that the medium
// goes from the old contents to the new in one step.
func (n *Node) empty() error {
	v := n.v
	v.tab.closeWindow(&n.win)
	if err := n.lockSingle(); err != nil {
		return err
	}
	defer v.meta.Unlock()
	v.bury(n)
	n.d.size = 0
	n.d.attr |= AttrArchive
	v.touch(n)
	v.setDirty(n)
	return nil
}

// lockSingle locks v.meta once n may begin with another cluster, or with one. It may not while the open epoch has given it a
// name beside another of which only that tells that they are one file's: then the epoch is committed.
func (n *Node) lockSingle() error {
	v := n.v
	v.meta.Lock()
	for id := v.epoch.id; v.epoch.spare && n.moved == id || n.respelled == id; id = v.epoch.id {
		v.meta.Unlock()
		if err := v.sync(); err != nil {
			return err
		}
		v.meta.Lock()
	}
	return nil
}

// bury detaches n's chain, which is completely known, and has it freed: at once when no commit has
// seen it, else once the open epoch is on the medium. The caller holds v.meta.
func (v *Volume) bury(n *Node) {
	ch := n.chain
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.length > 0 {
		dead := []deadChain{{n.d.first, ch.length}}
		v.tab.bury(ch.length)
		if n.fresh == 0 && !v.opt.Discard { // what is to be discarded takes the long way
			v.tab.mu.Lock()
			// What cannot be read now is freed with the epoch.
			dead, _, _ = v.tab.freeLocked(dead, int(v.tab.pageCount)+1, false)
			v.tab.mu.Unlock()
		}
		if r := v.holds(); r != nil {
			r.moved = append(r.moved, head{n.d.first, false})
			r.kept = append(r.kept, dead...)
		} else {
			v.epoch.dead = append(v.epoch.dead, dead...)
		}
		v.changed()
	}
	n.fresh = neverFresh
	n.keep(0)
	if n.dir == nil {
		n.d.first = 0
	}
	ch.reset(0)
}

// free buries the chain of an unlinked file that nobody has open. The caller holds v.meta.
func (v *Volume) free(n *Node) {
	delete(v.orphans, n)
	n.dead = ErrNotExist
	v.bury(n)
	v.wake() // the volume may be clean now, even where nothing was freed
}

// Allocate makes room for length bytes from off on, so that writing there cannot fail for lack of
// space. The file grows to off+length with zeros, unless keepSize: then the clusters are kept until
// the last handle is closed.
func (n *Node) Allocate(off, length int64, keepSize bool) error {
	done, err := n.change("allocate")
	if err != nil {
		return err
	}
	defer done()
	if err := n.v.settle(n.allocate(off, length, keepSize)); err != nil {
		return fmt.Errorf("allocate %d bytes at offset %d: %w", length, off, err)
	}
	return nil
}

func (n *Node) allocate(off, length int64, keepSize bool) error {
	end, err := checkRange(off, length)
	if err != nil {
		return err
	}
	if !keepSize {
		if end <= int64(n.d.size) {
			return nil
		}
		return n.resize(end)
	}
	have, err := n.allChain()
	if err != nil {
		return err
	}
	have, err = n.grow(end, have, false)
	if err != nil {
		return err
	}
	n.v.meta.Lock()
	defer n.v.meta.Unlock()
	switch {
	case have <= n.v.clustersFor(n.d.size):
	case n.opens > 0:
		n.keep(have)
	default:
		n.v.trimLater(n) // there is no last handle that would give them back
	}
	return nil
}

// keep notes that n keeps clusters beyond its size, which a cut would leave so: so many in all, or 0. The caller holds v.meta.
func (n *Node) keep(clusters uint32) {
	switch {
	case n.kept == 0 && clusters > 0:
		n.v.keepers.Add(1)
	case n.kept > 0 && clusters == 0:
		n.v.keepers.Add(-1)
	}
	n.kept = clusters
}

// checkRange returns the end of a range of a file, or why there can be none.
func checkRange(off, length int64) (int64, error) {
	if off < 0 || length <= 0 {
		return 0, ErrInvalid
	}
	if off > MaxFileSize || length > MaxFileSize-off {
		return 0, ErrTooBig
	}
	return off + length, nil
}

// Zero makes length bytes from off on read as zeros. The file grows to off+length unless keepSize.
func (n *Node) Zero(off, length int64, keepSize bool) error {
	done, err := n.change("zero")
	if err != nil {
		return err
	}
	defer done()
	if err := n.v.settle(n.zeroRange(off, length, keepSize)); err != nil {
		return fmt.Errorf("zero %d bytes at offset %d: %w", length, off, err)
	}
	return nil
}

func (n *Node) zeroRange(off, length int64, keepSize bool) error {
	if keepSize && off >= 0 && length > 0 {
		length = min(length, max(0, int64(n.d.size)-off))
		if length == 0 {
			return nil
		}
	}
	end, err := checkRange(off, length)
	if err != nil {
		return err
	}
	before := n.entry()
	size := int64(before.size)
	if end > size {
		// First what may fail for lack of space: then nothing has changed.
		if err := n.resize(end); err != nil {
			return err
		}
	}
	if off < size {
		err := n.spans(off, min(end, size), nil, func(s span) error { return n.v.zero(s.off, s.to-s.from) })
		if err != nil {
			if end > size {
				n.ungrow(before)
			}
			return err
		}
		n.dataSeq.Store(n.v.dataSeq.Load())
		n.v.modified(n)
	}
	return nil
}

// copyStep bounds the buffer of CopyTo.
const copyStep = 1 << 20

// CopyTo copies up to length bytes at srcOff to dst at dstOff, and returns how many there were: fewer
// at the end of the file, and when dst cannot take more. Within one file the ranges must not overlap,
// or the error is ErrInvalid. It is not atomic.
func (n *Node) CopyTo(dst *Node, srcOff, dstOff, length int64) (int64, error) {
	if n == dst {
		// The end of the file is where it was before the copy moved it.
		a, err := n.Attr()
		if err != nil {
			return 0, err
		}
		length = min(length, a.Size-srcOff)
		if length > 0 && srcOff < dstOff+length && dstOff < srcOff+length {
			return 0, fmt.Errorf("copy %d bytes at offset %d to offset %d: %w", length, srcOff, dstOff, ErrInvalid)
		}
	}
	buf := make([]byte, max(0, min(length, copyStep)))
	var done int64
	for done < length {
		k, err := n.ReadAt(buf[:min(length-done, copyStep)], srcOff+done)
		if k == 0 || err != nil {
			return done, errUnless(done > 0, err)
		}
		w, err := dst.WriteAt(buf[:k], dstOff+done)
		done += int64(w)
		if err != nil || w < k {
			return done, errUnless(done > 0, err)
		}
	}
	return done, nil
}

// errUnless is err, but for a transfer that got somewhere: that reports how far.
func errUnless(some bool, err error) error {
	if some {
		return nil
	}
	return err
}

// SetTimes sets the stamps that are not nil, rounded down to what FAT can hold.
func (n *Node) SetTimes(created, modified, accessed *time.Time) error {
	v := n.v
	if err := v.enterWrite(); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	defer v.leave()
	if n.id == rootID {
		return nil // the root has no entry that could hold them
	}
	if err := v.holdParent(n); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	v.meta.Lock()
	if err := n.dead; err != nil {
		v.meta.Unlock()
		return fmt.Errorf("set times: %w", err)
	}
	c := &v.opt.Clock
	if created != nil {
		n.d.createDate, n.d.createTime, n.d.createCentis = c.Encode(*created)
	}
	if modified != nil {
		n.d.modifyDate, n.d.modifyTime, _ = c.Encode(*modified)
	}
	if accessed != nil {
		n.d.accessDate, _, _ = c.Encode(*accessed)
	}
	v.setDirty(n)
	v.meta.Unlock()
	return v.settle(nil)
}

// SetAttributes sets the read-only, hidden, system and archive attributes. The others must be as
// they are, or the error is ErrInvalid.
func (n *Node) SetAttributes(set Attributes) error {
	v := n.v
	if err := v.enterWrite(); err != nil {
		return fmt.Errorf("set attributes: %w", err)
	}
	defer v.leave()
	if err := v.holdParent(n); err != nil {
		return fmt.Errorf("set attributes: %w", err)
	}
	v.meta.Lock()
	if err := n.dead; err != nil {
		v.meta.Unlock()
		return fmt.Errorf("set attributes: %w", err)
	}
	if (set^n.d.attr)&^AttrSettable != 0 || n.id == rootID && set != n.d.attr {
		v.meta.Unlock()
		return fmt.Errorf("set attributes %#x: %w", byte(set), ErrInvalid)
	}
	if set != n.d.attr {
		n.d.attr = set
		v.setDirty(n)
	}
	v.meta.Unlock()
	return v.settle(nil)
}

// Sync makes the data and the directory entry of n durable.
func (n *Node) Sync() error {
	n.v.awaitNames(n)
	if err := n.v.enter(); err != nil {
		return fmt.Errorf("fsync: %w", err)
	}
	defer n.v.leave()
	if n.v.opt.ReadOnly {
		return nil
	}
	if err := n.v.sync(); err != nil {
		return fmt.Errorf("fsync: %w", err)
	}
	return nil
}
