package fat

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestParseGeometryFields(t *testing.T) {
	tests := []struct {
		name string
		boot bootSpec
		want Geometry
	}{
		{"1.44 MB floppy", goodBoot12(), Geometry{
			Width: FAT12, SectorSize: 512, ClusterSize: 512, ClusterShift: 9, Clusters: 2847, FATs: 2, FATStart: 512,
			FATBytes: 9 * 512, Mirrored: true, RootStart: 19 * 512, RootEntries: 224, DataStart: 33 * 512, Size: 2880 * 512,
			StateOffset: 0x25, SerialOffset: 0x27, LabelOffset: 0x2b, Media: 0xf0, Serial: 0x12345678,
			Label: [11]byte([]byte("FLOPPY     ")), OEM: "MSWIN4.1",
		}},
		{"FAT16", goodBoot16(), Geometry{
			Width: FAT16, SectorSize: 512, ClusterSize: 2048, ClusterShift: 11, Clusters: 16000, FATs: 2, FATStart: 512,
			FATBytes: 63 * 512, Mirrored: true, RootStart: 127 * 512, RootEntries: 512, DataStart: 159 * 512,
			Size: (159 + 64000) * 512, StateOffset: 0x25, SerialOffset: 0x27, LabelOffset: 0x2b, Media: 0xf8,
			Serial: 0xcafebabe, Label: [11]byte([]byte("SIXTEEN    ")), OEM: "MSWIN4.1",
		}},
		{"FAT32", goodBoot32(), Geometry{
			Width: FAT32, SectorSize: 512, ClusterSize: 512, ClusterShift: 9, Clusters: 70000, FATs: 2, FATStart: 32 * 512,
			FATBytes: 547 * 512, Mirrored: true, RootCluster: 2, DataStart: (32 + 2*547) * 512,
			Size: (32 + 2*547 + 70000) * 512, FSInfo: 512, BackupBoot: 6 * 512, StateOffset: 0x41, SerialOffset: 0x43,
			LabelOffset: 0x47, Media: 0xf8, Serial: 0xdeadbeef, Label: [11]byte([]byte("THIRTYTWO  ")), OEM: "MSWIN4.1",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := ParseGeometry(tt.boot.bytes(), tt.boot.size(), GeometryOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if *g != tt.want {
				t.Errorf("got  %+v\nwant %+v", *g, tt.want)
			}
			checkGeometry(t, g, tt.boot.size())
		})
	}
}

// TestParseGeometryMatrix builds volumes over all shapes that formatters make, at both sides of each
// limit of the cluster count, and wants back exactly the width and count that were put in.
func TestParseGeometryMatrix(t *testing.T) {
	for _, sector := range []uint16{512, 1024, 2048, 4096} {
		for secPerClus := 1; secPerClus <= 128; secPerClus *= 2 {
			for fats := uint8(1); fats <= 4; fats++ {
				for _, c := range []struct {
					width    Width
					clusters uint32
				}{
					{FAT12, 1}, {FAT12, 340}, {FAT12, 4083}, {FAT12, 4084},
					{FAT16, 4085}, {FAT16, 4086}, {FAT16, 65523}, {FAT16, 65524},
					{FAT32, 1}, {FAT32, 4085}, {FAT32, 65524}, {FAT32, 65525}, {FAT32, 1 << 20}, {FAT32, 0x0ffffff5 / 128},
				} {
					s := bootSpec{bytsPerSec: sector, secPerClus: uint8(secPerClus), rsvdSec: 1, numFATs: fats, media: 0xf8, bootSig: bootSigFull}
					if c.width == FAT32 {
						s.fat32, s.rsvdSec, s.rootClus, s.fsInfo, s.bkBoot = true, 32, min(3, c.clusters+1), 1, 6
					} else {
						s.rootEnts = 512
					}
					s = s.withClusters(c.width, c.clusters)
					name := fmt.Sprintf("%v sector %d, %d per cluster, %d FATs, %d clusters", c.width, sector, secPerClus, fats, c.clusters)
					g, err := ParseGeometry(s.bytes(), s.size(), GeometryOptions{})
					if err != nil {
						t.Errorf("%s: %v", name, err)
						continue
					}
					if g.Width != c.width || g.Clusters != c.clusters || g.ClusterSize != int(sector)*secPerClus || g.FATs != int(fats) {
						t.Errorf("%s: got %+v", name, *g)
					}
					checkGeometry(t, g, s.size())
				}
			}
		}
	}
}

func TestParseGeometryRefuses(t *testing.T) {
	with := func(s bootSpec, change func(*bootSpec)) bootSpec { change(&s); return s }
	tests := []struct {
		name  string
		boot  bootSpec
		field string
		err   error
	}{
		{"sector size 0", with(goodBoot16(), func(s *bootSpec) { s.bytsPerSec = 0 }), "BPB_BytsPerSec", ErrCorrupt},
		{"sector size 256", with(goodBoot16(), func(s *bootSpec) { s.bytsPerSec = 256 }), "BPB_BytsPerSec", ErrCorrupt},
		{"sector size 513", with(goodBoot16(), func(s *bootSpec) { s.bytsPerSec = 513 }), "BPB_BytsPerSec", ErrCorrupt},
		{"sector size 8192", with(goodBoot16(), func(s *bootSpec) { s.bytsPerSec = 8192 }), "BPB_BytsPerSec", ErrCorrupt},
		{"no sectors per cluster", with(goodBoot16(), func(s *bootSpec) { s.secPerClus = 0 }), "BPB_SecPerClus", ErrCorrupt},
		{"3 sectors per cluster", with(goodBoot16(), func(s *bootSpec) { s.secPerClus = 3 }), "BPB_SecPerClus", ErrCorrupt},
		{"255 sectors per cluster", with(goodBoot16(), func(s *bootSpec) { s.secPerClus = 255 }), "BPB_SecPerClus", ErrCorrupt},
		{"no reserved sector", with(goodBoot16(), func(s *bootSpec) { s.rsvdSec = 0 }), "BPB_RsvdSecCnt", ErrCorrupt},
		{"no FAT", with(goodBoot16(), func(s *bootSpec) { s.numFATs = 0 }), "BPB_NumFATs", ErrCorrupt},
		{"5 FATs", with(goodBoot16(), func(s *bootSpec) { s.numFATs = 5 }), "BPB_NumFATs", ErrCorrupt},
		{"media 0", with(goodBoot16(), func(s *bootSpec) { s.media = 0 }), "BPB_Media", ErrCorrupt},
		{"media f7", with(goodBoot16(), func(s *bootSpec) { s.media = 0xf7 }), "BPB_Media", ErrCorrupt},
		{"no size", with(goodBoot16(), func(s *bootSpec) { s.totSec16, s.totSec32 = 0, 0 }), "BPB_TotSec32", ErrCorrupt},
		{"no FAT size", with(goodBoot32(), func(s *bootSpec) { s.fatSz32 = 0 }), "BPB_FATSz32", ErrCorrupt},
		{"FAT of 16 TiB", with(goodBoot32(), func(s *bootSpec) { s.fatSz32, s.bytsPerSec = math.MaxUint32, 4096 }), "BPB_TotSec32", ErrCorrupt},
		{"no root on FAT16", with(goodBoot16(), func(s *bootSpec) { s.rootEnts = 0 }), "BPB_RootEntCnt", ErrCorrupt},
		{"root of FAT16 on FAT32", with(goodBoot32(), func(s *bootSpec) { s.rootEnts = 512 }), "BPB_RootEntCnt", ErrCorrupt},
		{"FAT32 of another version", with(goodBoot32(), func(s *bootSpec) { s.fsVer = 0x100 }), "BPB_FSVer", ErrCorrupt},
		{"root cluster 0", with(goodBoot32(), func(s *bootSpec) { s.rootClus = 0 }), "BPB_RootClus", ErrCorrupt},
		{"root cluster 1", with(goodBoot32(), func(s *bootSpec) { s.rootClus = 1 }), "BPB_RootClus", ErrCorrupt},
		{"root cluster behind the last", with(goodBoot32(), func(s *bootSpec) { s.rootClus = 70002 }), "BPB_RootClus", ErrCorrupt},
		{"active FAT 8 of 2", with(goodBoot32(), func(s *bootSpec) { s.extFlags = 0x88 }), "BPB_ExtFlags", ErrCorrupt},
		{"active FAT 2 of 2", with(goodBoot32(), func(s *bootSpec) { s.extFlags = 0x82 }), "BPB_ExtFlags", ErrCorrupt},
		{"no room for data", with(goodBoot16(), func(s *bootSpec) { s.totSec16 = 159 }), "BPB_TotSec16", ErrCorrupt},
		{"no room for a cluster", with(goodBoot16(), func(s *bootSpec) { s.totSec16 = 162 }), "BPB_TotSec16", ErrCorrupt},
		{"reserved area is everything", with(goodBoot12(), func(s *bootSpec) { s.rsvdSec = 2880 }), "BPB_TotSec16", ErrCorrupt},
		{"65525 clusters on FAT16", goodBoot16().withClusters(FAT16, 65525), "BPB_TotSec32", ErrCorrupt},
		{"one cluster too many for FAT32", goodBoot32().withClusters(FAT32, 0x0ffffff6), "BPB_TotSec32", ErrCorrupt},
		{"far too many clusters for FAT32", with(goodBoot32(), func(s *bootSpec) { s.totSec32, s.fatSz32 = math.MaxUint32, 1<<21 }), "BPB_TotSec32", ErrCorrupt},
		{"two fields wrong and no type", with(goodBoot16(), func(s *bootSpec) {
			s.bytsPerSec, s.numFATs, s.fsType = 0x1234, 0, ""
		}), "BPB_BytsPerSec", ErrNotFAT},
		{"Atari style with a bad field", with(goodBoot16(), func(s *bootSpec) {
			s.noJump, s.noSig, s.bootSig, s.secPerClus = true, true, 0, 3
		}), "BPB_SecPerClus", ErrNotFAT},
		{"empty", bootSpec{noJump: true, noSig: true}, "BPB_BytsPerSec", ErrNotFAT},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := ParseGeometry(tt.boot.bytes(), math.MaxInt64, GeometryOptions{})
			if err == nil {
				t.Fatalf("accepted: %+v", *g)
			}
			var field *BPBError
			if !errors.As(err, &field) || field.Field != tt.field || !errors.Is(err, tt.err) {
				t.Errorf("got %v, want field %s and %v", err, tt.field, tt.err)
			}
			if tt.err == ErrNotFAT && errors.Is(err, ErrCorrupt) {
				t.Errorf("%v is both no FAT and damaged", err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
		})
	}
}

func TestParseGeometryTruncated(t *testing.T) {
	for _, s := range []bootSpec{goodBoot12(), goodBoot16(), goodBoot32()} {
		_, err := ParseGeometry(s.bytes(), s.size()-1, GeometryOptions{})
		if !errors.Is(err, ErrTruncated) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("got %v, want %v", err, ErrTruncated)
			continue
		}
		for _, n := range []int64{s.size(), s.size() - 1} {
			if !strings.Contains(err.Error(), fmt.Sprint(n)) {
				t.Errorf("%q does not say %d", err, n)
			}
		}
		if g, err := ParseGeometry(s.bytes(), s.size()+1, GeometryOptions{}); err != nil || g.Size != s.size() {
			t.Errorf("on a larger device: %+v, %v", g, err)
		}
	}
}

func TestParseGeometryShortDevice(t *testing.T) {
	boot := goodBoot12().bytes()
	for _, n := range []int{0, 1, 511} {
		if _, err := ParseGeometry(boot[:n], int64(n), GeometryOptions{}); !errors.Is(err, ErrNotFAT) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := ParseGeometry(boot, -1, GeometryOptions{}); !errors.Is(err, ErrNotFAT) {
		t.Errorf("negative size: %v", err)
	}
	if _, err := ParseGeometry(boot[:512], goodBoot12().size(), GeometryOptions{}); err != nil {
		t.Errorf("one sector is enough: %v", err)
	}
}

// TestParseGeometryLargest: the largest FAT32 there is, with 4 KiB sectors.
func TestParseGeometryLargest(t *testing.T) {
	s := goodBoot32()
	s.bytsPerSec = 4096
	s = s.withClusters(FAT32, 0x0ffffff5)
	g, err := ParseGeometry(s.bytes(), s.size(), GeometryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if g.Clusters != 0x0ffffff5 || g.Size != s.size() {
		t.Errorf("%+v", *g)
	}
	checkGeometry(t, g, s.size())
}

func TestParseGeometryForeign(t *testing.T) {
	// NTFS keeps the sector size, the sectors per cluster and the media byte where FAT has them.
	ntfs := bootSpec{bytsPerSec: 512, secPerClus: 8, media: 0xf8}.bytes()
	copy(ntfs[offOEM:], "NTFS    ")
	exfat := make([]byte, BootSize)
	copy(exfat, "\xeb\x76\x90EXFAT   ")
	exfat[offSig55AA], exfat[offSig55AA+1] = 0x55, 0xaa
	for name, boot := range map[string][]byte{"NTFS": ntfs, "exFAT": exfat} {
		_, err := ParseGeometry(boot, 1<<30, GeometryOptions{DOS1x: true})
		if !errors.Is(err, ErrNotFAT) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseGeometryUsesWhatTheFATHolds(t *testing.T) {
	s := goodBoot16()
	s.fatSz16 = 40 // 10240 entries for 16000 clusters and more
	g, err := ParseGeometry(s.bytes(), s.size(), GeometryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if g.Width != FAT16 || g.Clusters != 10240-2 {
		t.Errorf("got %v with %d clusters, want FAT16 with 10238", g.Width, g.Clusters)
	}
	checkGeometry(t, g, s.size())
}

func TestParseGeometryWidthOption(t *testing.T) {
	small, large := goodBoot16().withClusters(FAT16, 4000), goodBoot16()
	tests := []struct {
		name string
		boot bootSpec
		fat  int
		want Width // 0: refused
	}{
		{"auto below the limit", small, 0, FAT12},
		{"16 below the limit", small, 16, FAT16},
		{"12 below the limit", small, 12, FAT12},
		{"16 above the limit", large, 16, FAT16},
		{"12 above the limit", large, 12, 0},
		{"32 on a FAT16 layout", large, 32, 0},
		{"16 on a FAT32 layout", goodBoot32(), 16, 0},
		{"32 on a FAT32 layout", goodBoot32(), 32, FAT32},
		{"no width", large, 24, 0},
	}
	for _, tt := range tests {
		g, err := ParseGeometry(tt.boot.bytes(), tt.boot.size(), GeometryOptions{FAT: tt.fat})
		switch {
		case tt.want == 0 && err == nil:
			t.Errorf("%s: accepted as %v", tt.name, g.Width)
		case tt.want != 0 && (err != nil || g.Width != tt.want):
			t.Errorf("%s: %+v, %v, want %v", tt.name, g, err, tt.want)
		case err == nil:
			checkGeometry(t, g, tt.boot.size())
		}
	}
}

func TestParseGeometryAtari(t *testing.T) {
	atari := func(s bootSpec) bootSpec {
		s.noJump, s.noSig, s.bootSig = true, true, 0
		return s
	}
	floppy := atari(bootSpec{bytsPerSec: 512, secPerClus: 2, rsvdSec: 1, numFATs: 2, rootEnts: 112, totSec16: 1440, media: 0xf9, fatSz16: 5})
	g, err := ParseGeometry(floppy.bytes(), floppy.size(), GeometryOptions{})
	if err != nil || g.Width != FAT12 || g.SerialOffset != 0 || g.StateOffset != 0 || g.LabelOffset != 0 || string(g.Label[:]) != noName {
		t.Errorf("floppy: %+v, %v", g, err)
	}
	disk := atari(goodBoot16())
	if g, err := ParseGeometry(disk.bytes(), disk.size(), GeometryOptions{}); err != nil || g.Width != FAT16 {
		t.Errorf("hard disk: %+v, %v", g, err)
	}
	// A small hard disk: the count says FAT12, GEMDOS means FAT16.
	small := atari(goodBoot16()).withClusters(FAT16, 4000)
	if g, err := ParseGeometry(small.bytes(), small.size(), GeometryOptions{}); err == nil || !strings.Contains(err.Error(), "fat=16") {
		t.Errorf("small hard disk: %+v, %v", g, err)
	}
	jump := small
	jump.noJump = false
	if g, err := ParseGeometry(jump.bytes(), jump.size(), GeometryOptions{}); err == nil || !strings.Contains(err.Error(), "fat=16") {
		t.Errorf("small hard disk with a jump: %+v, %v", g, err)
	}
	if g, err := ParseGeometry(small.bytes(), small.size(), GeometryOptions{FAT: 16}); err != nil || g.Width != FAT16 || g.Clusters != 4000 {
		t.Errorf("small hard disk with fat=16: %+v, %v", g, err)
	}
	// Without room for 16-bit entries there is no question.
	small.fatSz16 = 12
	if g, err := ParseGeometry(small.bytes(), small.size(), GeometryOptions{}); err != nil || g.Width != FAT12 {
		t.Errorf("small hard disk with a FAT of 12 sectors: %+v, %v", g, err)
	}
}

func TestParseGeometryDOS1x(t *testing.T) {
	for _, f := range dos1xFloppies {
		boot := make([]byte, BootSize)
		copy(boot, "\xeb\x2f\x14\x00\x00\x00\x60\x00\x20 7-May-81") // as PC DOS 1.0 has it
		boot[512], boot[513], boot[514] = f.media, 0xff, 0xff
		size := f.kib << 10
		g, err := ParseGeometry(boot, size, GeometryOptions{DOS1x: true})
		if err != nil {
			t.Errorf("%d KiB: %v", f.kib, err)
			continue
		}
		checkGeometry(t, g, size)
		if g.Width != FAT12 || g.Media != f.media || g.Size != size || g.StateOffset != 0 || g.SerialOffset != 0 {
			t.Errorf("%d KiB: %+v", f.kib, *g)
		}
		if _, err := ParseGeometry(boot, size, GeometryOptions{}); !errors.Is(err, ErrNotFAT) {
			t.Errorf("%d KiB without the option: %v", f.kib, err)
		}
		if _, err := ParseGeometry(boot[:512], size, GeometryOptions{DOS1x: true}); !errors.Is(err, ErrNotFAT) {
			t.Errorf("%d KiB without its FAT: %v", f.kib, err)
		}
		if _, err := ParseGeometry(boot, size+512, GeometryOptions{DOS1x: true}); !errors.Is(err, ErrNotFAT) {
			t.Errorf("%d KiB and a sector: %v", f.kib, err)
		}
		for off := 512; off < 515; off++ {
			boot[off] ^= 1
			if _, err := ParseGeometry(boot, size, GeometryOptions{DOS1x: true}); !errors.Is(err, ErrNotFAT) {
				t.Errorf("%d KiB with first FAT bytes % x: %v", f.kib, boot[512:515], err)
			}
			boot[off] ^= 1
		}
	}
	// The option changes nothing for a floppy that has a BPB, nor does it hide damage of one.
	s := bootSpec{bytsPerSec: 512, secPerClus: 2, rsvdSec: 1, numFATs: 2, rootEnts: 112, totSec16: 720, media: 0xfd, fatSz16: 2}
	boot := s.bytes()
	boot[512], boot[513], boot[514] = 0xfd, 0xff, 0xff
	if g, err := ParseGeometry(boot, s.size(), GeometryOptions{DOS1x: true}); err != nil || g.Clusters != 354 {
		t.Errorf("360 KiB with a BPB: %+v, %v", g, err)
	}
	boot[offSecClus] = 3
	if _, err := ParseGeometry(boot, s.size(), GeometryOptions{DOS1x: true}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("360 KiB with a damaged BPB: %v", err)
	}
}

func TestParseGeometryFAT32Details(t *testing.T) {
	tests := []struct {
		name   string
		change func(*bootSpec)
		check  func(*Geometry) bool
	}{
		{"second FAT active", func(s *bootSpec) { s.extFlags = 0x81 }, func(g *Geometry) bool { return !g.Mirrored && g.ActiveFAT == 1 }},
		{"mirrored, active FAT not meant", func(s *bootSpec) { s.extFlags = 0x0f }, func(g *Geometry) bool { return g.Mirrored && g.ActiveFAT == 0 }},
		{"root elsewhere", func(s *bootSpec) { s.rootClus = 70001 }, func(g *Geometry) bool { return g.RootCluster == 70001 }},
		{"no FSInfo", func(s *bootSpec) { s.fsInfo = 0 }, func(g *Geometry) bool { return g.FSInfo == 0 }},
		{"FSInfo ffff", func(s *bootSpec) { s.fsInfo = 0xffff }, func(g *Geometry) bool { return g.FSInfo == 0 }},
		{"FSInfo in the FAT", func(s *bootSpec) { s.fsInfo = 32 }, func(g *Geometry) bool { return g.FSInfo == 0 }},
		{"FSInfo last reserved", func(s *bootSpec) { s.fsInfo = 31 }, func(g *Geometry) bool { return g.FSInfo == 31*512 }},
		{"no backup", func(s *bootSpec) { s.bkBoot = 0 }, func(g *Geometry) bool { return g.BackupBoot == 0 }},
		{"backup ffff", func(s *bootSpec) { s.bkBoot = 0xffff }, func(g *Geometry) bool { return g.BackupBoot == 0 }},
		{"backup on FSInfo", func(s *bootSpec) { s.bkBoot = 1 }, func(g *Geometry) bool { return g.BackupBoot == 0 && g.FSInfo == 512 }},
		{"dirty", func(s *bootSpec) { s.state = 1 }, func(g *Geometry) bool { return g.Dirty && !g.HardError }},
		{"hard error", func(s *bootSpec) { s.state = 2 }, func(g *Geometry) bool { return !g.Dirty && g.HardError }},
		{"state bits of others", func(s *bootSpec) { s.state = 0xfc }, func(g *Geometry) bool { return !g.Dirty && !g.HardError }},
		{"serial only", func(s *bootSpec) { s.bootSig = bootSigSerial }, func(g *Geometry) bool {
			return g.SerialOffset == 0x43 && g.LabelOffset == 0 && g.Serial == 0xdeadbeef && string(g.Label[:]) == noName
		}},
		{"no extended BPB", func(s *bootSpec) { s.bootSig, s.state = 0x27, 3 }, func(g *Geometry) bool {
			return g.SerialOffset == 0 && g.LabelOffset == 0 && g.StateOffset == 0 && g.Serial == 0 && !g.Dirty
		}},
		{"16-bit total", func(s *bootSpec) { *s = s.withClusters(FAT32, 60000); s.totSec16, s.totSec32 = uint16(s.totSec32), 0 },
			func(g *Geometry) bool { return g.Width == FAT32 && g.Clusters == 60000 }},
		{"16-bit total goes before", func(s *bootSpec) { s.totSec16 = 50000 }, func(g *Geometry) bool { return g.Size == 50000*512 }},
		{"no signature", func(s *bootSpec) { s.noSig = true }, func(g *Geometry) bool { return g.Width == FAT32 }},
	}
	for _, tt := range tests {
		s := goodBoot32()
		tt.change(&s)
		g, err := ParseGeometry(s.bytes(), 1<<40, GeometryOptions{})
		if err != nil || !tt.check(g) {
			t.Errorf("%s: %+v, %v", tt.name, g, err)
		}
	}
}

// TestParseGeometryLies puts extreme values into each field of each kind of volume: whatever is
// accepted must hold together.
func TestParseGeometryLies(t *testing.T) {
	for _, good := range []bootSpec{goodBoot12(), goodBoot16(), goodBoot32()} {
		for off := 0; off < 0x5a; off++ {
			for _, v := range []byte{0x00, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff} {
				boot := good.bytes()
				boot[off] = v
				for _, size := range []int64{good.size(), 1 << 41, math.MaxInt64} {
					if g, err := ParseGeometry(boot, size, GeometryOptions{}); err == nil {
						checkGeometry(t, g, size)
					}
				}
			}
		}
	}
}

func FuzzParseGeometry(f *testing.F) {
	for _, s := range []bootSpec{goodBoot12(), goodBoot16(), goodBoot32()} {
		f.Add(s.bytes()[:600], s.size(), false, 0)
		f.Add(s.bytes()[:600], int64(math.MaxInt64), true, 16)
	}
	floppy := make([]byte, 600)
	copy(floppy[512:], "\xfe\xff\xff")
	f.Add(floppy, int64(160<<10), true, 0)
	f.Fuzz(func(t *testing.T, boot []byte, size int64, dos1x bool, width int) {
		g, err := ParseGeometry(boot, size, GeometryOptions{DOS1x: dos1x, FAT: width})
		if err != nil {
			if g != nil || errors.Is(err, ErrNotFAT) == errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrInvalid) {
				t.Errorf("geometry %v with error %v", g, err)
			}
			return
		}
		checkGeometry(t, g, size)
	})
}
