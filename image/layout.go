package image

import (
	"errors"
	"fmt"

	"fatvol/image/fat"
)

// Errors about the division of an image. All of them reach callers wrapped.
var (
	// ErrNoVolume is returned when an image, or the partition asked for, holds no FAT volume.
	ErrNoVolume = errors.New("no FAT volume")
	// ErrNoPartition is returned when there is no partition as asked for.
	ErrNoPartition = errors.New("no such partition")
	// ErrAmbiguous is returned when more than one volume is meant. See AmbiguousError.
	ErrAmbiguous = errors.New("more than one FAT volume")
	// ErrTable is returned for a partition table that contradicts itself or is damaged.
	ErrTable = errors.New("damaged partition table")
	// ErrOverlap is returned when writing to a partition could change another one or the table.
	ErrOverlap = errors.New("overlaps")
	// ErrBeyondEnd is returned when a partition, or what offset= and sizelimit= say, ends
	// beyond the image.
	ErrBeyondEnd = errors.New("ends beyond the image")
)

// Scheme says how an image is divided.
type Scheme string

// The schemes. A hybrid is a GPT of which some partitions are in the MBR as well.
const (
	Whole  Scheme = "none"
	MBR    Scheme = "mbr"
	GPT    Scheme = "gpt"
	Hybrid Scheme = "hybrid"
)

// Layout is how an image is divided, and what its parts hold.
type Layout struct {
	Size       int64  // of the image in bytes
	Scheme     Scheme // Whole: Partitions has one element, the image itself
	SectorSize int    // unit of the table in bytes; 0 without one
	ID         string // of the disk: GUID of a GPT, 8 hex digits of an MBR, or empty
	Partitions []Partition
	// Notes are things worth saying that are no obstacle, for instance that the backup of a
	// damaged GPT was used.
	Notes []string
	// Damage says why there may be partitions that are not listed; it wraps ErrTable.
	Damage error
}

// Partition is a part of an image.
type Partition struct {
	Number   int    // 0: the whole image
	Start    int64  // bytes from the beginning of the image
	Size     int64  // bytes
	Type     string // of the table: "0c", or a GUID in upper case; a hint only
	TypeName string // what that type is for, empty when unknown
	Name     string // of a GPT entry
	UUID     string // GUID of a GPT entry in upper case, or MBR disk id and number: "1234abcd-01"
	Bootable bool   // marked as such in the table
	Logical  bool   // lies in an extended partition
	Extended bool   // is an extended partition: holds others, and no volume itself
	Content  Content
	// Err says why the partition cannot be used as the table has it, for reading neither:
	// it wraps ErrBeyondEnd, ErrTable or what a failing device returned.
	Err error
	// Overlap says what writing to the partition could damage; it wraps ErrOverlap.
	Overlap error
}

// Content is what a partition holds, by its own first bytes.
type Content struct {
	// Kind is "FAT12", "FAT16" or "FAT32", or what is there instead: "exFAT", "NTFS", "ext4" …,
	// "empty" where everything that was looked at is zero, "unknown" data otherwise.
	Kind  string
	Label string // of a FAT volume: in its root directory, else in its boot sector; may be empty
	// Geometry is that of a FAT volume, nil otherwise.
	Geometry *fat.Geometry
	// Err says why what looks like FAT is refused.
	Err error
}

// IsFAT reports whether there is a FAT volume.
func (c Content) IsFAT() bool { return c.Geometry != nil }

// Serial is the serial number of a FAT volume as it is usually written, or empty.
func (c Content) Serial() string {
	if c.Geometry == nil || c.Geometry.SerialOffset == 0 {
		return ""
	}
	return fmt.Sprintf("%04X-%04X", c.Geometry.Serial>>16, c.Geometry.Serial&0xffff)
}

// end is the offset behind the last byte.
func (p Partition) end() int64 { return p.Start + p.Size }

// overlaps reports whether p and q have a byte in common.
func (p Partition) overlaps(q Partition) bool { return p.Start < q.end() && q.Start < p.end() }

// describe names the partition in an error.
func (p Partition) describe() string {
	if p.Number == 0 {
		return "the image"
	}
	return fmt.Sprintf("partition %d", p.Number)
}

// formatSize writes a number of bytes for people: "512 B", "1.4 MiB", "2 TiB".
func formatSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	f, i := float64(n), 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	if f >= 10 || f == float64(int64(f)) {
		return fmt.Sprintf("%.0f %s", f, units[i])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
