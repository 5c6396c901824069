package fat

import (
	"bytes"
	"context"
	"fmt"

	"fatvol/image/device"
)

// maxShiftedDirs bounds the directories whose new places are remembered.
const maxShiftedDirs = 1 << 20

// A shifter makes the new volume of a Resizing beside the old one: everything that it writes lies in
// clusters that the old volume does not use, or behind its end.
type shifter struct {
	*Resizing
	dev  device.Device
	t    *table              // the first of the new FATs
	dirs map[Cluster]Cluster // first cluster of each directory, old to new
	root Cluster
}

// buildShifted makes the new FATs, and copies of all directories with the new numbers in them. It
// returns the new first cluster of FAT32's root.
func (r *Resizing) buildShifted(ctx context.Context, dev device.Device, opt Options) (Cluster, error) {
	s := &shifter{Resizing: r, dev: dev, dirs: map[Cluster]Cluster{}}
	if err := s.copyTable(ctx); err != nil {
		return 0, err
	}
	s.t = newTable(dev, &r.New, defaultCacheBytes)
	s.t.hint = Cluster(r.Old.Clusters+uint32(firstCluster)) - Cluster(r.shift())
	opt.ReadOnly, opt.NoAtime, opt.Repair = true, true, RepairNo
	old, err := Open(device.ReadOnly(dev), opt)
	if err != nil {
		return 0, err
	}
	defer old.Close()
	before, err := old.Survey(ctx)
	if err != nil {
		return 0, err
	}
	if before.Dirs >= maxShiftedDirs {
		return 0, fmt.Errorf("%w: it has more than %d directories", ErrResize, maxShiftedDirs)
	}
	each := func(fn func(n *Node) error) error {
		return old.walkTree(ctx, func(path string, n *Node) error {
			if n.dir == nil {
				return nil
			}
			if err := fn(n); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			return nil
		})
	}
	if err := each(s.allocate); err != nil {
		return 0, err
	}
	if err := each(s.rewrite); err != nil {
		return 0, err
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	if err := s.copyFATs(ctx); err != nil {
		return 0, err
	}
	if err := dev.Sync(); err != nil {
		return 0, err
	}
	return s.root, s.prove(ctx, opt, before)
}

// copyTable makes the first new FAT from the old one: each entry at its new number, with the new
// number of the next cluster.
func (s *shifter) copyTable(ctx context.Context) error {
	w, shift := widths[s.Old.Width], s.shift()
	from := newTable(s.dev, &s.Old, 0)
	total := s.New.FATBytes
	entries := s.New.Clusters + uint32(firstCluster)
	perChunk := uint32(scanChunk * 8 / int(s.Old.Width))
	for c, off := uint32(0), int64(0); off < total; off += scanChunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := make([]byte, scanChunk)
		for i := uint32(0); i < perChunk && c < entries; i, c = i+1, c+1 {
			value, err := s.shifted(from, c, shift)
			if err != nil {
				return err
			}
			w.set(chunk, i, value)
		}
		chunk = chunk[:min(int64(len(chunk)), total-off)]
		if _, err := s.dev.WriteAt(chunk, s.New.FATStart+off); err != nil {
			return fmt.Errorf("write new FAT: %w", err)
		}
	}
	return nil
}

// shifted is the entry that new cluster c begins with.
func (s *shifter) shifted(from *table, c, shift uint32) (uint32, error) {
	old := c
	if c >= uint32(firstCluster) {
		old += shift
	}
	if old >= from.entries {
		return 0, nil
	}
	from.mu.Lock()
	value, err := from.entryLocked(Cluster(old))
	from.mu.Unlock()
	if err == nil && c >= uint32(firstCluster) && from.w.classify(value, s.Old.Clusters) == entryNext {
		value -= shift
	}
	return value, err
}

// allocate gives a directory new clusters, and frees those that it had, in the new FAT.
func (s *shifter) allocate(n *Node) error {
	if n.chain == nil {
		return nil
	}
	n.chain.mu.Lock()
	err := n.chain.extend(n.v.tab, maxDirClusters(n.v.geo)+1)
	length := n.chain.length
	n.chain.mu.Unlock()
	if err != nil {
		return err
	}
	first := n.d.first
	s.t.mu.Lock()
	_, _, err = s.t.freeLocked([]deadChain{{first - Cluster(s.shift()), length}}, int(s.t.pageCount)+1, false)
	if err == nil && first < firstCluster+Cluster(s.shift()) {
		err = fmt.Errorf("%w: it begins in cluster %d", ErrLost, first)
	}
	s.t.mu.Unlock()
	if err != nil {
		return err
	}
	r, err := s.t.reserve(length, 0, nil, 0, true)
	if err != nil {
		return err
	}
	if r.count < length {
		return ErrNoSpace
	}
	s.t.link(r, 0, false, false)
	s.dirs[first] = r.first()
	if n.id == rootID {
		s.root = r.first()
	}
	if s.t.dirtyN > dirtyPages {
		return s.flush()
	}
	return nil
}

// flush writes what changed in the new FAT.
func (s *shifter) flush() error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	for _, p := range s.t.dirtyPagesLocked() {
		if _, err := s.dev.WriteAt(p.data, s.t.base+int64(p.idx)*pageBytes); err != nil {
			return fmt.Errorf("write new FAT: %w", err)
		}
		p.dirty, p.body = 0, 0
		s.t.dirtyN--
	}
	return nil
}

// rewrite writes a directory, with the new numbers, to its new clusters.
func (s *shifter) rewrite(n *Node) error {
	v := n.v
	if err := v.pin(n); err != nil {
		return err
	}
	defer v.unpin(n)
	v.meta.RLock()
	data := bytes.Clone(n.dir.data)
	v.meta.RUnlock()
	if err := s.renumber(n, data); err != nil {
		return err
	}
	if n.chain == nil {
		_, err := s.dev.WriteAt(data, s.New.RootStart)
		return err
	}
	for c, rest := s.dirs[n.d.first], data; len(rest) > 0; {
		count, value, kind, err := s.t.segment(c, s.t.entries)
		if err != nil {
			return err
		}
		part := rest[:min(int64(len(rest)), int64(count)<<s.New.ClusterShift)]
		if _, err := s.dev.WriteAt(part, s.New.DataStart+int64(c-firstCluster)<<s.New.ClusterShift); err != nil {
			return err
		}
		if rest = rest[len(part):]; len(rest) > 0 && kind != entryNext {
			return fmt.Errorf("%w: new chain of a directory ends too early", ErrCorrupt)
		}
		c = Cluster(value)
	}
	return nil
}

// renumber puts the new cluster numbers into the slots of a directory.
func (s *shifter) renumber(n *Node, data []byte) error {
	for i := 0; i+slotSize <= len(data) && data[i] != slotEnd; i += slotSize {
		slot := data[i : i+slotSize]
		if slot[0] == slotDeleted || slotIsLong(slot) || Attributes(slot[11])&AttrVolumeID != 0 {
			continue
		}
		d := decodeDirent(slot, s.Old.Width)
		switch {
		case d.first == 0:
		case n.id != rootID && i < 2*slotSize && slotIsDot(slot):
			if d.first = s.dirs[n.d.first]; slot[1] == '.' {
				d.first = 0
				if p := n.parent; p.id != rootID {
					d.first = s.dirs[p.d.first]
				}
			}
		case d.attr&AttrDirectory != 0:
			to, ok := s.dirs[d.first]
			if !ok {
				return fmt.Errorf("%w: a directory at cluster %d that was not found before", ErrCorrupt, d.first)
			}
			d.first = to
		case d.first < firstCluster+Cluster(s.shift()):
			return fmt.Errorf("%w: a file begins in cluster %d", ErrLost, d.first)
		default:
			d.first -= Cluster(s.shift())
		}
		d.encode(slot, s.Old.Width)
	}
	return nil
}

// copyFATs makes the other new FATs like the first.
func (s *shifter) copyFATs(ctx context.Context) error {
	buf := make([]byte, min(scanChunk, s.New.FATBytes))
	for off := int64(0); off < s.New.FATBytes && s.New.FATs > 1; off += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(int64(len(buf)), s.New.FATBytes-off)]
		if _, err := s.dev.ReadAt(p, s.New.FATStart+off); err != nil {
			return fmt.Errorf("read new FAT: %w", err)
		}
		for k := 1; k < s.New.FATs; k++ {
			if _, err := s.dev.WriteAt(p, s.New.FATStart+int64(k)*s.New.FATBytes+off); err != nil {
				return fmt.Errorf("write new FAT: %w", err)
			}
		}
	}
	return nil
}

// prove reads the new volume as it will be, before anything leads to it.
func (s *shifter) prove(ctx context.Context, opt Options, before *Survey) error {
	boot := bytes.Clone(s.boot)
	if s.New.Width == FAT32 {
		putBootRoot(boot, s.root)
		putMirrored(boot)
	}
	v, err := Open(&rebooted{Device: device.ReadOnly(s.dev), boot: boot}, opt)
	if err != nil {
		return fmt.Errorf("the new volume: %w", err)
	}
	defer v.Close()
	after, err := v.Survey(ctx)
	if err != nil {
		return fmt.Errorf("the new volume: %w", err)
	}
	if after.Files != before.Files || after.Dirs != before.Dirs || after.Used != before.Used || after.Lost != before.Lost {
		return fmt.Errorf("%w: the new volume has %d files and %d directories in %d clusters, the old one %d and %d in %d",
			ErrCorrupt, after.Files, after.Dirs, after.Used, before.Files, before.Dirs, before.Used)
	}
	return nil
}

// rebooted is a device with another boot sector.
type rebooted struct {
	device.Device
	boot []byte
}

func (d *rebooted) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.Device.ReadAt(p, off)
	if err == nil && off < int64(len(d.boot)) {
		copy(p, d.boot[off:])
	}
	return n, err
}
