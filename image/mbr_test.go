package image

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"fatvol/image/device"
)

// table is the sector that a partition table is put into.
type table struct {
	sector  uint32
	entries []entry
}

// layoutString sums a layout up: number, first sector, sectors, with what is wrong with it.
func layoutString(l *Layout) string {
	var list []string
	for _, p := range l.Partitions {
		s := fmt.Sprintf("%d:%d+%d", p.Number, p.Start/512, p.Size/512)
		if p.Extended {
			s += "e"
		}
		if p.Logical {
			s += "l"
		}
		if p.Err != nil {
			s += "!"
		}
		if p.Overlap != nil {
			s += "*"
		}
		list = append(list, s)
	}
	return strings.Join(list, " ")
}

// TestLogicalPartitions walks chains as tools write them, and as nobody should.
// The device has 100000 sectors.
func TestLogicalPartitions(t *testing.T) {
	const ext = 10000
	extended := []entry{{0, 0x83, 2048, 2048}, {0, 0x05, ext, 50000}}
	for _, c := range []struct {
		name   string
		tables []table // of the chain
		want   string  // behind the primary partitions
		damage string  // part of the reason, empty: none
	}{
		{"as fdisk writes it", []table{
			{ext, []entry{{0, 6, 63, 1000}, {0, 5, 2000, 3000}}},
			{ext + 2000, []entry{{0, 6, 63, 1000}, {0, 5, 5000, 3000}}},
			{ext + 5000, []entry{{0, 6, 63, 1000}}},
		}, "5:10063+1000l 6:12063+1000l 7:15063+1000l", ""},
		{"new and empty", nil, "", ""},
		{"without a partition in it", []table{{ext, nil}}, "", ""},
		{"link first, as DR-DOS", []table{
			{ext, []entry{{0, 5, 2000, 3000}}},
			{ext + 2000, []entry{{0, 6, 63, 1000}}},
		}, "5:12063+1000l", ""},
		{"four entries, as OS/2", []table{
			{ext, []entry{{0, 6, 63, 1000}, {0, 5, 9000, 3000}, {0, 6, 1100, 100}, {0, 6, 1300, 100}}},
			{ext + 9000, []entry{{0, 6, 63, 1000}}},
		}, "5:10063+1000l 6:11100+100l 7:11300+100l 8:19063+1000l", ""},
		{"garbage in the third and fourth", []table{
			{ext, []entry{{0, 6, 63, 1000}, {}, {7, 7, 0x77777777, 0x77777777}, {9, 9, 0xffffffff, 0xffffffff}}},
		}, "5:10063+1000l", ""},
		{"type 0 counts, as it does for Linux", []table{
			{ext, []entry{{0, 0, 63, 1000}, {0, 5, 2000, 3000}}},
			{ext + 2000, []entry{{0, 6, 63, 1000}}},
		}, "5:10063+1000l 6:12063+1000l", ""},
		{"backwards", []table{
			{ext, []entry{{0, 6, 63, 1000}, {0, 5, 30000, 3000}}},
			{ext + 30000, []entry{{0, 6, 63, 1000}, {0, 5, 2000, 3000}}},
			{ext + 2000, []entry{{0, 6, 63, 1000}}},
		}, "5:10063+1000l 6:40063+1000l 7:12063+1000l", ""},
		{"odd flags", []table{{ext, []entry{{0x42, 6, 63, 1000}}}}, "5:10063+1000l", ""},

		{"a link to itself", []table{{ext, []entry{{0, 6, 63, 1000}, {0, 5, 0, 3000}}}},
			"5:10063+1000l", "comes back to its sector 10000"},
		{"a loop of two", []table{
			{ext, []entry{{0, 6, 63, 1000}, {0, 5, 2000, 3000}}},
			{ext + 2000, []entry{{0, 6, 63, 1000}, {0, 5, 0, 3000}}},
		}, "5:10063+1000l 6:12063+1000l", "comes back"},
		{"a link out of the extended partition", []table{{ext, []entry{{0, 6, 63, 1000}, {0, 5, 50000, 3000}}}},
			"5:10063+1000l", "sector 60000"},
		{"a link that would overflow 32 bits", []table{{ext, []entry{{0, 6, 63, 1000}, {0, 5, 0xffffffff, 3000}}}},
			"5:10063+1000l", "sector 4294977295"},
		{"a link to no table", []table{{ext, []entry{{0, 6, 63, 1000}, {0, 5, 2000, 3000}}}},
			"5:10063+1000l", "no table of logical partitions in sector 12000"},
		{"a partition out of the extended one", []table{{ext, []entry{{0, 6, 63, 60000}}}},
			"5:10063+60000l!", ""},
		{"a partition on its own table", []table{{ext, []entry{{0, 6, 0, 1000}}}},
			"5:10000+1000l!*", ""},
		{"partitions that overlap", []table{
			{ext, []entry{{0, 6, 63, 3000}, {0, 5, 5000, 3000}, {0, 6, 2000, 500}}},
			{ext + 5000, []entry{{0, 6, 63, 1000}}},
		}, "5:10063+3000l* 6:12000+500l* 7:15063+1000l", ""},
		{"a partition over the next link", []table{
			{ext, []entry{{0, 6, 63, 3000}, {0, 5, 2000, 3000}}},
			{ext + 2000, []entry{{0, 6, 2000, 1000}}},
		}, "5:10063+3000l* 6:14000+1000l", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := device.NewMem(100_000 * 512)
			putTable(t, m, 0, extended...)
			for _, tab := range c.tables {
				putTable(t, m, int64(tab.sector)*512, tab.entries...)
			}
			l := scan(t, m)
			got := strings.TrimSpace(strings.TrimPrefix(layoutString(l), "1:2048+2048 2:10000+50000e"))
			if got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			if (l.Damage == nil) != (c.damage == "") || l.Damage != nil && (!errors.Is(l.Damage, ErrTable) || !strings.Contains(l.Damage.Error(), c.damage)) {
				t.Errorf("damage: %v, want %q", l.Damage, c.damage)
			}
		})
	}
}

// TestLogicalBeyondEnd has an extended partition that is longer than the image.
func TestLogicalBeyondEnd(t *testing.T) {
	m := device.NewMem(20_000 * 512)
	putTable(t, m, 0, entry{0, 0x0f, 10000, 50000})
	putTable(t, m, 10000*512, entry{0, 6, 63, 1000}, entry{0, 5, 20000, 3000})
	l := scan(t, m)
	if got := layoutString(l); got != "1:10000+50000e 5:10063+1000l" {
		t.Error(got)
	}
	if l.Damage == nil || !strings.Contains(l.Damage.Error(), "sector 30000, and the image has 20000") {
		t.Errorf("damage: %v", l.Damage)
	}
}

// TestTooManyLogicalPartitions has a chain that does not end for a long time: Linux stops too.
func TestTooManyLogicalPartitions(t *testing.T) {
	for _, withPartition := range []bool{true, false} {
		m := device.NewMem(1_000_000 * 512)
		putTable(t, m, 0, entry{0, 5, 100, 900_000})
		for i := range uint32(2000) {
			e := []entry{{0, 6, 1, 10}, {0, 5, (i + 1) * 100, 100}}
			if !withPartition {
				e[0] = entry{}
			}
			putTable(t, m, int64(100+i*100)*512, e...)
		}
		l := scan(t, m)
		if n := len(l.Partitions); n > 1+maxLogical || withPartition && n != 1+maxLogical || !errors.Is(l.Damage, ErrTable) {
			t.Errorf("%d partitions, damage %v", n, l.Damage)
		}
	}
}

// TestTwoExtendedPartitions numbers the logical ones of both, and does not walk one chain twice.
func TestTwoExtendedPartitions(t *testing.T) {
	m := device.NewMem(100_000 * 512)
	putTable(t, m, 0, entry{0, 5, 1000, 1000}, entry{0, 0x85, 5000, 1000})
	putTable(t, m, 1000*512, entry{0, 6, 63, 100})
	putTable(t, m, 5000*512, entry{0, 6, 63, 100})
	l := scan(t, m)
	if got := layoutString(l); got != "1:1000+1000e 2:5000+1000e 5:1063+100l 6:5063+100l" || l.Damage != nil {
		t.Error(got, l.Damage)
	}
	putTable(t, m, 0, entry{0, 5, 1000, 1000}, entry{0, 5, 1000, 1000})
	l = scan(t, m)
	if got := layoutString(l); got != "1:1000+1000e* 2:1000+1000e* 5:1063+100l" || l.Damage == nil {
		t.Error(got, l.Damage)
	}
}

func TestPrimaryPartitions(t *testing.T) {
	m := device.NewMem(100_000 * 512)
	write(t, m, 440, []byte{0x78, 0x56, 0x34, 0x12})
	putTable(t, m, 0, entry{0x80, 0x0c, 2048, 1000}, entry{}, entry{0, 6, 90_000, 20_000}, entry{0, 6, 0xffffffff, 0xffffffff})
	l := scan(t, m)
	if got := layoutString(l); got != "1:2048+1000 3:90000+20000! 4:4294967295+4294967295!" {
		t.Error(got)
	}
	p := l.Partitions[0]
	if l.ID != "12345678" || p.UUID != "12345678-01" || p.Type != "0c" || p.TypeName != "FAT32 (LBA)" || !p.Bootable || l.Partitions[1].Bootable {
		t.Errorf("%+v of %s", p, l.ID)
	}
	if err := l.Partitions[1].Err; !errors.Is(err, ErrBeyondEnd) || !strings.Contains(err.Error(), "partition 3") ||
		!strings.Contains(err.Error(), fmt.Sprint(100_000*512)) || !strings.Contains(err.Error(), fmt.Sprint(20_000*512)) {
		t.Errorf("beyond the end: %v", err)
	}
}

func TestMarkOverlaps(t *testing.T) {
	for _, c := range []struct {
		ranges [][2]int64
		want   string
	}{
		{[][2]int64{{0, 10}, {10, 20}, {30, 40}}, "..."},
		{[][2]int64{{0, 11}, {10, 20}, {30, 40}}, "**."},
		{[][2]int64{{0, 100}, {10, 20}, {15, 30}, {40, 50}, {100, 110}}, "****."},
		{[][2]int64{{15, 30}, {100, 110}, {0, 100}, {40, 50}, {10, 20}}, "*.***"},
		{[][2]int64{{5, 5}, {0, 10}}, ".."}, // without length
		{[][2]int64{{1000, 1010}}, "*"},     // on what is reserved
		{[][2]int64{{7, 9}, {7, 9}}, "**"},
	} {
		var parts []Partition
		for i, r := range c.ranges {
			parts = append(parts, Partition{Number: i + 1, Start: r[0], Size: r[1] - r[0]})
		}
		markOverlaps(parts, []region{{1005, 1006, "the table"}}, func(Partition) bool { return true })
		got := ""
		for _, p := range parts {
			if p.Overlap == nil {
				got += "."
			} else {
				got += "*"
			}
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.ranges, got, c.want)
		}
	}
}

// TestIsohybrid reads the table of a CD that boots from sticks too: one partition is all of it
// and begins with the table, another one lies inside and holds a FAT volume, to be read only.
func TestIsohybrid(t *testing.T) {
	m := device.NewMem(64 * mib)
	write(t, m, 32769, []byte("CD001"))
	putTable(t, m, 0, entry{0x80, 0x17, 0, 131072}, entry{0, 0xef, 4096, 16384})
	put(t, m, 2*mib, fatVolume(t, 8*mib, "-F", "12"))
	l := scan(t, m)
	if got := kinds(l); got != "1:ISO 9660 2:FAT12" || l.Scheme != MBR {
		t.Error(got)
	}
	if _, err := l.Choose("", false); !errors.Is(err, ErrOverlap) {
		t.Errorf("for writing: %v", err)
	}
	if p, err := l.Choose("", true); err != nil || p.Number != 2 {
		t.Errorf("for reading: %d, %v", p.Number, err)
	}
}

// Test4096ByteSectors reads the image of a disk with long sectors, of which nothing says so.
func Test4096ByteSectors(t *testing.T) {
	m := device.NewMem(64 * mib)
	putTable(t, m, 0, entry{0, 6, 256, 4096})
	put(t, m, mib, fatVolume(t, 16*mib, "-S", "4096"))
	l := scan(t, m)
	if got := kinds(l); l.SectorSize != 4096 || len(l.Notes) != 1 || !strings.HasPrefix(got, "1:FAT") {
		t.Errorf("%s in sectors of %d, notes %q", got, l.SectorSize, l.Notes)
	}
	if l := scan(t, sectored{m, 512}); l.SectorSize != 512 || strings.Contains(kinds(l), "FAT") {
		t.Errorf("a disk that says it has short sectors: %s in sectors of %d", kinds(l), l.SectorSize)
	}
}

// sectored is a device that knows its sector size.
type sectored struct {
	device.Device
	size int
}

func (s sectored) SectorSize() int { return s.size }
