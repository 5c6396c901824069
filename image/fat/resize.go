package fat

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"fatvol/image/device"
)

// ErrResize is returned when a volume cannot have a size.
var ErrResize = errors.New("cannot be resized so")

// A Resizing is how a volume gets another size. docs/resize.md has the order of writes.
type Resizing struct {
	Old, New Geometry
	// Shifted: the FATs have to be larger than there is room for. New ones are made where the data
	// area begins, and every cluster gets a lower number.
	Shifted bool

	opt  GeometryOptions
	boot []byte // the first atom of the new boot sector, marked clean
}

// Evacuated are the clusters that must be free before the size can change, by their numbers now.
func (r *Resizing) Evacuated() (first Cluster, count uint32) {
	switch {
	case r.Shifted:
		return firstCluster, r.shift()
	case r.New.Clusters < r.Old.Clusters:
		return Cluster(r.New.Clusters) + firstCluster, r.Old.Clusters - r.New.Clusters
	}
	return 0, 0
}

// shift is what is taken off every cluster's number.
func (r *Resizing) shift() uint32 {
	return uint32((r.New.DataStart - r.Old.DataStart) >> r.Old.ClusterShift)
}

// PlanResize works out how the volume on dev gets size bytes, which are rounded down to sectors. It
// reads the boot sector only. ErrResize, with the reason, when it cannot have that size.
func PlanResize(dev device.Device, opt GeometryOptions, size int64) (*Resizing, error) {
	boot := make([]byte, min(BootSize, dev.Size()))
	if _, err := dev.ReadAt(boot, 0); err != nil {
		return nil, fmt.Errorf("read boot sector: %w", err)
	}
	old, err := ParseGeometry(boot, dev.Size(), opt)
	if err != nil {
		return nil, err
	}
	if decoded := decodeBPB(boot); decoded.bpbBlank || opt.FAT != 0 {
		return nil, fmt.Errorf("%w: the boot sector does not say how large the volume is", ErrResize)
	}
	r := &Resizing{Old: *old, opt: opt, boot: append([]byte(nil), boot[:atom]...)}
	if r.Old.StateOffset > 0 {
		r.boot[r.Old.StateOffset] &^= stateDirty
	}
	sectors := size / int64(old.SectorSize)
	if err := r.plan(sectors); err != nil {
		return nil, err
	}
	if old.Width == FAT32 {
		putBootRoot(r.boot, firstCluster) // Resize puts the real one
	}
	// What will be read back is what was planned.
	again, err := ParseGeometry(r.boot, sectors*int64(old.SectorSize), opt)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResize, err)
	}
	r.New = *again
	if r.New.Width != old.Width {
		return nil, fmt.Errorf("%w: it would become %v", ErrResize, r.New.Width)
	}
	return r, nil
}

// plan changes the fields of the boot sector.
func (r *Resizing) plan(sectors int64) error {
	old, ss := &r.Old, int64(r.Old.SectorSize)
	low, high := uint32(1), old.Width.maxClusters()
	switch old.Width {
	case FAT16:
		low = minFAT16
	case FAT32:
		low = minFAT32
	}
	if sectors > 0xffffffff {
		return fmt.Errorf("%w: a volume has at most %d sectors, not %d", ErrResize, uint32(0xffffffff), sectors)
	}
	count := func(dataStart int64) int64 { return (sectors*ss - dataStart) >> old.ClusterShift }
	clusters := count(old.DataStart)
	if clusters < int64(low) && clusters < int64(old.Clusters) {
		return fmt.Errorf("%w: %d clusters are too few for %v, which has at least %d: it would take another format, which 'fatvol create' makes",
			ErrResize, max(clusters, 0), old.Width, low)
	}
	if r.Shifted = clusters+int64(firstCluster) > old.FATBytes*8/int64(old.Width); r.Shifted {
		perCluster := int64(old.ClusterSize) / ss
		rootSectors := (int64(old.RootEntries)*slotSize + ss - 1) / ss
		// A little more than is needed: the new FATs take clusters themselves.
		fatSectors := ((clusters+int64(firstCluster))*int64(old.Width) + 8*ss - 1) / (8 * ss)
		add := int64(old.FATs)*fatSectors + rootSectors
		pad := (perCluster - add%perCluster) % perCluster
		reserved := old.DataStart/ss + pad
		if reserved > 0xffff {
			return fmt.Errorf("%w: larger FATs would have to begin at sector %d, and can at most at 65535: 'fatvol create --from' makes a larger volume of its contents",
				ErrResize, reserved)
		}
		clusters = count((reserved + add) * ss)
		if inTheWay := (add + pad) / perCluster; inTheWay >= int64(old.Clusters) {
			instead := "choose a smaller size"
			if step := old.InPlaceSize(); step > old.Size {
				instead = fmt.Sprintf("make it at most %d bytes large first", step)
			}
			return fmt.Errorf("%w: larger FATs would take the place of %d clusters, and the volume has %d: %s", ErrResize, inTheWay, old.Clusters, instead)
		}
		if clusters < int64(old.Clusters) {
			return fmt.Errorf("%w: larger FATs would take more than is gained: choose a larger size", ErrResize)
		}
		putReserved(r.boot, uint16(reserved))
		putFATSectors(r.boot, uint32(fatSectors), old.Width)
	}
	if clusters > int64(high) {
		return fmt.Errorf("%w: %d clusters of %d bytes are too many for %v, which has at most %d: it would take another format, which 'fatvol create --from' makes",
			ErrResize, clusters, old.ClusterSize, old.Width, high)
	}
	putSectors(r.boot, uint32(sectors), old.Width)
	return nil
}

// MinSize is the smallest size in bytes that the volume could have with so many clusters in use.
func (g *Geometry) MinSize(used uint32) int64 {
	low := uint32(1)
	switch g.Width {
	case FAT12:
		used += 4 // a piece may have to be longer to be moved
	case FAT16:
		low = minFAT16
	case FAT32:
		low = minFAT32
	}
	return g.DataStart + int64(min(max(used, low), g.Clusters))<<g.ClusterShift
}

// Run resizes the volume on dev: MakeRoom and Resize.
func (r *Resizing) Run(ctx context.Context, dev device.Device, opt Options, progress func(bytes int64)) error {
	if err := r.MakeRoom(ctx, dev, opt, progress); err != nil {
		return err
	}
	return r.Resize(ctx, dev, opt)
}

// MakeRoom moves what is in the way of Resize. dev is at least as long as the volume is now, and the
// caller has it for itself. ErrCorrupt for a volume that is damaged, ErrNoSpace when there is no room
// for what has to be moved, ErrLost when clusters of no file are in the way. Whatever ends it, ctx
// included, the volume is whole, and clean but when the device failed.
func (r *Resizing) MakeRoom(ctx context.Context, dev device.Device, opt Options, progress func(bytes int64)) error {
	first, count := r.Evacuated()
	if count == 0 {
		return nil
	}
	if err := r.soundPlace(dev); err != nil {
		return err
	}
	opt.ReadOnly, opt.NoAtime, opt.CommitDelay, opt.Repair = false, true, -1, RepairNo
	section, err := device.NewSection(dev, 0, r.Old.Size)
	if err != nil {
		return err
	}
	v, err := Open(section, opt)
	if err != nil {
		return err
	}
	err = v.Evacuate(ctx, first, count, progress)
	if late := v.Close(); err == nil {
		err = late
	}
	return err
}

// InPlaceSize is the largest size in bytes that the volume could have with the FATs that it has.
func (g *Geometry) InPlaceSize() int64 {
	entries := g.FATBytes * 8 / int64(g.Width)
	return g.DataStart + min(entries-int64(firstCluster), int64(g.Width.maxClusters()))<<g.ClusterShift
}

// Resize changes the size of the volume on dev, which is as long as the larger of both sizes and which
// the caller has for itself: the clusters of Evacuated are free, the volume is closed and clean. At
// every instant it is the old volume or the new one, whole. An error leaves it so as well, perhaps
// marked dirty.
func (r *Resizing) Resize(ctx context.Context, dev device.Device, opt Options) error {
	if err := r.check(dev); err != nil {
		return fmt.Errorf("resize: %w", err)
	}
	var err error
	root := Cluster(r.Old.RootCluster)
	if r.Shifted {
		root, err = r.buildShifted(ctx, dev, opt)
	} else {
		err = r.clearTail(dev)
	}
	if err == nil {
		if r.Old.Width == FAT32 {
			putBootRoot(r.boot, root)
			r.New.RootCluster = uint32(root)
			if r.Shifted {
				putMirrored(r.boot)
			}
		}
		err = r.switchOver(dev)
	}
	if err != nil {
		return fmt.Errorf("resize: %w", err)
	}
	return nil
}

// check makes sure of what Resize relies on.
func (r *Resizing) check(dev device.Device) error {
	boot := make([]byte, atom)
	if _, err := dev.ReadAt(boot, 0); err != nil {
		return fmt.Errorf("read boot sector: %w", err)
	}
	now, err := ParseGeometry(boot, dev.Size(), r.opt)
	if err != nil {
		return err
	}
	r.Old.RootCluster = now.RootCluster // it may have moved since
	if *now != r.Old {
		return fmt.Errorf("the volume changed since the plan was made: %w", ErrResize)
	}
	if dev.Size() < max(r.Old.Size, r.New.Size) {
		return fmt.Errorf("device of %d bytes, volume of %d: %w", dev.Size(), max(r.Old.Size, r.New.Size), ErrResize)
	}
	if err := r.soundPlace(dev); err != nil {
		return err
	}
	first, count := r.Evacuated()
	stop := first + Cluster(count)
	return ScanTable(dev, &r.Old, func(run Run) error {
		if run.State == RunUsed && run.Start < stop && first < run.Start+Cluster(run.Count) {
			return fmt.Errorf("%w: cluster %d", ErrLost, max(run.Start, first))
		}
		return nil
	})
}

// soundPlace refuses larger FATs, and the root directory, in clusters that are marked as bad.
func (r *Resizing) soundPlace(dev device.Device) error {
	if !r.Shifted {
		return nil
	}
	first, count := r.Evacuated()
	return ScanTable(dev, &r.Old, func(run Run) error {
		if run.State == RunBad && run.Start < first+Cluster(count) {
			return fmt.Errorf("%w: larger FATs would lie in cluster %d, which is marked as bad: 'fatvol create --from' makes a larger volume of its contents",
				ErrResize, run.Start)
		}
		return nil
	})
}

// clearTail zeroes the entries of all FATs behind the last cluster of the old volume, which say
// nothing yet: the new clusters are free.
func (r *Resizing) clearTail(dev device.Device) error {
	if r.New.Clusters <= r.Old.Clusters {
		return nil
	}
	w := widths[r.Old.Width]
	from, _ := w.span(r.Old.Clusters + uint32(firstCluster))
	at := from / atom * atom
	for k := 0; k < r.Old.FATs; k++ {
		base := r.Old.FATStart + int64(k)*r.Old.FATBytes
		head := make([]byte, atom) // what of it belongs to the old volume stays
		if _, err := dev.ReadAt(head, base+at); err != nil {
			return fmt.Errorf("read FAT: %w", err)
		}
		rest := head[from-at:]
		if r.Old.Width == FAT12 && (r.Old.Clusters+uint32(firstCluster))%2 == 1 {
			rest[0] &= 0x0f
			rest = rest[1:]
		}
		clear(rest)
		if _, err := dev.WriteAt(head, base+at); err != nil {
			return fmt.Errorf("write FAT: %w", err)
		}
		if more := r.Old.FATBytes - at - atom; more > 0 {
			if err := device.ZeroAt(dev, base+at+atom, more); err != nil {
				return fmt.Errorf("write FAT: %w", err)
			}
		}
	}
	return dev.Sync()
}

// switchOver makes the volume the new one, by one sector. Before it FSInfo is made to say nothing, and
// the volume is marked dirty, so that somebody looks at what a cut leaves: an old backup.
func (r *Resizing) switchOver(dev device.Device) error {
	put := func(p []byte, off int64) error {
		if _, err := dev.WriteAt(p, off); err != nil {
			return err
		}
		return dev.Sync()
	}
	boot := make([]byte, atom)
	if _, err := dev.ReadAt(boot, 0); err != nil {
		return err
	}
	state := r.Old.StateOffset
	if state > 0 {
		boot[state] |= stateDirty
		if err := put(boot, 0); err != nil {
			return err
		}
	}
	info := make([]byte, atom)
	if r.Old.FSInfo != 0 {
		if _, err := dev.ReadAt(info, r.Old.FSInfo); err != nil {
			return err
		}
		if _, err := ParseFSInfo(info, r.Old.Clusters); err != nil {
			info = nil // not ours to write
		} else {
			FSInfo{FSInfoUnknown, FSInfoUnknown}.Put(info)
			if err := put(info, r.Old.FSInfo); err != nil {
				return err
			}
		}
	}
	next := append([]byte(nil), r.boot...)
	if state > 0 {
		next[state] |= stateDirty
	}
	if err := put(next, 0); err != nil {
		return err
	}
	if r.Old.BackupBoot != 0 {
		backup := make([]byte, atom)
		if _, err := dev.ReadAt(backup, r.Old.BackupBoot); err != nil {
			return err
		}
		if backup[offSig55AA] == 0x55 && backup[offSig55AA+1] == 0xaa {
			copyResized(backup, r.boot)
			if _, err := dev.WriteAt(backup, r.Old.BackupBoot); err != nil {
				return err
			}
		}
	}
	if r.Old.FSInfo != 0 && info != nil {
		free := uint32(0)
		if err := ScanTable(dev, &r.New, func(run Run) error {
			if run.State == RunFree {
				free += run.Count
			}
			return nil
		}); err != nil {
			return err
		}
		FSInfo{free, FSInfoUnknown}.Put(info)
		if _, err := dev.WriteAt(info, r.New.FSInfo); err != nil {
			return err
		}
	}
	if err := dev.Sync(); err != nil || state == 0 {
		return err
	}
	return put(r.boot, 0)
}

// copyResized copies the fields that tell where everything lies.
func copyResized(to, from []byte) {
	copy(to[offRsvd:offRsvd+2], from[offRsvd:])
	copy(to[offTotSec16:offTotSec16+2], from[offTotSec16:])
	copy(to[offFATSz16:offFATSz16+2], from[offFATSz16:])
	copy(to[offTotSec32:offTotSec32+4], from[offTotSec32:])
	copy(to[offFATSz32:offRootClus+4], from[offFATSz32:])
}

func putReserved(b []byte, n uint16) { binary.LittleEndian.PutUint16(b[offRsvd:], n) }

func putFATSectors(b []byte, n uint32, w Width) {
	if w == FAT32 {
		binary.LittleEndian.PutUint32(b[offFATSz32:], n)
	} else {
		binary.LittleEndian.PutUint16(b[offFATSz16:], uint16(n))
	}
}

// putMirrored says that all FATs are the same.
func putMirrored(b []byte) { binary.LittleEndian.PutUint16(b[offExtFlags:], 0) }

// putSectors sets the size: in the 16-bit field where it fits, as formatters do.
func putSectors(b []byte, n uint32, w Width) {
	binary.LittleEndian.PutUint16(b[offTotSec16:], 0)
	if w != FAT32 && n < 0x10000 {
		binary.LittleEndian.PutUint16(b[offTotSec16:], uint16(n))
		n = 0
	}
	binary.LittleEndian.PutUint32(b[offTotSec32:], n)
}
