package mkfat

import (
	"context"
	"fmt"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// Write writes the image to dev, whose size is Plan.Size. blank says that dev reads as zeros
// everywhere; what would be zeros is then left out, and the image is sparse. Otherwise everything is written that
// a reader of the volume looks at.
//
// progress, unless nil, is called with the number of bytes of each piece of the files and directories that is
// written, from several goroutines at a time. Write does not sync.
func (p *Plan) Write(ctx context.Context, dev device.Device, blank bool, progress func(n int64)) error {
	if dev.Size() != p.Size {
		return fmt.Errorf("image of %d bytes on a device of %d: %w", p.Size, dev.Size(), device.ErrBounds)
	}
	if progress == nil {
		progress = func(int64) {}
	}
	_, length := partitionRange(p.opt.Partition, p.Size, p.Shape.SectorSize)
	volume, err := device.NewSection(dev, p.Start, length)
	if err != nil {
		return err
	}
	if !blank {
		if err := p.wipe(dev, volume); err != nil {
			return err
		}
	}
	if err := p.writeFATs(volume); err != nil {
		return err
	}
	if p.Shape.Width != fat.FAT32 {
		if _, err := volume.WriteAt(p.render(p.root), p.Shape.rootStart()); err != nil {
			return err
		}
	}
	if err := p.writeData(ctx, volume, blank, progress); err != nil {
		return err
	}
	// Last, so that a disk which is not whole holds no volume.
	if err := p.writeReserved(volume); err != nil {
		return err
	}
	return p.table.write(dev)
}

// wipe zeros what may not keep what was there: tables of partitions, FATs, the root directory.
func (p *Plan) wipe(dev, volume device.Device) error {
	if p.opt.Partition != NoTable {
		if err := device.ZeroAt(dev, 0, p.Start); err != nil {
			return err
		}
	}
	if err := device.ZeroAt(volume, 0, p.Shape.dataStart()); err != nil {
		return err
	}
	// A backup of a GPT would outlive it.
	tail := min(p.Size, gptTail(p.Shape.SectorSize))
	return device.ZeroAt(dev, p.Size-tail, tail)
}

// Sectors of the reserved area of FAT32, as all formatters have them.
const (
	infoSector   = 1
	backupSector = 6
)

// writeReserved writes the boot sector, and for FAT32 the FSInfo sector and the backups of both.
func (p *Plan) writeReserved(volume device.Device) error {
	s := &p.Shape
	b := fat.BootSector{
		Width: s.Width, SectorSize: uint16(s.SectorSize), SectorsPerCluster: uint8(s.SectorsPerCluster),
		Reserved: uint16(s.Reserved), FATs: uint8(s.FATs), RootEntries: uint16(s.RootEntries),
		Sectors: uint32(s.Sectors), FATSectors: uint32(s.FATSectors), Media: s.media,
		SectorsPerTrack: uint16(s.perTrack), Heads: uint16(s.heads), Hidden: uint32(p.Start / int64(s.SectorSize)),
		Serial: p.Serial, Label: p.label, OEM: oemName,
	}
	sector := make([]byte, s.SectorSize)
	copy(sector, p.bootCode())
	if s.Width != fat.FAT32 {
		b.Put(sector)
		_, err := volume.WriteAt(sector, 0)
		return err
	}
	b.RootCluster, b.InfoSector, b.BackupSector = uint32(p.root.first), infoSector, backupSector
	b.Put(sector)
	next := p.needed + 2
	if p.needed == s.Clusters {
		next = fat.FSInfoUnknown
	}
	info := make([]byte, s.SectorSize)
	fat.FSInfo{Free: s.Clusters - p.needed, Next: next}.PutNew(info)
	for _, at := range []int64{0, backupSector} {
		if _, err := volume.WriteAt(append(sector, info...), at*int64(s.SectorSize)); err != nil {
			return err
		}
	}
	return nil
}

// oemName is what Windows 95 wrote there: old drivers distrust a BPB under other names.
const oemName = "MSWIN4.1"

// tablePiece is how much of a FAT is made at a time. It is more than a whole FAT12, and a whole number
// of entries of the other widths.
const tablePiece = 1 << 20

// writeFATs writes all FATs. Each chain is the clusters in their order, so that what is needed is the
// numbers of the last ones. Behind the last cluster in use all is zero already.
func (p *Plan) writeFATs(volume device.Device) error {
	s := &p.Shape
	used := int64(p.needed) + 2
	perPiece := int64(tablePiece) * 8 / int64(s.Width)
	buf := make([]byte, min(ceilDiv(used*int64(s.Width), 8)+1, tablePiece))
	chains := p.chains()
	for from := int64(0); from < used; from += perPiece {
		to := min(used, from+perPiece)
		clear(buf)
		for c := from; c < to; c++ {
			value := uint32(c + 1)
			if c < 2 {
				continue
			}
			if c == int64(chains[0].first)+int64(chains[0].clusters)-1 {
				value = s.Width.EndOfChain()
				chains = chains[1:]
			}
			s.Width.PutEntry(buf, uint32(c-from), value)
		}
		if from == 0 {
			s.Width.PutReserved(buf, s.media)
		}
		at := from * int64(s.Width) / 8
		n := ceilDiv((to-from)*int64(s.Width), 8)
		for i := range int64(s.FATs) {
			if _, err := volume.WriteAt(buf[:n], s.fatStart()+i*s.FATSectors*int64(s.SectorSize)+at); err != nil {
				return err
			}
		}
	}
	return nil
}

// render is a directory as it is on the disk, without the free slots at its end. The time of creation
// and the date of access of each entry are its time of modification: that of creation is not known on most
// hosts, and what reading a source changes may not change the image.
func (p *Plan) render(d *Node) []byte {
	b := make([]byte, d.slots*fat.DirSlot)
	at := 0
	put := func(r fat.Record) {
		r.Created, r.Accessed = r.Modified, r.Modified
		r.Put(b[at:], p.Shape.Width, p.clock)
		at += fat.DirSlot
	}
	if d != p.root {
		up := d.parent.first
		if d.parent == p.root {
			up = 0
		}
		put(fat.Record{Short: fat.ShortDot, Attr: fat.AttrDirectory, First: d.first, Modified: d.ModTime})
		put(fat.Record{Short: fat.ShortDotDot, Attr: fat.AttrDirectory, First: up, Modified: d.ModTime})
	} else if p.opt.Label != "" {
		put(fat.Record{Short: p.label, Attr: fat.AttrVolumeID, Modified: p.opt.Now})
	}
	for _, n := range d.Children {
		r := fat.Record{Short: n.short, First: n.first, Modified: n.ModTime, Attr: fat.AttrArchive, Size: uint32(n.Size)}
		if n.Dir {
			r.Attr, r.Size = fat.AttrDirectory, 0
		} else if n.ReadOnly {
			r.Attr |= fat.AttrReadOnly
		}
		if n.name.Exact {
			r.Case = n.name.Case
		} else {
			long := fat.LongSlots(n.name.Units) * fat.DirSlot
			fat.EncodeLong(b[at:at+long], n.name.Units, fat.ShortChecksum(n.short))
			at += long
		}
		put(r)
	}
	return b
}
