package fattest

import (
	"fmt"
	"strings"
	"testing"

	"fatvol/image/device"
)

// layouts covers widths, sector and cluster sizes, numbers of FATs and the limits of each width.
func layouts() []Layout {
	var ls []Layout
	for _, sector := range []int{512, 1024, 2048, 4096} {
		for _, per := range []int{1, 8, 64, 128} {
			ls = append(ls,
				Layout{Width: 12, Clusters: 200, SectorSize: sector, ClusterSize: sector * per, FATs: 1},
				Layout{Width: 16, Clusters: 5000, SectorSize: sector, ClusterSize: sector * per},
				Layout{Width: 32, Clusters: 66000, SectorSize: sector, ClusterSize: sector * per, FATs: 3})
		}
	}
	return append(ls,
		Layout{Width: 12, Clusters: 1},
		Layout{Width: 12, Clusters: maxClusters12, FATs: 4},
		Layout{Width: 16, Clusters: maxClusters12 + 1},
		Layout{Width: 16, Clusters: maxClusters16, Spare: 1, ClusterSize: 1024},
		Layout{Width: 32, Clusters: maxClusters16 + 1, RootCluster: 777, Label: "LABEL", Serial: 0x12345678},
		Layout{Width: 32, Clusters: 70000, NoFSInfo: true, NoBackup: true, ExtraFAT: 3},
		Layout{Width: 16, Clusters: 9000, RootEntries: 16, Reserved: 7, Bad: []uint32{2, 3, 9001}},
		Layout{Width: 12, Clusters: 355, FATs: 2, RootEntries: 112, ClusterSize: 1024, Media: 0xf9, Hidden: 63})
}

func TestFormat(t *testing.T) {
	for _, l := range layouts() {
		t.Run(fmt.Sprintf("%+v", l), func(t *testing.T) {
			m := Formatted(t, l)
			r := check(t, m)
			if err := r.Err(); err != nil {
				t.Error(err)
			}
			used := uint32(len(l.Bad))
			if l.Width == 32 {
				used++
			}
			if r.Volume.Width != l.Width || r.Volume.Clusters != l.Clusters || r.Free != l.Clusters-used || len(r.Files) != 0 {
				t.Errorf("FAT%d, %d clusters, %d free, %d files", r.Volume.Width, r.Volume.Clusters, r.Free, len(r.Files))
			}
			if r.Label != l.Label {
				t.Errorf("label %q", r.Label)
			}
			// fsck.fat knows 1 or 2 FATs, and takes a missing backup or FSInfo for an error.
			if m.Size() > 1<<30 || l.FATs > 2 || l.NoFSInfo || l.NoBackup {
				return
			}
			need(t, "fsck.fat")
			out, code := fsck(t, toFile(t, m))
			// fsck.fat counts one file for the label; it has no other word to say.
			if code != 0 || len(strings.Split(strings.TrimSpace(out), "\n")) != 2 {
				t.Errorf("fsck.fat: exit code %d\n%s", code, out)
			}
			if want := fmt.Sprintf("/%d clusters", l.Clusters); !strings.Contains(out, want) {
				t.Errorf("fsck.fat does not see %q:\n%s", want, out)
			}
		})
	}
}

func TestFormatRefuses(t *testing.T) {
	for name, l := range map[string]Layout{
		"no width":            {Clusters: 100},
		"FAT12 with too many": {Width: 12, Clusters: maxClusters12 + 1},
		"FAT16 with too few":  {Width: 16, Clusters: maxClusters12},
		"FAT32 with too few":  {Width: 32, Clusters: maxClusters16},
		"odd sector":          {Width: 12, Clusters: 100, SectorSize: 768},
		"huge cluster":        {Width: 12, Clusters: 100, ClusterSize: 512 * 256},
		"five FATs":           {Width: 12, Clusters: 100, FATs: 5},
		"root that is none":   {Width: 32, Clusters: 70000, RootCluster: 70002},
		"ragged root":         {Width: 12, Clusters: 100, RootEntries: 17},
	} {
		if _, err := VolumeSize(l); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := Format(device.NewMem(1<<20), Layout{Width: 16, Clusters: 5000}); err == nil {
		t.Error("a volume larger than its device: accepted")
	}
}

// TestFormatOverGarbage formats a device that is full of something else.
func TestFormatOverGarbage(t *testing.T) {
	for _, l := range []Layout{{Width: 12, Clusters: 100}, {Width: 16, Clusters: 5000}, {Width: 32, Clusters: 66000}} {
		size, _ := VolumeSize(l)
		m := device.NewMem(size)
		junk := make([]byte, 1<<16)
		for i := range junk {
			junk[i] = byte(i)*31 + 7
		}
		for off := int64(0); off < size; off += int64(len(junk)) {
			m.WriteAt(junk[:min(int64(len(junk)), size-off)], off)
		}
		if err := Format(m, l); err != nil {
			t.Fatal(err)
		}
		if err := check(t, m).Err(); err != nil {
			t.Errorf("FAT%d: %v", l.Width, err)
		}
	}
}
