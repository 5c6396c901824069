package image

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// fakeVolume is a partition that holds a FAT volume, as Scan would find it.
func fakeVolume(number int, label, serial, name, uuid string) Partition {
	var n uint32
	fmt.Sscanf(strings.ReplaceAll(serial, "-", ""), "%x", &n)
	return Partition{
		Number: number, Start: int64(number) * mib, Size: 1536 * kib, Name: name, UUID: uuid,
		Content: Content{Kind: "FAT12", Label: label, Geometry: &fat.Geometry{SerialOffset: 39, Serial: n}},
	}
}

func TestChoose(t *testing.T) {
	ext4 := Partition{Number: 3, Size: mib, Name: "DATA", UUID: "AAAAAAAA-0000-0000-0000-000000000003", Content: Content{Kind: "ext4"}}
	several := &Layout{Scheme: GPT, Partitions: []Partition{
		fakeVolume(1, "BOOT", "1234-ABCD", "EFI", "AAAAAAAA-0000-0000-0000-000000000001"),
		fakeVolume(2, "DATA", "0000-0001", "Basic data", "AAAAAAAA-0000-0000-0000-000000000002"),
		ext4,
		fakeVolume(5, "boot", "5555-5555", "2", "1234abcd-05"),
		fakeVolume(6, "LABEL=ODD", "6666-6666", "same", ""),
		fakeVolume(7, "", "", "same", ""),
	}}
	for _, c := range []struct {
		choice string
		want   int   // number
		err    error // or this
	}{
		{"1", 1, nil}, {"5", 5, nil}, {"4", 0, ErrNoPartition}, {"0", 0, ErrNoPartition}, {"01", 0, ErrNoPartition}, {"-1", 0, ErrNoPartition},
		{"2", 2, nil}, // the number, not the name of 5
		{"PARTLABEL=2", 5, nil},
		{"1234-ABCD", 1, nil}, {"1234abcd", 1, nil}, {"UUID=1234-abcd", 1, nil},
		{"1234abcd-05", 5, nil}, {"PARTUUID=1234ABCD-05", 5, nil}, {"UUID=1234ABCD-05", 0, ErrNoPartition},
		{"aaaaaaaa-0000-0000-0000-000000000002", 2, nil}, {"{AAAAAAAA-0000-0000-0000-000000000002}", 2, nil},
		{"efi", 1, nil}, {"LABEL=EFI", 0, ErrNoPartition}, {"partlabel=Efi", 1, nil}, {"Basic data", 2, nil},
		{"DATA", 2, nil}, // label of 2 before the name of 3
		{"PARTLABEL=DATA", 0, ErrNoVolume},
		{"3", 0, ErrNoVolume}, {"AAAAAAAA-0000-0000-0000-000000000003", 0, ErrNoVolume},
		{"BOOT", 0, ErrAmbiguous}, {"same", 0, ErrAmbiguous}, {"LABEL=boot", 0, ErrAmbiguous},
		{"", 0, ErrAmbiguous},
		{"nothing", 0, ErrNoPartition}, {"LABEL=", 0, ErrNoPartition}, {"PARTUUID=", 0, ErrNoPartition}, {"UUID=", 0, ErrNoPartition},
	} {
		p, err := several.Choose(c.choice, false)
		if p.Number != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: partition %d, %v; want %d, %v", c.choice, p.Number, err, c.want, c.err)
		}
	}
}

func TestChooseErrors(t *testing.T) {
	vol := fakeVolume(1, "BOOT", "1234-ABCD", "EFI", "")
	beyond := fakeVolume(2, "", "", "", "")
	beyond.Err = fmt.Errorf("partition 2 ends where nothing is: %w", ErrBeyondEnd)
	over := fakeVolume(1, "", "", "", "")
	over.Overlap = fmt.Errorf("partition 1 %w partition 2", ErrOverlap)
	ext4 := Partition{Number: 2, Size: 3 * gib / 2, Content: Content{Kind: "ext4"}}
	bad := Partition{Number: 4, Size: mib, Content: Content{Kind: "damaged FAT", Err: fmt.Errorf("BPB: %w", fat.ErrCorrupt)}}
	broken := fmt.Errorf("loops: %w", ErrTable)
	for _, c := range []struct {
		name     string
		layout   Layout
		choice   string
		readOnly bool
		err      error
		says     []string
	}{
		{"two volumes", Layout{Scheme: MBR, Partitions: []Partition{vol, fakeVolume(5, "", "", "", "")}}, "", false, ErrAmbiguous,
			[]string{"2 FAT volumes", `-o partition=1 (FAT12, 1.5 MiB, label "BOOT", name "EFI")`, "-o partition=5 (FAT12, 1.5 MiB)"}},
		{"none", Layout{Scheme: MBR, Partitions: []Partition{ext4}}, "", false, ErrNoVolume, []string{"2 (ext4, 1.5 GiB)"}},
		{"nothing", Layout{Scheme: Whole, Partitions: []Partition{{Content: Content{Kind: "empty"}}}}, "", false, ErrNoVolume, []string{"only zeros"}},
		{"empty table", Layout{Scheme: GPT}, "", false, ErrNoVolume, []string{"table is empty"}},
		{"not FAT", Layout{Scheme: MBR, Partitions: []Partition{vol, ext4}}, "2", false, ErrNoVolume, []string{"partition 2 holds ext4"}},
		{"no table", Layout{Scheme: Whole, Partitions: []Partition{fakeVolume(0, "", "", "", "")}}, "1", false, ErrNoPartition, []string{"no partition table", "the image holds FAT12"}},
		{"damaged", Layout{Scheme: MBR, Partitions: []Partition{bad, ext4}}, "", false, fat.ErrCorrupt, []string{"partition 4", "BPB"}},
		{"beyond the end", Layout{Scheme: MBR, Partitions: []Partition{beyond}}, "", true, ErrBeyondEnd, []string{"partition 2"}},
		{"overlap", Layout{Scheme: MBR, Partitions: []Partition{over}}, "", false, ErrOverlap, []string{"partition 1 overlaps partition 2", "-o ro"}},
		{"overlap, reading", Layout{Scheme: MBR, Partitions: []Partition{over}}, "", true, nil, nil},
		{"broken chain", Layout{Scheme: MBR, Partitions: []Partition{vol}, Damage: broken}, "", true, ErrTable, []string{"1 FAT volume ", "partition=N", "loops"}},
		{"broken chain, a choice", Layout{Scheme: MBR, Partitions: []Partition{vol}, Damage: broken}, "1", false, nil, nil},
		{"broken chain, a bad choice", Layout{Scheme: MBR, Partitions: []Partition{vol}, Damage: broken}, "7", false, ErrTable, []string{"partition=7", "loops"}},
		{"broken table", Layout{Scheme: GPT, Damage: broken}, "", false, ErrTable, []string{"loops"}},
	} {
		c.layout.Size = gib
		_, err := c.layout.Choose(c.choice, c.readOnly)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q does not say %q", c.name, err, s)
			}
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", c.name, err)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 512: "512 B", 1024: "1 KiB", 1440 * kib: "1.4 MiB", 16 * mib: "16 MiB",
		4*gib - 1: "4.0 GiB", 2 << 40: "2 TiB", 1<<63 - 1: "8 EiB",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// TestVolumeLabel has mtools and mkfs.fat put labels where they may be.
func TestVolumeLabel(t *testing.T) {
	for _, args := range [][]string{{"-F", "12"}, {"-F", "16", "-s", "1"}, {"-F", "32", "-s", "1"}} {
		t.Run(args[1], func(t *testing.T) {
			path := newFile(t, map[string]int64{"12": 2, "16": 16, "32": 40}[args[1]]*mib)
			run(t, "", "mkfs.fat", append(args, path)...)
			label := func() string {
				m, err := device.ReadMem(path)
				if err != nil {
					t.Fatal(err)
				}
				return scan(t, m).Partitions[0].Content.Label
			}
			if got := label(); got != "" {
				t.Errorf("no label: %q", got)
			}
			// Behind more entries than a cluster holds, so that the chain is followed.
			var touch []string
			for i := range 60 {
				touch = append(touch, fmt.Sprintf("::a long name that takes several slots %d", i))
			}
			run(t, "", "mmd", append([]string{"-i", path}, touch...)...)
			run(t, "", "mlabel", "-i", path, "::late label")
			if got := label(); got != "LATE LABEL" {
				t.Errorf("label in the root directory: %q", got)
			}
			run(t, "", "mlabel", "-c", "-i", path, "::")
			if got := label(); got != "" {
				t.Errorf("label removed: %q", got)
			}
		})
	}
}

// TestVolumeLabelLoop follows a root directory that has no end.
func TestVolumeLabelLoop(t *testing.T) {
	m := fatVolume(t, 40*mib, "-F", "32", "-s", "1")
	g := scan(t, m).Partitions[0].Content.Geometry
	write(t, m, g.FATStart+2*4, []byte{2, 0, 0, 0}) // cluster 2 leads to itself
	root := make([]byte, g.ClusterSize)
	for i := 0; i < len(root); i += 32 {
		copy(root[i:], "FILE    TXT\x20")
	}
	write(t, m, g.DataStart, root)
	if got := kinds(scan(t, m)); got != "0:FAT32" {
		t.Error(got)
	}
}

// TestVolumeLabelBytes has labels that are no ASCII, one of which begins like a free slot.
func TestVolumeLabelBytes(t *testing.T) {
	for raw, want := range map[string]string{
		"\x81BUNG      ": "üBUNG",
		"\x05TOP       ": "σTOP",
		"  TWO  WORDS":   "  TWO  WORD",
		"\xe5OLD       \x08" + strings.Repeat("\x00", 20) + "LIVE       ": "LIVE",
	} {
		m := fatVolume(t, 360*kib)
		g := scan(t, m).Partitions[0].Content.Geometry
		for slot := int64(0); len(raw) > 0; slot++ {
			n := min(11, len(raw))
			write(t, m, g.RootStart+slot*32, []byte(raw[:n]))
			write(t, m, g.RootStart+slot*32+11, []byte{attrVolume})
			raw = raw[min(32, len(raw)):]
		}
		if got := scan(t, m).Partitions[0].Content.Label; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
