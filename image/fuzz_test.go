package image

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat/fattest"
)

// fuzzBases are images that FuzzScan changes a few bytes of.
func fuzzBases(t testing.TB) []*device.Mem {
	const size = 256 * mib
	chain := device.NewMem(size)
	putTable(t, chain, 0, entry{0x80, 6, 63, 1000}, entry{0, 5, 8, 50000}, entry{0, 0x0f, 16, 50000})
	putTable(t, chain, 8*512, entry{0, 6, 63, 1000}, entry{0, 5, 1, 3000})
	putTable(t, chain, 9*512, entry{0, 6, 63, 1000})
	putTable(t, chain, 16*512, entry{0, 6, 63, 1000}, entry{0, 5, 2, 3000})
	putTable(t, chain, 18*512, entry{0, 6, 63, 1000})
	gpt512, gpt4096, mixed := device.NewMem(size), device.NewMem(size), device.NewMem(size)
	parts := []gptPart{{2048, 4095, "a"}, {0, 1<<64 - 1, "b"}, {50, 60, "c"}}
	putGPT(t, gpt512, gptSpec{parts: parts, count: 8})
	putGPT(t, gpt4096, gptSpec{parts: parts, count: 8, ss: 4096})
	volume := fatVolume(t, 360*kib)
	put(t, gpt512, mib, volume)
	put(t, mixed, 0, fatVolume(t, 64*mib, "-F", "32", "-n", "LABEL"))
	putTable(t, mixed, 0, entry{0, 6, 2048, 1000}, entry{0, 5, 8192, 1000})
	put(t, mixed, mib, volume)
	return []*device.Mem{chain, gpt512, gpt4096, mixed, volume, fatVolume(t, 16*mib, "-F", "16"), device.NewMem(size)}
}

// fuzzAreas are the sectors that FuzzScan changes, from the end where negative.
var fuzzAreas = []int64{0, 1, 2, 3, 8, 9, 16, 18, 32, 2048, -1, -2, -3, -8}

// FuzzScan changes bytes of images where their tables are: patches are four bytes each, area, two
// of the offset, value. Checksums are made right again if fix is set. Whatever the result says,
// the scan ends soon, takes little memory, and what it would let be opened lies within the device.
func FuzzScan(f *testing.F) {
	bases := fuzzBases(f)
	for i := range bases {
		f.Add(uint8(i), true, []byte{})
		f.Add(uint8(i), false, []byte{0, 1, 0xbe, 0x42, 4, 1, 0xc6, 0xff})
		f.Add(uint8(i), true, []byte{1, 0, 80, 0xff, 1, 0, 81, 0xff, 1, 0, 83, 0xff})
	}
	f.Fuzz(func(t *testing.T, base uint8, fix bool, patches []byte) {
		patched(t, bases[int(base)%len(bases)], fix, patches)
	})
}

// patched changes a copy of base and looks at what a scan makes of it, and a mount.
func patched(t *testing.T, base *device.Mem, fix bool, patches []byte) {
	m := base.Clone()
	for ; len(patches) >= 4; patches = patches[4:] {
		area := fuzzAreas[int(patches[0])%len(fuzzAreas)] * 512
		if area < 0 {
			area += m.Size()
		}
		if off := area + int64(patches[1])%2*256 + int64(patches[2]); off < m.Size() {
			write(t, m, off, patches[3:4])
		}
	}
	if fix {
		for _, ss := range []int64{512, 4096} {
			fixGPT(t, m, ss, 1)
			fixGPT(t, m, ss, m.Size()/ss-1)
		}
	}
	checkScan(t, m)
	// The same with nearly everything beyond the end.
	short := device.NewMem(min(m.Size(), 40*512))
	write(t, short, 0, read(t, m, 0, short.Size()))
	checkScan(t, short)
	useEach(t, m)
}

// FuzzScanBytes scans arbitrary bytes.
func FuzzScanBytes(f *testing.F) {
	for _, m := range fuzzBases(f) {
		f.Add(read(f, m, 0, 10*512))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m := device.NewMem(int64(len(p)))
		write(t, m, 0, p)
		checkScan(t, m)
	})
}

// fixGPT makes the checksums of a GPT right, if there is room for what they cover.
func fixGPT(t *testing.T, m *device.Mem, ss, lba int64) {
	h := read(t, m, lba*ss, ss)
	le := binary.LittleEndian
	at, n := int64(le.Uint64(h[gptEntriesLBA:])), int64(le.Uint32(h[gptEntryCount:]))*int64(le.Uint32(h[gptEntrySize:]))
	if at > 0 && at < m.Size()/ss && n >= 0 && n <= mib && n <= m.Size()-at*ss {
		le.PutUint32(h[gptEntriesCRC:], crc32.ChecksumIEEE(read(t, m, at*ss, n)))
	}
	if size := int64(le.Uint32(h[gptHeaderSize:])); size >= gptMinHeader && size <= ss && hasAt(h, 0, gptMagic) {
		le.PutUint32(h[gptHeaderCRC:], 0)
		le.PutUint32(h[gptHeaderCRC:], crc32.ChecksumIEEE(h[:size]))
		write(t, m, lba*ss, h)
	}
}

func checkScan(t *testing.T, m *device.Mem) {
	t.Helper()
	var l *Layout
	fattest.Contained(t, 256<<20, func() {
		var err error
		if l, err = Scan(m); err != nil {
			t.Fatalf("a device in memory failed: %v", err)
		}
	})
	if len(l.Partitions) > gptMaxEntries {
		t.Errorf("%d partitions", len(l.Partitions))
	}
	seen := make(map[int]bool)
	for i, p := range l.Partitions {
		if seen[p.Number] {
			t.Errorf("two partitions %d", p.Number)
		}
		seen[p.Number] = true
		if p.Content.Kind == "" {
			t.Errorf("partition %d is of no kind", p.Number)
		}
		for _, readOnly := range []bool{false, true} {
			if p.usable(readOnly) != nil {
				continue
			}
			if p.Start < 0 || p.Size <= 0 || p.end() > m.Size() || p.end() < p.Start {
				t.Errorf("partition %d of %d bytes at %d may be opened", p.Number, p.Size, p.Start)
			}
			if g := p.Content.Geometry; g.Size > p.Size {
				t.Errorf("partition %d of %d bytes holds a volume of %d", p.Number, p.Size, g.Size)
			}
			if readOnly {
				continue
			}
			for j, q := range l.Partitions {
				if i != j && q.Size > 0 && !(q.Extended && p.Logical) && p.overlaps(q) {
					t.Errorf("partition %d may be written to and overlaps %d", p.Number, q.Number)
				}
			}
			if p.Number > 0 && p.Start < 512 {
				t.Errorf("partition %d may be written to and begins with the table", p.Number)
			}
		}
	}
	for _, choice := range []string{"", "1", "x"} {
		if _, err := l.Choose(choice, false); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	}
}
