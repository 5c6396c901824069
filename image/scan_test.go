package image

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
)

func TestScanWhole(t *testing.T) {
	for _, c := range []struct {
		size int64
		args []string
		kind string
	}{
		{360 * kib, nil, "FAT12"},
		{1440 * kib, []string{"-n", "FLOPPY"}, "FAT12"},
		{32 * mib, []string{"-F", "16"}, "FAT16"},
		{64 * mib, []string{"-F", "32", "-n", "BIG DISK"}, "FAT32"},
		{64 * mib, []string{"-F", "32", "-S", "4096", "-s", "1", "-I"}, "FAT32"},
	} {
		m := fatVolume(t, c.size, append(c.args, "-i", "1234abcd")...)
		l := scan(t, m)
		if l.Scheme != Whole || len(l.Partitions) != 1 || len(l.Notes) != 0 || l.Damage != nil {
			t.Fatalf("%s: %+v", c.kind, l)
		}
		p := l.Partitions[0]
		want := ""
		if len(c.args) > 0 && c.args[len(c.args)-2] == "-n" {
			want = c.args[len(c.args)-1]
		}
		if p.Number != 0 || p.Start != 0 || p.Size != c.size || p.Content.Kind != c.kind ||
			p.Content.Label != want || p.Content.Serial() != "1234-ABCD" {
			t.Errorf("%v: %+v, serial %s", c, p, p.Content.Serial())
		}
	}
}

// TestScanBootSectorOrTable goes through the images whose first sector can be taken for both.
func TestScanBootSectorOrTable(t *testing.T) {
	const size = 64 * mib
	floppy := func(args ...string) func() *device.Mem {
		return func() *device.Mem { return fatVolume(t, size, args...) }
	}
	inside := fatVolume(t, 16*mib, "-F", "16")
	real := []entry{{0x80, 0x06, 2048, 32768}, {0, 0x83, 40960, 8192}}
	for _, c := range []struct {
		name   string
		disk   func() *device.Mem
		table  []entry
		volume int64 // where another FAT volume is
		want   string
	}{
		{"a table over nothing", func() *device.Mem { return device.NewMem(size) }, real, mib, "1:FAT16 2:empty"},
		{"a floppy with an empty table", floppy("-F", "16"), nil, 0, "0:FAT16"},
		{"a floppy with an entry for all of it", floppy("-F", "16"), []entry{{0x80, 0x06, 0, 131072}}, 0, "0:FAT16"},
		{"a floppy with such an entry and others", floppy("-F", "16"), []entry{{0, 6, 0, 131072}, {0, 6, 2048, 32768}}, mib, "0:FAT16"},
		{"a stale BPB before a partition with a volume", floppy("-F", "32"), real, mib, "1:FAT16 2:empty"},
		{"the same with FAT16, whose FAT is overwritten", floppy("-F", "16"), real, mib, "1:FAT16 2:empty"},
		{"a floppy, and a table that leads nowhere", floppy("-F", "32"), []entry{{0, 0x83, 2048, 8192}}, 0, "0:FAT32"},
		{"a floppy, odd flags", floppy("-F", "32"), []entry{{0x7f, 6, 2048, 32768}}, mib, "0:FAT32"},
		{"a floppy, type 0", floppy("-F", "32"), []entry{{0, 0, 2048, 32768}}, mib, "0:FAT32"},
		{"a floppy, an entry beyond the end", floppy("-F", "32"), []entry{{0, 6, 2048, 32768}, {0, 6, 100000, 100000}}, mib, "0:FAT32"},
		{"a floppy, entries that overlap", floppy("-F", "32"), []entry{{0, 6, 2048, 32768}, {0, 6, 2048, 4096}}, mib, "0:FAT32"},
		{"a floppy, an entry without length", floppy("-F", "32"), []entry{{0, 6, 2048, 32768}, {0, 6, 50000, 0}}, mib, "0:FAT32"},
		{"a table with odd flags over nothing", func() *device.Mem { return device.NewMem(size) }, []entry{{0x01, 6, 2048, 32768}, {0xff, 0x83, 40960, 8192}}, mib, "1:FAT16 2:empty"},
		{"garbage that looks like entries", func() *device.Mem { return device.NewMem(size) },
			[]entry{{'t', 't', 0x74747474, 0x6e6e6e6e}, {'x', 'x', 0x78787878, 5}}, 0, "0:unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.disk()
			if c.table != nil {
				putTable(t, d, 0, c.table...)
			}
			if c.volume != 0 {
				put(t, d, c.volume, inside)
			}
			if got := kinds(scan(t, d)); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestScanFakeMBR reads what mkfs.fat writes for Windows: a table with one entry from sector 0.
func TestScanFakeMBR(t *testing.T) {
	path := newFile(t, 64*mib)
	run(t, "", "mkfs.fat", "--mbr=y", path)
	m, err := device.ReadMem(path)
	if err != nil {
		t.Fatal(err)
	}
	if parseMBR(read(t, m, 0, 512)).empty() {
		t.Fatal("mkfs.fat wrote no table")
	}
	if got := kinds(scan(t, m)); got != "0:FAT16" {
		t.Errorf("%s", got)
	}
}

// TestScanForeign recognises what is not FAT.
func TestScanForeign(t *testing.T) {
	at := func(off int64, magic string) func(*device.Mem) {
		return func(m *device.Mem) { write(t, m, off, []byte(magic)) }
	}
	ext := func(compat, incompat, ro byte) func(*device.Mem) {
		return func(m *device.Mem) {
			write(t, m, 1024+56, []byte{0x53, 0xef})
			write(t, m, 1024+92, []byte{compat, 0, 0, 0, incompat, 0, 0, 0, ro, 0, 0, 0})
		}
	}
	fatBPB := func(more func(*device.Mem)) func(*device.Mem) {
		return func(m *device.Mem) {
			put(t, m, 0, fatVolume(t, m.Size(), "-F", "16"))
			more(m)
		}
	}
	for _, c := range []struct {
		kind string
		make func(*device.Mem)
	}{
		{"empty", func(*device.Mem) {}},
		{"unknown", at(0, "some text")},
		{"unknown", at(69_000, "x")},
		{"exFAT", at(3, "EXFAT   ")},
		{"NTFS", at(3, "NTFS    ")},
		{"NTFS", fatBPB(at(3, "NTFS    "))},
		{"BitLocker", at(3, "-FVE-FS-")},
		{"BitLocker", fatBPB(at(424, "\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01"))},
		{"HPFS", fatBPB(at(54, "HPFS    "))},
		{"ext2", ext(0, 2, 1)},
		{"ext3", ext(4, 2, 1)},
		{"ext4", ext(4, 0x42, 1)},
		{"ext4", ext(4, 2, 0x7f)},
		{"XFS", at(0, "XFSB")},
		{"Btrfs", at(65536+64, "_BHRfS_M")},
		{"ISO 9660", at(32769, "CD001")},
		{"swap", at(4086, "SWAPSPACE2")},
		{"SquashFS", at(0, "hsqs")},
		{"LUKS", at(0, "LUKS\xba\xbe")},
		{"LVM", at(512, "LABELONE")},
		{"F2FS", at(1024, "\x10\x20\xf5\xf2")},
		// The boot sector is that of a volume which is no more: its FAT is overwritten.
		{"ext4", fatBPB(func(m *device.Mem) { m.ZeroAt(512, 1<<20); ext(4, 0x42, 1)(m) })},
		// An old superblock in the reserved sectors of a FAT32 volume that is well.
		{"FAT32", func(m *device.Mem) {
			put(t, m, 0, fatVolume(t, m.Size(), "-F", "32", "-s", "1"))
			ext(4, 0x42, 1)(m)
		}},
	} {
		m := device.NewMem(40 * mib)
		c.make(m)
		if got := kinds(scan(t, m)); got != "0:"+c.kind {
			t.Errorf("%s, want %s", got, c.kind)
		}
	}
}

// TestScanMkfs has other programs make what is to be recognised.
func TestScanMkfs(t *testing.T) {
	for _, c := range []struct{ kind, tool, arg string }{
		{"ext2", "mkfs.ext2", "-q"}, {"ext3", "mkfs.ext3", "-q"}, {"ext4", "mkfs.ext4", "-q"}, {"swap", "mkswap", "-q"},
	} {
		if c.tool == "mkswap" {
			c.arg = "-v1"
		}
		path := newFile(t, 8*mib)
		run(t, "", c.tool, c.arg, path)
		m, err := device.ReadMem(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := kinds(scan(t, m)); got != "0:"+c.kind {
			t.Errorf("%s made %s", c.tool, got)
		}
	}
}

// TestScanDamagedFAT checks that a boot sector which lies is told from one that is none.
func TestScanDamagedFAT(t *testing.T) {
	m := fatVolume(t, 16*mib, "-F", "16")
	write(t, m, 13, []byte{3}) // sectors per cluster
	l := scan(t, m)
	if p := l.Partitions[0]; p.Content.Kind != "damaged FAT" || !errors.Is(p.Content.Err, fat.ErrCorrupt) {
		t.Fatalf("%+v", p)
	}
	if _, err := l.Choose("", true); !errors.Is(err, fat.ErrCorrupt) || !strings.Contains(err.Error(), "3") {
		t.Errorf("Choose: %v", err)
	}
	short := device.NewMem(4 * mib)
	write(t, short, 0, read(t, fatVolume(t, 16*mib, "-F", "16"), 0, 4*mib))
	if _, err := scan(t, short).Choose("", true); err == nil || errors.Is(err, ErrNoVolume) ||
		!strings.Contains(err.Error(), fmt.Sprint(4*mib)) || !strings.Contains(err.Error(), fmt.Sprint(16*mib)) {
		t.Errorf("a truncated image: %v", err)
	}
}

// TestScanSmall scans devices of hardly any bytes.
func TestScanSmall(t *testing.T) {
	for _, size := range []int64{0, 1, 511, 512, 513, 1024, 4095} {
		for _, fill := range []byte{0, 0xff, 0x55} {
			m := device.NewMem(size)
			write(t, m, 0, bytes.Repeat([]byte{fill}, int(size)))
			l := scan(t, m)
			if _, err := l.Choose("", true); !errors.Is(err, ErrNoVolume) && err == nil {
				t.Errorf("%d bytes of %#x: %+v", size, fill, l)
			}
		}
	}
}

// TestScanDeviceFails has each read fail in turn: that is an error of the scan, or is said of the
// partition; it never makes a volume of nothing, and never another layout.
func TestScanDeviceFails(t *testing.T) {
	disk := device.NewMem(64 * mib)
	putTable(t, disk, 0, entry{0, 6, 2048, 32768}, entry{0, 5, 40960, 40960})
	putTable(t, disk, 40960*512, entry{0, 6, 2048, 32768})
	put(t, disk, mib, fatVolume(t, 16*mib, "-F", "16"))
	put(t, disk, (40960+2048)*512, fatVolume(t, 16*mib, "-F", "16"))
	healthy := kinds(scan(t, disk))
	if healthy != "1:FAT16 2:extended 5:FAT16" {
		t.Fatal(healthy)
	}
	for k := int64(1); ; k++ {
		f := faultdev.New(disk)
		f.Inject(faultdev.FailAt(k, syscall.EIO))
		l, err := Scan(f)
		if f.Injected() == 0 {
			break
		}
		if err != nil {
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("read %d: %v", k, err)
			}
			continue
		}
		bad := 0
		for _, p := range l.Partitions {
			if errors.Is(p.Err, syscall.EIO) {
				bad++
			} else if !p.Extended && p.Content.Kind != "FAT16" {
				t.Errorf("read %d: %s", k, kinds(l))
			}
		}
		if bad != 1 || len(l.Partitions) != 3 {
			t.Errorf("read %d failed and nobody noticed: %s", k, kinds(l))
		}
	}
}

// TestScanCost scans a huge device without anything on it.
func TestScanCost(t *testing.T) {
	f := faultdev.New(device.NewMem(1 << 60))
	if _, err := Scan(f); err != nil {
		t.Fatal(err)
	}
	if c := f.Counts(); c.Read > 20 || c.Changes() != 0 {
		t.Errorf("%+v for an empty device of 1 EiB", c)
	}
}
