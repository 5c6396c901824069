package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/diskfs/go-diskfs/partition/mbr"

	"fatvol/image/device"
)

// sfdiskTable is what "sfdisk --json" says of a table.
type sfdiskTable struct {
	PartitionTable struct {
		Label      string
		ID         string
		SectorSize int
		Partitions []struct {
			Node        string
			Start, Size int64
			Type, UUID  string
			Name        string
			Bootable    bool
		}
	}
}

// compareWithSfdisk compares what Scan finds with what sfdisk does, extended partitions and all.
func compareWithSfdisk(t *testing.T, path string) {
	t.Helper()
	var want sfdiskTable
	if err := json.Unmarshal([]byte(run(t, "", "sfdisk", "--json", path)), &want); err != nil {
		t.Fatal(err)
	}
	h, err := device.OpenHost(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l := scan(t, h)
	table := want.PartitionTable
	if id := strings.TrimPrefix(strings.ToUpper(table.ID), "0X"); id != strings.ToUpper(l.ID) {
		t.Errorf("id %s, sfdisk says %s", l.ID, id)
	}
	if len(l.Partitions) != len(table.Partitions) {
		t.Fatalf("%d partitions, sfdisk has %d", len(l.Partitions), len(table.Partitions))
	}
	for i, w := range table.Partitions {
		p := l.Partitions[i]
		// "disk.img5", "/dev/loop0p5": the number is what comes behind.
		number, _ := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(w.Node, path), "p"))
		ss := int64(table.SectorSize)
		if p.Number != number || p.Start != w.Start*ss || p.Size != w.Size*ss || table.Label == "dos" && p.Bootable != w.Bootable || p.Name != w.Name {
			t.Errorf("%+v, sfdisk says %+v", p, w)
		}
		if !strings.EqualFold(strings.TrimLeft(p.Type, "0"), w.Type) && !strings.EqualFold(p.Type, w.Type) {
			t.Errorf("partition %d: type %s, sfdisk says %s", p.Number, p.Type, w.Type)
		}
		if w.UUID != "" && !strings.EqualFold(p.UUID, w.UUID) {
			t.Errorf("partition %d: UUID %s, sfdisk says %s", p.Number, p.UUID, w.UUID)
		}
		if p.Err != nil || p.Overlap != nil {
			t.Errorf("partition %d: %v, %v", p.Number, p.Err, p.Overlap)
		}
	}
}

func TestSfdiskMBR(t *testing.T) {
	path := newFile(t, 200*mib)
	run(t, `label: dos
label-id: 0xcafe1234
,16M,c,*
,8M,83
,,5
,4M,6
,8M,b
,4M,83
,,1
`, "sfdisk", path)
	h, err := device.OpenHost(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for n, args := range map[int][]string{1: {"-F", "16", "-n", "ONE"}, 5: {"-F", "12"}, 6: {"-F", "16", "-n", "SIX"}} {
		p := scan(t, h).filter(func(p Partition) bool { return p.Number == n })[0]
		if p.Size < 8*mib {
			args = []string{"-F", "12"}
		} else if n == 6 {
			args = append(args, "-s", "1")
		}
		mkfs(t, path, p.Start, p.Size, args...)
	}
	compareWithSfdisk(t, path)
	l := scan(t, h)
	if got := kinds(l); got != "1:FAT16 2:empty 3:extended 5:FAT12 6:FAT16 7:empty 8:empty" {
		t.Error(got)
	}
	if p, err := l.Choose("cafe1234-06", false); err != nil || p.Content.Label != "SIX" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestSgdiskGPT(t *testing.T) {
	path := newFile(t, 200*mib)
	run(t, "", "sgdisk", "-n", "1:0:+16M", "-t", "1:ef00", "-c", "1:EFI System", "-A", "1:set:2",
		"-n", "3:0:+32M", "-t", "3:0700", "-c", "3:Ünïcode 😀", "-n", "128:0:+8M", path)
	compareWithSfdisk(t, path)
	// Twice as many entries, and a hybrid MBR.
	run(t, "", "sgdisk", "-S", "256", "-h", "1:3", path)
	h, err := device.OpenHost(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l := scan(t, h)
	if l.Scheme != Hybrid || len(l.Partitions) != 3 || l.Partitions[2].Number != 128 || len(l.Notes) != 0 {
		t.Errorf("%s: %+v", l.Scheme, l)
	}
	if !l.Partitions[0].Bootable || l.Partitions[1].Bootable {
		t.Error("the attribute for booting was not read")
	}
}

// TestLibraryTables reads tables that go-diskfs wrote.
func TestLibraryTables(t *testing.T) {
	const size = 64 * mib
	for name, table := range map[string]interface {
		write(path string) error
	}{
		"mbr": libMBR{}, "gpt 512": libGPT{512}, "gpt 4096": libGPT{4096},
	} {
		path := newFile(t, size)
		if err := table.write(path); err != nil {
			t.Fatal(err)
		}
		mkfs(t, path, mib, 16*mib, "-F", "16")
		h, err := device.OpenHost(path, false)
		if err != nil {
			t.Fatal(err)
		}
		l := scan(t, h)
		if got := kinds(l); got != "1:FAT16" || l.Partitions[0].Start != mib || l.Partitions[0].Size != 16*mib {
			t.Errorf("%s: %s", name, got)
		}
		h.Close()
	}
}

type libMBR struct{}

func (libMBR) write(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := file.New(f, false).Writable()
	if err != nil {
		return err
	}
	table := &mbr.Table{LogicalSectorSize: 512, Partitions: []*mbr.Partition{{Type: mbr.Fat16b, Start: 2048, Size: 32768}}}
	return table.Write(w, 64*mib)
}

type libGPT struct{ ss int }

func (g libGPT) write(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := file.New(f, false).Writable()
	if err != nil {
		return err
	}
	start := uint64(mib) / uint64(g.ss)
	table := &gpt.Table{
		LogicalSectorSize: g.ss, PhysicalSectorSize: g.ss, ProtectiveMBR: true,
		Partitions: []*gpt.Partition{{Index: 1, Type: gpt.MicrosoftBasicData, Start: start, End: start + uint64(16*mib)/uint64(g.ss) - 1}},
	}
	return table.Write(w, 64*mib)
}

// TestLoopSectors partitions disks with long sectors, which know their sector size.
func TestLoopSectors(t *testing.T) {
	needRoot(t)
	for _, label := range []string{"gpt", "dos"} {
		t.Run(label, func(t *testing.T) {
			path := newFile(t, 64*mib)
			dev := attach(t, path, "--sector-size", "4096")
			run(t, "label: "+label+"\n,16M\n,8M\n", "sfdisk", "--no-reread", "--no-tell-kernel", dev)
			compareWithSfdisk(t, dev)
			h, err := device.OpenHost(dev, false)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			onDisk := scan(t, h)
			if onDisk.SectorSize != 4096 {
				t.Errorf("sectors of %d", onDisk.SectorSize)
			}
			// In the file behind it, the volume gives the sector size away.
			f, err := device.OpenHost(path, true)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			put(t, f, onDisk.Partitions[0].Start, fatVolume(t, 16*mib, "-S", "4096"))
			if inFile := scan(t, f); layoutString(inFile) != layoutString(onDisk) {
				t.Errorf("in the file %s, on the disk %s", layoutString(inFile), layoutString(onDisk))
			}
		})
	}
}

// attach makes a loop device of path.
func attach(t testing.TB, path string, args ...string) string {
	t.Helper()
	needRoot(t)
	dev := run(t, "", "losetup", append(args, "--find", "--show", path)...)
	t.Cleanup(func() { run(t, "", "losetup", "--detach", dev) })
	return dev
}

// mountOn mounts source on a new directory.
func mountOn(t testing.TB, fstype, source, options string) string {
	t.Helper()
	needRoot(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run(t, "", "mount", "-t", fstype, "-o", options, source, dir)
	t.Cleanup(func() { run(t, "", "umount", dir) })
	return dir
}

// TestBlkidNames compares serial and label with what blkid says of the same volumes.
func TestBlkidNames(t *testing.T) {
	path := newFile(t, 64*mib)
	for _, args := range [][]string{{"-F", "12", "-s", "64", "-n", "A B"}, {"-F", "16", "-i", "0000000f"}, {"-F", "32", "-n", "1234567890A"}} {
		run(t, "", "mkfs.fat", append(args, path)...)
		out := run(t, "", "blkid", "-p", "-o", "export", path)
		h, err := device.OpenHost(path, false)
		if err != nil {
			t.Fatal(err)
		}
		c := scan(t, h).Partitions[0].Content
		h.Close()
		for key, got := range map[string]string{"UUID=": c.Serial(), "LABEL=": c.Label} {
			want := ""
			for line := range strings.Lines(out) {
				if v, ok := strings.CutPrefix(strings.TrimSpace(line), key); ok {
					want = strings.ReplaceAll(v, `\`, "")
				}
			}
			if got != want {
				t.Errorf("%v: %s%q, blkid says %q", args, key, got, want)
			}
		}
	}
}
