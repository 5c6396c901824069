package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"strings"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"fatvol/image/device"
)

// Layout of a GPT header (UEFI specification, section 5.3.2), as offsets in its sector.
const (
	gptMagic      = "EFI PART"
	gptRevision   = 8
	gptHeaderSize = 12
	gptHeaderCRC  = 16
	gptMyLBA      = 24
	gptOtherLBA   = 32
	gptEntriesLBA = 72
	gptEntryCount = 80
	gptEntrySize  = 84
	gptEntriesCRC = 88
	gptMinHeader  = 92
)

// What a table may claim. Usual are 128 entries of 128 bytes; a few tools write some hundred.
const (
	gptEntry      = 128 // bytes of an entry that have a meaning
	gptMaxEntries = 1024
	gptMaxEntry   = 4096
)

// gptTable is a GPT of which header and entries are whole: both checksums agree, and everything
// lies within the image.
type gptTable struct {
	ss        int64  // sector size in bytes
	header    []byte // gptMinHeader bytes
	entries   []byte // gptEntry bytes each
	lba       int64  // of the header
	other     uint64 // sector where the header of the other copy should be
	entriesAt region
}

// errNoGPT is returned where there is no sign of a GPT.
var errNoGPT = errors.New("no GPT")

// readGPTAt reads and checks the copy of a GPT whose header is in sector lba. Its errors are
// errNoGPT, or wrap ErrTable, or are those of the device.
func readGPTAt(dev device.Device, ss, lba int64) (*gptTable, error) {
	sectors := dev.Size() / ss
	if lba < 1 || lba >= sectors {
		return nil, errNoGPT
	}
	h := make([]byte, ss)
	if _, err := dev.ReadAt(h, lba*ss); err != nil {
		return nil, err
	}
	if !hasAt(h, 0, gptMagic) {
		return nil, errNoGPT
	}
	le := binary.LittleEndian
	bad := func(field string, got, want any) error {
		return fmt.Errorf("GPT header in sector %d: %s is %v, expected %v: %w", lba, field, got, want, ErrTable)
	}
	size := int64(le.Uint32(h[gptHeaderSize:]))
	if size < gptMinHeader || size > ss {
		return nil, bad("header size", size, fmt.Sprintf("%d to %d", gptMinHeader, ss))
	}
	sum := le.Uint32(h[gptHeaderCRC:])
	le.PutUint32(h[gptHeaderCRC:], 0)
	if want := crc32.ChecksumIEEE(h[:size]); sum != want {
		return nil, bad("checksum", fmt.Sprintf("%08x", sum), fmt.Sprintf("%08x", want))
	}
	if major := le.Uint16(h[gptRevision+2:]); major != 1 {
		return nil, bad("revision", major, 1)
	}
	if my := le.Uint64(h[gptMyLBA:]); my != uint64(lba) {
		return nil, bad("own sector", my, lba)
	}
	count, entry := int64(le.Uint32(h[gptEntryCount:])), int64(le.Uint32(h[gptEntrySize:]))
	if count < 1 || count > gptMaxEntries {
		return nil, bad("number of entries", count, fmt.Sprintf("1 to %d", gptMaxEntries))
	}
	if entry < gptEntry || entry > gptMaxEntry || bits.OnesCount64(uint64(entry)) != 1 {
		return nil, bad("entry size", entry, fmt.Sprintf("a power of two from %d to %d", gptEntry, gptMaxEntry))
	}
	at := le.Uint64(h[gptEntriesLBA:])
	if at < 1 || at >= uint64(sectors) || count*entry > dev.Size()-int64(at)*ss {
		return nil, bad("first sector of the entries", at, fmt.Sprintf("room for %d bytes before sector %d", count*entry, sectors))
	}
	array := make([]byte, count*entry)
	if _, err := dev.ReadAt(array, int64(at)*ss); err != nil {
		return nil, err
	}
	if sum, want := le.Uint32(h[gptEntriesCRC:]), crc32.ChecksumIEEE(array); sum != want {
		return nil, bad("checksum of the entries", fmt.Sprintf("%08x", sum), fmt.Sprintf("%08x", want))
	}
	t := &gptTable{
		ss: ss, header: h[:gptMinHeader], lba: lba,
		other:     le.Uint64(h[gptOtherLBA:]),
		entriesAt: region{int64(at) * ss, int64(at)*ss + count*entry, "the partition table"},
	}
	for ; len(array) > 0; array = array[entry:] {
		t.entries = append(t.entries, array[:gptEntry]...)
	}
	return t, nil
}

// decode hands a copy of the table to go-diskfs: the entries behind a plain header, in sectors
// of 512 bytes, with the checksums that belong to them. Its numbers are thus in sectors of the
// original, and its sizes in bytes are not to be used.
func (t *gptTable) decode() (*gpt.Table, error) {
	const ss = 512
	p := make([]byte, 2*ss, 2*ss+len(t.entries))
	p = append(p, t.entries...)
	h := p[ss : 2*ss]
	copy(h, t.header)
	le := binary.LittleEndian
	le.PutUint32(h[gptRevision:], 0x00010000)
	le.PutUint32(h[gptHeaderSize:], gptMinHeader)
	le.PutUint32(h[gptHeaderSize+8:], 0) // reserved
	le.PutUint64(h[gptMyLBA:], 1)
	le.PutUint64(h[gptEntriesLBA:], 2)
	le.PutUint32(h[gptEntryCount:], uint32(len(t.entries)/gptEntry))
	le.PutUint32(h[gptEntrySize:], gptEntry)
	le.PutUint32(h[gptEntriesCRC:], crc32.ChecksumIEEE(t.entries))
	le.PutUint32(h[gptHeaderCRC:], 0)
	le.PutUint32(h[gptHeaderCRC:], crc32.ChecksumIEEE(h[:gptMinHeader]))
	return gpt.Read(newTableFile(p), ss, ss)
}

// list makes a layout of the table. It does not look into the partitions.
func (t *gptTable) list(dev device.Device) (*Layout, error) {
	lib, err := t.decode()
	if err != nil {
		return nil, fmt.Errorf("GPT: %w: %w", err, ErrTable)
	}
	l := &Layout{Size: dev.Size(), Scheme: GPT, SectorSize: int(t.ss), ID: lib.GUID}
	for _, e := range lib.Partitions {
		p := Partition{
			Number:   e.Index,
			Type:     string(e.Type),
			TypeName: gptTypeName(string(e.Type)),
			Name:     strings.ToValidUTF8(e.Name, "\uFFFD"),
			UUID:     e.GUID,
			Bootable: e.Attributes&(1<<2) != 0, // "legacy BIOS bootable"
		}
		const maxBytes = 1<<63 - 1
		limit := uint64(maxBytes) / uint64(t.ss)
		if e.Start > e.End || e.End >= limit {
			p.Err = fmt.Errorf("partition %d has sectors %d to %d, and the image ends at sector %d: %w",
				p.Number, e.Start, e.End, dev.Size()/t.ss, ErrTable)
		} else {
			p.Start, p.Size = int64(e.Start)*t.ss, int64(e.End-e.Start+1)*t.ss
		}
		l.Partitions = append(l.Partitions, p)
	}
	markOverlaps(l.Partitions, t.reserved(dev.Size()/t.ss), func(Partition) bool { return true })
	return l, nil
}

// reserved is where both copies of the table are. The other copy is taken to lie next to its
// header, as UEFI has it; where its header is beyond the image there is none.
func (t *gptTable) reserved(sectors int64) []region {
	const name = "the partition table"
	sector := func(lba int64) region { return region{lba * t.ss, (lba + 1) * t.ss, name} }
	n := t.entriesAt.end - t.entriesAt.start
	r := []region{sector(0), sector(t.lba), t.entriesAt}
	switch {
	case t.other >= uint64(sectors) || t.other < 1:
	case t.lba == 1:
		at := int64(t.other)
		r = append(r, sector(at), region{at*t.ss - n, at * t.ss, name})
	default:
		r = append(r, sector(1), region{2 * t.ss, 2*t.ss + n, name})
	}
	return r
}

// gptSectorSizes are tried in this order where the image does not say what its sectors are.
var gptSectorSizes = []int64{512, 4096, 2048, 1024}

// readGPT finds a GPT. Its error is errNoGPT where there is no sign of one, and otherwise says why
// no copy of it can be used.
func readGPT(dev device.Device, sizes []int64) (*Layout, error) {
	damage := errNoGPT
	note := func(err error) {
		if errors.Is(damage, errNoGPT) {
			damage = err
		}
	}
	for _, ss := range sizes {
		t, err := readGPTAt(dev, ss, 1)
		if err != nil {
			note(err)
			continue
		}
		l, err := t.list(dev)
		if err == nil {
			t.noteBackup(dev, l)
		}
		return l, err
	}
	for _, ss := range sizes {
		t, err := readGPTAt(dev, ss, dev.Size()/ss-1)
		if err != nil {
			note(err)
			continue
		}
		l, err := t.list(dev)
		if err != nil {
			return nil, err
		}
		why := "is missing"
		if !errors.Is(damage, errNoGPT) {
			why = fmt.Sprintf("cannot be used (%v)", damage)
		}
		l.Notes = append(l.Notes, fmt.Sprintf("the primary GPT %s; the backup at the end of the image is used", why))
		return l, nil
	}
	return nil, damage
}

// noteBackup adds a note if the backup of the GPT is not as it should be.
func (t *gptTable) noteBackup(dev device.Device, l *Layout) {
	end := dev.Size()/t.ss - 1
	switch {
	case t.other > uint64(end):
		l.Notes = append(l.Notes, fmt.Sprintf("the backup GPT should be in sector %d, and the image ends with sector %d: it may be truncated", t.other, end))
		return
	case t.other != uint64(end):
		l.Notes = append(l.Notes, fmt.Sprintf("the backup GPT is in sector %d, and the image ends with sector %d", t.other, end))
	}
	if _, err := readGPTAt(dev, t.ss, int64(t.other)); err != nil {
		l.Notes = append(l.Notes, fmt.Sprintf("the backup GPT cannot be used (%v)", err))
	}
}
