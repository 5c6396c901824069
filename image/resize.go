package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"fatvol/image/device"
)

// ErrRoom is returned when a partition cannot have a size, or a table cannot be changed.
var ErrRoom = errors.New("the partition cannot be resized so")

// Room is how large a partition can become.
type Room struct {
	Limit int64 // bytes, within the image as it is
	// Last: nothing lies behind the partition. It can be larger yet when the image grows.
	Last bool
	tail int64 // bytes that the table needs behind the last partition
}

// ImageSize is the size of an image whose last partition, p, gets size bytes.
func (r Room) ImageSize(p Partition, size int64) int64 { return p.Start + size + r.tail }

// RoomFor works out how large partition p can become. ErrRoom, with the reason, when its entry in the
// table cannot be changed.
func (l *Layout) RoomFor(p Partition) (Room, error) {
	switch {
	case l.Scheme == Whole:
		return Room{Limit: l.Size, Last: true}, nil
	case l.Damage != nil:
		return Room{}, fmt.Errorf("%w: %w", ErrRoom, l.Damage)
	case l.Scheme == Hybrid:
		return Room{}, fmt.Errorf("%w: a hybrid table has it twice", ErrRoom)
	case p.Logical:
		return Room{}, fmt.Errorf("%w: it is a logical one", ErrRoom)
	}
	ss := int64(l.SectorSize)
	r := Room{Limit: l.Size / ss * ss, Last: true}
	if l.Scheme == GPT {
		const entries = 128 * gptEntry // what all but a few tables have; resizeGPT looks
		r.tail = (entries+ss-1)/ss*ss + ss
		r.Limit -= r.tail
	}
	for _, q := range l.Partitions {
		if q.Start > p.Start && !q.Logical { // also one that ends beyond the image
			r.Limit, r.Last = min(r.Limit, q.Start), false
		}
	}
	r.Limit -= p.Start
	return r, nil
}

// ResizePartition gives partition p size bytes in the table of the image on dev, which has its new
// length already, or still its old one. A cut leaves a table that has the old size or the new one.
func (l *Layout) ResizePartition(dev device.Device, p Partition, size, imageSize int64) error {
	ss := int64(l.SectorSize)
	var err error
	switch {
	case l.Scheme == MBR && p.Number >= 1 && p.Number <= 4:
		err = resizeMBR(dev, p, size/ss, ss)
	case l.Scheme == GPT:
		err = resizeGPT(dev, p, size/ss, imageSize/ss, ss)
	default:
		err = fmt.Errorf("%w: %s table", ErrRoom, l.Scheme)
	}
	if err != nil {
		return fmt.Errorf("partition table: %w", err)
	}
	return nil
}

// Layout of an entry of an MBR, as offsets in it.
const (
	mbrEndCHS = 5
	mbrStart  = 8
	mbrCount  = 12
)

// resizeMBR changes the entry in place: it is a part of one sector, and all else stays as it is.
func resizeMBR(dev device.Device, p Partition, count, ss int64) error {
	sector := make([]byte, mbrSize)
	if _, err := dev.ReadAt(sector, 0); err != nil {
		return err
	}
	e := sector[mbrEntries+(p.Number-1)*mbrEntrySize:]
	start := int64(binary.LittleEndian.Uint32(e[mbrStart:]))
	if start*ss != p.Start || count < 1 || start+count > math.MaxUint32 {
		return fmt.Errorf("%w: sectors %d to %d in an MBR", ErrRoom, start, start+count-1)
	}
	binary.LittleEndian.PutUint32(e[mbrCount:], uint32(count))
	putCHS(e[mbrEndCHS:], start+count-1)
	if _, err := dev.WriteAt(sector, 0); err != nil {
		return err
	}
	return dev.Sync()
}

// putCHS writes a sector's number as cylinder, head and sector of a disk with 255 heads and 63 sectors:
// what is beyond 1024 cylinders as the last there is.
func putCHS(p []byte, lba int64) {
	const heads, sectors = 255, 63
	c, h, s := lba/(heads*sectors), lba/sectors%heads, lba%sectors+1
	if c > 1023 {
		c, h, s = 1023, 254, 63
	}
	p[0], p[1], p[2] = byte(h), byte(s)|byte(c>>8<<6), byte(c)
}

const (
	gptLastUsable = 48
	gptEntryFirst = 32
	gptEntryLast  = 40
)

// resizeGPT changes an entry, and moves the backup to the end of an image of so many sectors: first the
// backup as it will be, then the primary. Between the two the primary's checksums are wrong for a moment,
// and whoever reads it takes the backup, which is at the end.
func resizeGPT(dev device.Device, p Partition, count, sectors, ss int64) error {
	t, err := readGPTAt(dev, ss, 1)
	if err != nil {
		return fmt.Errorf("the primary GPT: %w", err)
	}
	le := binary.LittleEndian
	header := make([]byte, ss)
	if _, err := dev.ReadAt(header, ss); err != nil {
		return err
	}
	if le.Uint32(header[gptHeaderSize:]) != gptMinHeader || le.Uint32(header[gptEntrySize:]) != gptEntry {
		return fmt.Errorf("%w: the GPT has headers or entries of an unusual size", ErrRoom)
	}
	entries := append([]byte(nil), t.entries...)
	if p.Number < 1 || p.Number*gptEntry > len(entries) {
		return fmt.Errorf("%w: the GPT has no entry %d", ErrRoom, p.Number)
	}
	e := entries[(p.Number-1)*gptEntry:]
	first := int64(le.Uint64(e[gptEntryFirst:]))
	room := (int64(len(entries)) + ss - 1) / ss
	backup := sectors - 1
	if last := backup - room - 1; first*ss != p.Start || count < 1 || first+count-1 > last {
		return fmt.Errorf("%w: sectors %d to %d, the last that can be used is %d", ErrRoom, first, first+count-1, last)
	}
	le.PutUint64(e[gptEntryLast:], uint64(first+count-1))
	seal := func(my, other, entriesAt int64) []byte {
		h := append([]byte(nil), header...)
		le.PutUint64(h[gptMyLBA:], uint64(my))
		le.PutUint64(h[gptOtherLBA:], uint64(other))
		le.PutUint64(h[gptLastUsable:], uint64(backup-room-1))
		le.PutUint64(h[gptEntriesLBA:], uint64(entriesAt))
		le.PutUint32(h[gptEntriesCRC:], crc32.ChecksumIEEE(entries))
		le.PutUint32(h[gptHeaderCRC:], 0)
		le.PutUint32(h[gptHeaderCRC:], crc32.ChecksumIEEE(h[:gptMinHeader]))
		return h
	}
	for _, c := range []struct{ my, other, entriesAt int64 }{
		{backup, 1, backup - room}, {1, backup, t.entriesAt.start / ss},
	} {
		if _, err := dev.WriteAt(entries, c.entriesAt*ss); err != nil {
			return err
		}
		if _, err := dev.WriteAt(seal(c.my, c.other, c.entriesAt), c.my*ss); err != nil {
			return err
		}
		if err := dev.Sync(); err != nil {
			return err
		}
	}
	return protect(dev, sectors)
}

// protect makes the MBR before a GPT say how long the image is.
func protect(dev device.Device, sectors int64) error {
	sector := make([]byte, mbrSize)
	if _, err := dev.ReadAt(sector, 0); err != nil {
		return err
	}
	e := sector[mbrEntries:]
	if e[4] != typeProtective || binary.LittleEndian.Uint32(e[mbrCount:]) == math.MaxUint32 {
		return nil
	}
	binary.LittleEndian.PutUint32(e[mbrCount:], uint32(min(sectors-1, math.MaxUint32)))
	if _, err := dev.WriteAt(sector, 0); err != nil {
		return err
	}
	return dev.Sync()
}
