package replay

import (
	"errors"
	"fmt"
	"hash/crc64"
	"slices"

	"fatvol/image/device"
)

// block is the unit in which the contents of the medium are compared.
const block = 512

// A digest stands for the contents of a block.
type digest uint64

// polynomial tells any change of up to 64 bits in a row, and of others all but one in 2⁶⁴.
var polynomial = crc64.MakeTable(crc64.ECMA)

func digestOf(p []byte) digest { return digest(crc64.Checksum(p, polynomial)) }

var zeroDigest = digestOf(make([]byte, block))

// A state is what a block holds after the change with number seq; 0 is what was there before any.
type state struct {
	digest
	seq uint64
	// failed: the change was reported to have failed. Who knows how much of it was done.
	failed bool
	// any: the contents are not known.
	any bool
}

// states are the contents that the medium may have in a block that the engine holds: without unsynced
// writes one, else the one before them and those after each. The last that did not fail is the newest.
type states []state

// region is the granularity in which writes are sorted out that touch no kept block.
const region = 1 << 20

// Keep remembers the contents of the blocks that p, just read from or written to offset off, covers
// whole: from now on the medium has to agree with them. Where an unsynced write of a block is among them, the medium may
// still have what was there before, which is not known; there, it has to from the Sync on that covers that write.
func (l *Log) Keep(off int64, p []byte) {
	if off%block != 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	writes := l.unsyncedLocked(off, int64(len(p)))
	for ; len(p) >= block; off, p = off+block, p[block:] {
		delete(l.leaving, off)
		if l.kept[off] == nil {
			l.regions[off/region]++
			now := state{digest: digestOf(p[:block])}
			for _, e := range writes {
				if e.touches(off, block) {
					now.seq = e.seq
				}
			}
			if now.seq == 0 {
				l.kept[off] = states{now}
				continue
			}
			l.kept[off] = states{{any: true}, now}
			l.changed = append(l.changed, off)
		}
	}
}

// unsyncedLocked returns the unsynced changes of a range, in their order.
func (l *Log) unsyncedLocked(off, n int64) (list []*entry) {
	for i := range l.entries {
		if e := &l.entries[i]; e.touches(off, n) {
			list = append(list, e)
		}
	}
	return list
}

// touches reports whether e changes any of n bytes at off.
func (e *entry) touches(off, n int64) bool { return e.off < off+n && off < e.off+e.n }

// Forget ends Keep for the blocks of a range; for those with unsynced writes, once they are synced.
func (l *Log) Forget(off, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for end := off + n; off < end; off += block {
		switch s := l.kept[off]; len(s) {
		case 0:
		case 1:
			l.dropLocked(off)
		default:
			l.leaving[off] = true
		}
	}
}

func (l *Log) dropLocked(off int64) {
	delete(l.leaving, off)
	delete(l.kept, off)
	if r := off / region; l.regions[r] == 1 {
		delete(l.regions, r)
	} else {
		l.regions[r]--
	}
}

// noteLocked adds the states that a change gives to kept blocks, or may give if it failed.
func (l *Log) noteLocked(e entry, failed bool) {
	for at := e.off - e.off%block; at < e.off+e.n; at += block {
		if l.regions[at/region] == 0 {
			at += region - at%region - block
			continue
		}
		s := l.kept[at]
		if s == nil {
			continue
		}
		d := zeroDigest
		switch {
		case at < e.off || at+block > e.off+e.n:
			l.dropLocked(at) // changed in part: what it holds now is not known
			continue
		case e.data != nil:
			d = digestOf(e.data[at-e.off : at-e.off+block])
		}
		if last := s[len(s)-1]; failed && last.failed && last.digest == d {
			continue // tried again
		}
		l.kept[at] = append(s, state{digest: d, seq: e.seq, failed: failed})
		l.changed = append(l.changed, at)
	}
}

// settle drops the states before the newest that is on the medium, which has the changes up to number
// seq. A failed change is no proof of anything.
func (s states) settle(seq uint64) states {
	for i := len(s) - 1; i > 0; i-- {
		if s[i].seq <= seq && !s[i].failed {
			return s[i:]
		}
	}
	return s
}

// settleLocked takes over that the changes up to number seq are on the medium.
func (l *Log) settleLocked(seq uint64) {
	rest := l.changed[:0]
	for _, at := range l.changed {
		s := l.kept[at].settle(seq)
		if len(s) > 1 {
			rest = append(rest, at)
		}
		switch {
		case len(s) == 1 && l.leaving[at]:
			delete(l.leaving, at)
			l.dropLocked(at)
		case len(s) > 0:
			l.kept[at] = s
		}
	}
	l.changed = slices.Clip(rest)
	if len(l.changed) == 0 {
		l.changed = nil
	}
}

// Errors of Verify and of what uses it.
var (
	// ErrChanged is returned when the medium is not as it was left: something else wrote to it.
	ErrChanged = errors.New("the volume was changed elsewhere")
	// ErrOther is returned when it is another volume.
	ErrOther = errors.New("another volume")
)

// verifyStep is how much of the medium is read at once where kept blocks lie side by side.
const verifyStep = 1 << 17

// Verify compares dev with every kept block. The error wraps ErrChanged when one differs, or is the
// device's. It reads only what is kept. The lower device is gone: its calls that are under way still end before, as what
// they did is not known until then.
func (l *Log) Verify(dev device.Device) error {
	l.flight.Lock()
	l.flight.Unlock() // whoever comes later fails at once
	if dev.Size() != l.Size() {
		return fmt.Errorf("%w: it has %d bytes, expected %d", ErrChanged, dev.Size(), l.Size())
	}
	differs := int64(-1)
	err := l.each(dev, l.keptOffsets(), func(at int64, d digest) bool {
		if !l.agrees(at, d) {
			differs = at
		}
		return differs < 0
	})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if differs >= 0 {
		return fmt.Errorf("%w: the block at offset %d differs", ErrChanged, differs)
	}
	return nil
}

// each calls fn with what dev has in each of some blocks, in their order, until fn returns false.
func (l *Log) each(dev device.Device, offsets []int64, fn func(at int64, d digest) bool) error {
	buf := make([]byte, verifyStep)
	for len(offsets) > 0 {
		n := 1
		for n < len(offsets) && n < verifyStep/block && offsets[n] == offsets[0]+int64(n)*block {
			n++
		}
		p := buf[:n*block]
		if _, err := dev.ReadAt(p, offsets[0]); err != nil {
			return err
		}
		for i, at := range offsets[:n] {
			if !fn(at, digestOf(p[i*block:(i+1)*block])) {
				return nil
			}
		}
		offsets = offsets[n:]
	}
	return nil
}

func (l *Log) agrees(at int64, d digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.kept[at]
	return s == nil || slices.ContainsFunc(s, func(s state) bool { return s.any || s.digest == d })
}
