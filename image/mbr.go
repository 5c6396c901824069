package image

import (
	"encoding/binary"
	"fmt"

	"github.com/diskfs/go-diskfs/partition/mbr"

	"fatvol/image/device"
)

const (
	mbrSize      = 512
	mbrEntries   = 446 // offset of the four entries
	mbrEntrySize = 16
	mbrSignature = 510

	typeEmpty      = 0x00
	typeProtective = 0xee
)

// Bounds for chains of logical partitions. Linux stops at about as many.
const (
	maxLogical = 128
	maxLinks   = 256 // sectors of a chain, most of which carry a partition each
)

// mbrEntry is an entry of a partition table, in sectors.
type mbrEntry struct {
	flag, typ    byte
	start, count int64
}

func (e mbrEntry) used() bool { return e.count != 0 }

// extended reports whether the entry is for a partition that holds others: DOS, Windows 95 (LBA),
// Linux.
func (e mbrEntry) extended() bool { return e.typ == 0x05 || e.typ == 0x0f || e.typ == 0x85 }

// blank reports whether nothing at all was written into the entry.
func (e mbrEntry) blank() bool { return e == mbrEntry{} }

// mbrTable is the first sector of a divided image, or of a link in a chain of logical partitions.
type mbrTable struct {
	id      uint32
	entries [4]mbrEntry
}

// parseMBR reads the table in the first 512 bytes of sector, or returns nil if there is none.
func parseMBR(sector []byte) *mbrTable {
	if !hasAt(sector, mbrSignature, "\x55\xaa") {
		return nil
	}
	// Flags other than "active" and "not active" make the library refuse the whole table.
	safe := append([]byte(nil), sector[:mbrSize]...)
	for i := range 4 {
		safe[mbrEntries+i*mbrEntrySize] &= 0x80
	}
	lib, err := mbr.Read(newTableFile(safe), mbrSize, mbrSize)
	if err != nil || len(lib.Partitions) != 4 {
		return nil
	}
	t := &mbrTable{id: binary.LittleEndian.Uint32(sector[440:])}
	for i, p := range lib.Partitions {
		t.entries[i] = mbrEntry{
			flag:  sector[mbrEntries+i*mbrEntrySize],
			typ:   byte(p.Type),
			start: int64(p.Start),
			count: int64(p.Size),
		}
	}
	return t
}

// protective reports whether an entry announces a GPT.
func (t *mbrTable) protective() bool {
	for _, e := range t.entries {
		if e.used() && e.typ == typeProtective {
			return true
		}
	}
	return false
}

// empty reports whether no entry is used.
func (t *mbrTable) empty() bool {
	for _, e := range t.entries {
		if e.used() {
			return false
		}
	}
	return true
}

// evident reports whether the table is beyond doubt one, rather than boot code or text in its
// place: each entry is either blank or a partition that a partitioning tool would have made.
func (t *mbrTable) evident(ss, size int64) bool {
	for i, e := range t.entries {
		if e.blank() {
			continue
		}
		if e.flag&0x7f != 0 || e.typ == typeEmpty || e.start < 1 || e.count < 1 || (e.start+e.count)*ss > size {
			return false
		}
		for _, o := range t.entries[:i] {
			if e.start < o.start+o.count && o.start < e.start+e.count {
				return false
			}
		}
	}
	return !t.empty()
}

// mbrReader collects the partitions of an MBR.
type mbrReader struct {
	dev    device.Device
	ss     int64
	id     uint32
	layout *Layout
	links  []region // sectors that hold the tables of logical partitions
	seen   map[int64]bool
	next   int // number of the next logical partition
}

// readMBR lists the partitions of table t, in sectors of ss bytes. It does not look into them.
// An error means that the device failed.
func readMBR(dev device.Device, t *mbrTable, ss int64) (*Layout, error) {
	l := &Layout{Size: dev.Size(), Scheme: MBR, SectorSize: int(ss)}
	if t.id != 0 {
		l.ID = fmt.Sprintf("%08x", t.id)
	}
	r := &mbrReader{dev: dev, ss: ss, id: t.id, layout: l, seen: make(map[int64]bool), next: 5}
	for i, e := range t.entries {
		if e.used() {
			p := r.partition(i+1, e, 0)
			p.Extended = e.extended()
			l.Partitions = append(l.Partitions, p)
		}
	}
	for _, p := range l.Partitions {
		if p.Extended {
			if err := r.readChain(p); err != nil {
				return nil, err
			}
		}
	}
	table := region{0, mbrSize, "the partition table"}
	markOverlaps(l.Partitions, []region{table}, func(p Partition) bool { return !p.Logical })
	markOverlaps(l.Partitions, append(r.links, table), func(p Partition) bool { return !p.Extended })
	return l, nil
}

// partition makes a Partition of an entry in the table at byte base.
func (r *mbrReader) partition(number int, e mbrEntry, base int64) Partition {
	p := Partition{
		Number:   number,
		Start:    base + e.start*r.ss,
		Size:     e.count * r.ss,
		Type:     fmt.Sprintf("%02x", e.typ),
		TypeName: mbrTypeName(e.typ),
		Bootable: e.flag&0x80 != 0,
		Logical:  number > 4,
	}
	if r.id != 0 {
		p.UUID = fmt.Sprintf("%08x-%02x", r.id, number)
	}
	return p
}

// readChain lists the logical partitions in the extended partition ext. Each link of the chain is
// a table: usually the first entry is the partition, relative to the link, and the second one
// leads to the next link, relative to ext. DR-DOS has them the other way round when the
// partition is empty, and OS/2 uses all four.
func (r *mbrReader) readChain(ext Partition) error {
	link := Partition{Start: ext.Start, Size: ext.Size}
	for {
		at := link.Start
		switch {
		case r.seen[at]:
			r.damage("the chain of logical partitions in partition %d comes back to its sector %d", ext.Number, at/r.ss)
			return nil
		case len(r.seen) >= maxLinks || r.next-5 >= maxLogical:
			r.damage("more than %d logical partitions", maxLogical)
			return nil
		case at < ext.Start || at >= ext.end():
			r.damage("the chain of logical partitions leaves partition %d (sectors %d to %d) for sector %d",
				ext.Number, ext.Start/r.ss, ext.end()/r.ss-1, at/r.ss)
			return nil
		case at > r.dev.Size()-mbrSize:
			r.damage("the chain of logical partitions in partition %d leads to sector %d, and the image has %d",
				ext.Number, at/r.ss, r.dev.Size()/r.ss)
			return nil
		}
		r.seen[at] = true
		sector := make([]byte, mbrSize)
		if _, err := r.dev.ReadAt(sector, at); err != nil {
			return err
		}
		t := parseMBR(sector)
		if t == nil {
			// A new extended partition that nothing was put into yet is no damage.
			if at != ext.Start || !isBlank(sector[mbrEntries:]) {
				r.damage("no table of logical partitions in sector %d, 55 AA expected at its end", at/r.ss)
			}
			return nil
		}
		r.links = append(r.links, region{at, at + mbrSize, "a table of logical partitions"})
		if !r.readLink(t, ext, &link) {
			return nil
		}
	}
}

// readLink lists the partitions of one link, and moves link to the next one. It returns false at
// the end of the chain.
func (r *mbrReader) readLink(t *mbrTable, ext Partition, link *Partition) bool {
	for i, e := range t.entries {
		if !e.used() || e.extended() {
			continue
		}
		p := r.partition(r.next, e, link.Start)
		inside := p.Start > link.Start && p.end() <= ext.end()
		// Linux does not count what it takes for garbage: nor do we, to keep its numbers.
		if i >= 2 && (!inside || (e.start+e.count)*r.ss > link.Size) {
			continue
		}
		if !inside {
			p.Err = fmt.Errorf("logical partition %d has sectors %d to %d, outside of partition %d with %d to %d: %w",
				p.Number, p.Start/r.ss, p.end()/r.ss-1, ext.Number, ext.Start/r.ss, ext.end()/r.ss-1, ErrTable)
		}
		if r.next++; r.next-5 > maxLogical {
			return true // reported at the next link
		}
		r.layout.Partitions = append(r.layout.Partitions, p)
	}
	for _, e := range t.entries {
		if e.used() && e.extended() {
			*link = Partition{Start: ext.Start + e.start*r.ss, Size: e.count * r.ss}
			return true
		}
	}
	return false
}

// damage notes why the list of partitions may not be complete. The first reason stays.
func (r *mbrReader) damage(format string, args ...any) {
	if r.layout.Damage == nil {
		r.layout.Damage = fmt.Errorf(format+": %w", append(args, ErrTable)...)
	}
}
