package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"unicode/utf16"

	"fatvol/image/device"
)

// gptSpec is a GPT to write, right or wrong.
type gptSpec struct {
	ss        int64
	entrySize int64
	count     int64
	parts     []gptPart
	header    func(h []byte) // changes the header before its checksum is made
	noBackup  bool
	noMBR     bool
}

type gptPart struct {
	first, last uint64
	name        string
}

// putGPT writes a GPT over a whole device.
func putGPT(t testing.TB, m device.Device, s gptSpec) {
	t.Helper()
	if s.ss == 0 {
		s.ss = 512
	}
	if s.entrySize == 0 {
		s.entrySize = 128
	}
	if s.count == 0 {
		s.count = 128
	}
	le := binary.LittleEndian
	array := make([]byte, s.count*s.entrySize)
	for i, p := range s.parts {
		e := array[int64(i)*s.entrySize:]
		copy(e, "\xa2\xa0\xd0\xeb\xe5\xb9\x33\x44\x87\xc0\x68\xb6\xb7\x26\x99\xc7")
		le.PutUint64(e[16:], uint64(i+1))
		le.PutUint64(e[32:], p.first)
		le.PutUint64(e[40:], p.last)
		for j, u := range utf16.Encode([]rune(p.name)) {
			le.PutUint16(e[56+2*j:], u)
		}
	}
	sectors := uint64(m.Size() / s.ss)
	arraySectors := uint64((int64(len(array)) + s.ss - 1) / s.ss)
	put := func(my, other, entries uint64) {
		h := make([]byte, s.ss)
		copy(h, gptMagic+"\x00\x00\x01\x00\x5c\x00\x00\x00")
		le.PutUint64(h[gptMyLBA:], my)
		le.PutUint64(h[gptOtherLBA:], other)
		le.PutUint64(h[40:], 2+arraySectors)
		le.PutUint64(h[48:], sectors-2-arraySectors)
		copy(h[56:], "disk guid, sixt.")
		le.PutUint64(h[gptEntriesLBA:], entries)
		le.PutUint32(h[gptEntryCount:], uint32(s.count))
		le.PutUint32(h[gptEntrySize:], uint32(s.entrySize))
		le.PutUint32(h[gptEntriesCRC:], crc32.ChecksumIEEE(array))
		if s.header != nil {
			s.header(h)
		}
		size := min(max(int64(le.Uint32(h[gptHeaderSize:])), 0), s.ss)
		le.PutUint32(h[gptHeaderCRC:], 0)
		le.PutUint32(h[gptHeaderCRC:], crc32.ChecksumIEEE(h[:size]))
		write(t, m, int64(my)*s.ss, h)
		write(t, m, int64(entries)*s.ss, array)
	}
	put(1, sectors-1, 2)
	if !s.noBackup {
		put(sectors-1, 1, sectors-1-arraySectors)
	}
	if !s.noMBR {
		putTable(t, m, 0, entry{0, 0xee, 1, uint32(min(sectors-1, 0xffffffff))})
	}
}

// spoil changes a byte.
func spoil(t testing.TB, m device.Device, off int64) {
	t.Helper()
	p := read(t, m, off, 1)
	write(t, m, off, []byte{^p[0]})
}

func TestGPT(t *testing.T) {
	volume := fatVolume(t, 16*mib, "-F", "16", "-n", "VOL")
	for _, s := range []gptSpec{
		{ss: 512}, {ss: 4096}, {ss: 2048}, {ss: 512, entrySize: 256}, {ss: 512, count: 4}, {ss: 512, count: 1024}, {ss: 4096, entrySize: 4096},
	} {
		name := fmt.Sprintf("%d bytes, %d entries of %d", s.ss, s.count, s.entrySize)
		m := device.NewMem(64 * mib)
		first := uint64(8*mib) / uint64(s.ss)
		s.parts = []gptPart{{}, {first, first + uint64(16*mib)/uint64(s.ss) - 1, "Daten ü 😀"}}
		s.parts[0] = gptPart{uint64(7*mib) / uint64(s.ss), first - 1, ""}
		putGPT(t, m, s)
		put(t, m, 8*mib, volume)
		l := scan(t, m)
		if l.Scheme != GPT || int64(l.SectorSize) != s.ss || kinds(l) != "1:empty 2:FAT16" || len(l.Notes) != 0 || l.Damage != nil {
			t.Errorf("%s: %s, %+v", name, kinds(l), l)
			continue
		}
		p := l.Partitions[1]
		if p.Start != 8*mib || p.Size != 16*mib || p.Name != "Daten ü 😀" || p.UUID != "00000002-0000-0000-0000-000000000000" ||
			p.TypeName != "Microsoft basic data" || p.Err != nil || p.Overlap != nil || p.Content.Label != "VOL" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestGPTHeader has headers that lie, with checksums that are right.
func TestGPTHeader(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		says   string
		change func(h []byte)
	}{
		{"number of entries is 1073741824", func(h []byte) { le.PutUint32(h[gptEntryCount:], 0x40000000) }},
		{"number of entries is 4294967295", func(h []byte) { le.PutUint32(h[gptEntryCount:], 0xffffffff) }},
		{"number of entries is 0", func(h []byte) { le.PutUint32(h[gptEntryCount:], 0) }},
		{"entry size is 0", func(h []byte) { le.PutUint32(h[gptEntrySize:], 0) }},
		{"entry size is 127", func(h []byte) { le.PutUint32(h[gptEntrySize:], 127) }},
		{"entry size is 192", func(h []byte) { le.PutUint32(h[gptEntrySize:], 192) }},
		{"entry size is 2147483648", func(h []byte) { le.PutUint32(h[gptEntrySize:], 1<<31) }},
		{"header size is 91", func(h []byte) { le.PutUint32(h[gptHeaderSize:], 91) }},
		{"header size is 513", func(h []byte) { le.PutUint32(h[gptHeaderSize:], 513) }},
		{"header size is 4294967295", func(h []byte) { le.PutUint32(h[gptHeaderSize:], 0xffffffff) }},
		{"own sector is 7", func(h []byte) { le.PutUint64(h[gptMyLBA:], 7) }},
		{"first sector of the entries is 0", func(h []byte) { le.PutUint64(h[gptEntriesLBA:], 0) }},
		{"first sector of the entries is 131071", func(h []byte) { le.PutUint64(h[gptEntriesLBA:], 131071) }},
		{"first sector of the entries is 18446744073709551615", func(h []byte) { le.PutUint64(h[gptEntriesLBA:], 1<<64-1) }},
		{"first sector of the entries is 36028797018963968", func(h []byte) { le.PutUint64(h[gptEntriesLBA:], 1<<55) }},
		{"checksum of the entries", func(h []byte) { h[gptEntriesCRC] ^= 1 }},
		{"revision is 2", func(h []byte) { h[gptRevision+2] = 2 }},
	} {
		m := device.NewMem(64 * mib)
		putGPT(t, m, gptSpec{parts: []gptPart{{2048, 4095, "x"}}, header: c.change})
		l := scan(t, m)
		if len(l.Partitions) != 0 || !errors.Is(l.Damage, ErrTable) || !strings.Contains(l.Damage.Error(), c.says) || !strings.Contains(l.Damage.Error(), "expected") {
			t.Errorf("%s: %v, %d partitions", c.says, l.Damage, len(l.Partitions))
		}
		if _, err := l.Choose("", true); !errors.Is(err, ErrTable) {
			t.Errorf("%s: Choose: %v", c.says, err)
		}
	}
}

// TestGPTCopies damages either copy of the table, or both.
func TestGPTCopies(t *testing.T) {
	volume := fatVolume(t, 16*mib, "-F", "16")
	const size, last = 64 * mib, 64*mib - 512
	for _, c := range []struct {
		name   string
		ss     int64
		damage func(m *device.Mem)
		want   string
		note   string
	}{
		{"none", 512, func(m *device.Mem) {}, "1:FAT16", ""},
		{"primary header", 512, func(m *device.Mem) { spoil(t, m, 512+60) }, "1:FAT16", "the primary GPT cannot be used (GPT header in sector 1: checksum"},
		{"primary entries", 512, func(m *device.Mem) { spoil(t, m, 1024+60) }, "1:FAT16", "checksum of the entries"},
		{"primary gone", 512, func(m *device.Mem) { m.ZeroAt(512, 33*512) }, "1:FAT16", "the primary GPT is missing"},
		{"primary header, 4096", 4096, func(m *device.Mem) { spoil(t, m, 4096+60) }, "1:FAT16", "the backup at the end of the image is used"},
		{"backup header", 512, func(m *device.Mem) { spoil(t, m, last+60) }, "1:FAT16", "the backup GPT cannot be used"},
		{"backup entries", 512, func(m *device.Mem) { spoil(t, m, last-512) }, "1:FAT16", "the backup GPT cannot be used"},
		{"both", 512, func(m *device.Mem) { spoil(t, m, 512+60); spoil(t, m, last+60) }, "", ""},
		{"both gone", 512, func(m *device.Mem) { m.ZeroAt(512, 33*512); m.ZeroAt(last-33*512, 34*512) }, "", ""},
		{"the MBR", 512, func(m *device.Mem) { m.ZeroAt(0, 512) }, "1:FAT16", "does not announce the GPT"},
		{"the MBR and the primary", 512, func(m *device.Mem) { m.ZeroAt(0, 34*512) }, "1:FAT16", "does not announce the GPT"},
	} {
		m := device.NewMem(size)
		ss := uint64(c.ss)
		putGPT(t, m, gptSpec{ss: c.ss, parts: []gptPart{{uint64(mib) / ss, uint64(17*mib)/ss - 1, "x"}}})
		put(t, m, mib, volume)
		c.damage(m)
		l := scan(t, m)
		if got := kinds(l); got != c.want || l.Scheme != GPT || (c.want == "") != (l.Damage != nil) {
			t.Errorf("%s: %s, damage %v", c.name, got, l.Damage)
		}
		if notes := strings.Join(l.Notes, "; "); !strings.Contains(notes, c.note) || (c.note == "") != (notes == "") {
			t.Errorf("%s: notes %q, want %q", c.name, notes, c.note)
		}
	}
}

// TestGPTResized has an image that grew or shrank after it was partitioned.
func TestGPTResized(t *testing.T) {
	full := device.NewMem(64 * mib)
	putGPT(t, full, gptSpec{parts: []gptPart{{2048, 2048 + 32767, "in"}, {100_000, 120_000, "out"}}})
	put(t, full, mib, fatVolume(t, 16*mib, "-F", "16"))
	put(t, full, 100_000*512, fatVolume(t, 10*mib))
	for _, size := range []int64{100 * mib, 50 * mib} {
		m := device.NewMem(size)
		put(t, m, 0, mustSection(t, full, min(size, full.Size())))
		l := scan(t, m)
		if p, err := l.Choose("1", false); err != nil || p.Size != 16*mib {
			t.Errorf("%d: %v", size, err)
		}
		if len(l.Notes) == 0 || !strings.Contains(l.Notes[0], "sector 131071") {
			t.Errorf("%d: notes %q", size, l.Notes)
		}
		_, err := l.Choose("2", true)
		if beyond := size < 64*mib; beyond != errors.Is(err, ErrBeyondEnd) {
			t.Errorf("%d: partition 2: %v", size, err)
		} else if beyond && (!strings.Contains(err.Error(), "partition 2") || !strings.Contains(err.Error(), fmt.Sprint(size))) {
			t.Errorf("%d: %v", size, err)
		}
	}
}

func mustSection(t *testing.T, m *device.Mem, n int64) *device.Mem {
	t.Helper()
	c := device.NewMem(n)
	for off := int64(0); off < n; off += mib {
		write(t, c, off, read(t, m, off, min(mib, n-off)))
	}
	return c
}

// TestGPTEntries has entries that cannot be, under a checksum that is right.
func TestGPTEntries(t *testing.T) {
	const top = 1<<64 - 1
	m := device.NewMem(64 * mib)
	putGPT(t, m, gptSpec{parts: []gptPart{
		{2048, 4095, "good"},
		{5000, 4000, "backwards"},
		{0, top, "everything"},
		{1 << 54, 1 << 54, "far"},
		{top, top, "at the end of numbers"},
		{10_000, 19_999, "a"}, {15_000, 15_999, "b"},
		{20, 40, "on the table"},
		{131_000, 131_050, "on the backup"},
		{131_071, 131_071, "on the header of the backup"},
	}})
	l := scan(t, m)
	got := ""
	for _, p := range l.Partitions {
		switch {
		case p.Err != nil:
			got += "!"
		case p.Overlap != nil:
			got += "*"
		default:
			got += "."
		}
	}
	if got != ".!!!!*****" {
		t.Errorf("%s: %s", got, layoutString(l))
	}
}

func TestHybridMBR(t *testing.T) {
	m := device.NewMem(64 * mib)
	putGPT(t, m, gptSpec{parts: []gptPart{{2048, 34815, "x"}}})
	put(t, m, mib, fatVolume(t, 16*mib, "-F", "16"))
	putTable(t, m, 0, entry{0x80, 0x06, 2048, 32768}, entry{0, 0xee, 1, 2047}, entry{0, 6, 40_000, 5})
	l := scan(t, m)
	if l.Scheme != Hybrid || kinds(l) != "1:FAT16" || len(l.Notes) != 1 || !strings.Contains(l.Notes[0], "entry 3") {
		t.Errorf("%s %s, notes %q", l.Scheme, kinds(l), l.Notes)
	}
}

// TestStaleGPT has an image that had a GPT once: the new table, or the volume, counts.
func TestStaleGPT(t *testing.T) {
	m := device.NewMem(64 * mib)
	putGPT(t, m, gptSpec{parts: []gptPart{{4096, 34815, "stale"}}})
	put(t, m, mib, fatVolume(t, 16*mib, "-F", "16"))
	putTable(t, m, 0, entry{0, 6, 2048, 32768})
	if l := scan(t, m); l.Scheme != MBR || kinds(l) != "1:FAT16" {
		t.Errorf("%s %s", l.Scheme, kinds(l))
	}
	put(t, m, 0, fatVolume(t, 64*mib, "-F", "32"))
	putTable(t, m, 0)
	if l := scan(t, m); l.Scheme != Whole || kinds(l) != "0:FAT32" {
		t.Errorf("%s %s", l.Scheme, kinds(l))
	}
}
