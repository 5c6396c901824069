package mkfat

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"

	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/diskfs/go-diskfs/partition/mbr"
	"github.com/google/uuid"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// Scheme is how an image is divided.
type Scheme uint8

const (
	NoTable Scheme = iota // the volume is the whole image
	MBR                   // one primary partition
	GPT                   // one partition, and a protective MBR
)

// alignment is where the partition begins: after the first MiB, as all newer partitioning tools have it.
const alignment = 1 << 20

const (
	gptEntries   = 128
	gptEntrySize = 128
)

// partitionRange is where the partition of an image of that size lies, in bytes.
func partitionRange(s Scheme, size int64, sector int) (start, length int64) {
	size -= size % int64(sector)
	switch s {
	case MBR:
		return alignment, size - alignment
	case GPT:
		return alignment, size - alignment - gptTail(sector)
	}
	return 0, size
}

// gptTail is the size of the backup of a GPT at the end of the image.
func gptTail(sector int) int64 { return gptEntries*gptEntrySize + int64(sector) }

// A table is what goes around the volume.
type table struct {
	scheme Scheme
	esp    bool
	sector int
	size   int64 // of the image
	start  int64 // of the partition
	length int64
	width  fat.Width
	name   string
	disk   uuid.UUID
	part   uuid.UUID
	mbrID  uint32
}

// Types of MBR partitions.
const (
	typeFAT12      = 0x01
	typeFAT16Small = 0x04 // of less than 32 MiB
	typeFAT16      = 0x06
	typeFAT32LBA   = 0x0c
	typeEFI        = 0xef
)

func (t *table) mbrTypeOf() mbr.Type {
	switch {
	case t.esp:
		return typeEFI
	case t.width == fat.FAT12:
		return typeFAT12
	case t.width == fat.FAT32:
		return typeFAT32LBA
	case t.length < 32<<20:
		return typeFAT16Small
	}
	return typeFAT16
}

// write writes the tables.
func (t *table) write(dev device.Device) error {
	if t.scheme == NoTable {
		return nil
	}
	f := tableWriter{dev}
	sector := int64(t.sector)
	// As the volume, a partition of 2 TiB leaves the last sector out, which cannot be counted.
	entry := &mbr.Partition{Index: 1, Type: t.mbrTypeOf(), Start: uint32(t.start / sector), Size: uint32(min(t.length/sector, math.MaxUint32))}
	if t.scheme == GPT {
		// The library's own protective entry has no CHS addresses, and a size that wraps.
		entry = &mbr.Partition{Index: 1, Type: mbr.Type(0xee), Start: 1, Size: uint32(min(t.size/sector-1, math.MaxUint32))}
	}
	setCHS(entry)
	if err := (&mbr.Table{Partitions: []*mbr.Partition{entry}}).Write(f, t.size); err != nil {
		return fmt.Errorf("partition table: %w", err)
	}
	if t.scheme == MBR {
		return t.writeID(dev)
	}
	table := &gpt.Table{
		LogicalSectorSize: t.sector, PhysicalSectorSize: t.sector, GUID: t.disk.String(),
		Partitions: []*gpt.Partition{{
			Index: 1, Start: uint64(t.start / sector), End: uint64((t.start+t.length)/sector - 1),
			Type: t.gptType(), Name: t.name, GUID: t.part.String(),
		}},
	}
	if err := table.Write(f, t.size); err != nil {
		return fmt.Errorf("partition table: %w", err)
	}
	return nil
}

func (t *table) gptType() gpt.Type {
	if t.esp {
		return gpt.EFISystemPartition
	}
	return gpt.MicrosoftBasicData
}

// writeID writes the disk's number, by which Linux names its partitions (PARTUUID) and which the
// library leaves alone.
func (t *table) writeID(dev device.Device) error {
	const at = 440
	if _, err := dev.WriteAt(binary.LittleEndian.AppendUint32(nil, t.mbrID), at); err != nil {
		return fmt.Errorf("partition table: %w", err)
	}
	return nil
}

// setCHS fills in the addresses of the first and last sector as cylinder, head and sector of the
// largest geometry there is; what lies beyond it gets its last address.
func setCHS(p *mbr.Partition) {
	chs := func(lba int64) (c, h, s byte) {
		const heads, perTrack, cylinders = 255, 63, 1024
		cyl, head, sec := lba/(heads*perTrack), lba/perTrack%heads, lba%perTrack+1
		if cyl >= cylinders {
			cyl, head, sec = cylinders-1, heads-1, perTrack
		}
		return byte(cyl), byte(head), byte(sec) | byte(cyl>>2)&0xc0
	}
	p.StartCylinder, p.StartHead, p.StartSector = chs(int64(p.Start))
	p.EndCylinder, p.EndHead, p.EndSector = chs(int64(p.Start) + int64(p.Size) - 1)
	if p.Type == 0xee {
		// UEFI specification section 5.2.3.
		p.EndCylinder, p.EndHead, p.EndSector = 0xff, 0xff, 0xff
	}
}

// tableWriter is a device as go-diskfs writes to it. It has no Sync: the library would wait for the
// disk after each of its writes, to a file that has no name yet.
type tableWriter struct{ dev device.Device }

func (w tableWriter) ReadAt(p []byte, off int64) (int, error)  { return w.dev.ReadAt(p, off) }
func (w tableWriter) WriteAt(p []byte, off int64) (int, error) { return w.dev.WriteAt(p, off) }
func (tableWriter) Stat() (fs.FileInfo, error)                 { return nil, fs.ErrInvalid }
func (tableWriter) Read([]byte) (int, error)                   { return 0, fs.ErrInvalid }
func (tableWriter) Seek(int64, int) (int64, error)             { return 0, fs.ErrInvalid }
func (tableWriter) Close() error                               { return nil }
