//go:build linux

package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat/fattest"
	"fatvol/integration/vm/guestapi"
)

// A specimen is an image of the corpus.
type specimen struct {
	name string
	make func(t *testing.T, path string)
	// change is made when the files are in it: not all tools can be trusted with what it leads to.
	change func(t *testing.T, path string)
	// options are added when it is mounted, by both.
	options string
	// differs says what is different with us, and why; "" is nothing. docs/compatibility.md lists these.
	differs difference
}

// A difference is one that is meant.
type difference int

const (
	same       difference = iota
	onlyOurs              // the kernel refuses what can be read
	onlyTheirs            // the kernel mounts what cannot be trusted
)

func (d difference) String() string {
	return [...]string{"both mount it, or neither does", "only fatvol mounts it", "only the kernel mounts it"}[d]
}

// TestCorpus: every image that the kernel's vfat mounts, fatvol mounts with the same listing and contents: those of
// mkfs.fat and mformat over their parameters, and what these cannot make.
func TestCorpus(t *testing.T) {
	v := shared(t)
	corpus := append(append(mkfsSpecimens(), mformatSpecimens()...), handmadeSpecimens()...)
	tree := corpusTree(t)
	dir := t.TempDir()
	made := corpus[:0]
	filled := 0
	for i, c := range corpus {
		path := filepath.Join(dir, fmt.Sprintf("%03d.img", i))
		t.Run("make "+c.name, func(t *testing.T) { c.make(t, path) })
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%s was not made", c.name)
		}
		if fill(path, tree) {
			filled++
		}
		if c.change != nil {
			c.change(t, path)
		}
		made = append(made, c)
	}
	// mtools does not know what to do with some of those that are made by hand.
	if filled < len(made)*3/4 {
		t.Fatalf("something is in %d of %d images only", filled, len(made))
	}
	// The images are sparse, and so is a file system with all of them.
	stick := RawStick(filepath.Join(t.TempDir(), "corpus"))
	host(t, "truncate", "-s", "24G", stick.Path)
	host(t, "mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", "-d", dir, stick.Path)
	disk := v.Plug(stick)
	v.Shell("mkdir -p /media/corpus; mount -t ext4 -o ro /dev/" + disk.Name + " /media/corpus")
	for i, c := range made {
		t.Run(c.name, func(t *testing.T) {
			v := &VM{machine: v.machine, t: t}
			image := fmt.Sprintf("%03d.img", i)
			options := strings.TrimPrefix(sameOptions, "noatime,")
			if c.options != "" {
				options += "," + c.options
			}
			theirs, theirWhy := v.readByKernel("/media/corpus/"+image, options)
			ours, ourWhy := readHere(t, filepath.Join(dir, image), "ro,noatime,"+options)
			switch got := whoMounts(theirWhy, ourWhy); {
			case got != c.differs:
				t.Errorf("%v, want: %v\nthe kernel: %v\nfatvol: %v", got, c.differs, theirWhy, ourWhy)
			case got == same && len(theirs)+len(ours) > 0:
				compareTrees(t, "the kernel's was, fatvol's now", theirs, ours)
			}
		})
	}
}

func whoMounts(theirWhy, ourWhy error) difference {
	switch {
	case theirWhy != nil && ourWhy == nil:
		return onlyOurs
	case theirWhy == nil && ourWhy != nil:
		return onlyTheirs
	}
	return same
}

// readByKernel returns what the kernel finds in an image of the guest, or why it does not mount it.
func (v *VM) readByKernel(image, options string) (tree []guestapi.TreeEntry, why error) {
	v.t.Helper()
	mark := v.KernelMark()
	var read guestapi.ImageTree
	v.must(v.call("ReadImage", guestapi.ReadImageArgs{Image: image, Options: options}, &read))
	if read.Refused == "" {
		return read.Entries, nil // or none, where it mounts what makes no sense
	}
	said := []string{read.Refused}
	for _, l := range v.KernelLog(mark) {
		said = append(said, l.Text)
	}
	return nil, errors.New(strings.Join(said, "\n"))
}

// readHere returns what fatvol finds in an image of this machine, or why it does not mount it.
func readHere(t *testing.T, image, options string) (tree []guestapi.TreeEntry, why error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(goBinary(t, "fatvol/cmd/fatvol"), "mount", "-o", options, image, dir).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, errors.New(string(out))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unmountHere(t, dir)
	if tree, err = guestapi.ReadTree(guestapi.ReadTreeArgs{Root: dir}); err != nil {
		t.Fatal(err)
	}
	return tree, nil
}

// corpusTree is a small tree of files for every image that takes them.
func corpusTree(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var files []guestapi.TreeFile
	for _, f := range createTree() {
		if f.Size <= 2049 && len(f.Path) < 60 && !strings.HasPrefix(f.Path, "many") {
			files = append(files, f)
		}
	}
	if err := guestapi.WriteTree(guestapi.WriteTreeArgs{Root: dir, Files: files}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fill copies the tree into an image as far as it has room, and tells whether that was anything.
func fill(image, tree string) bool {
	entries, err := filepath.Glob(filepath.Join(tree, "*"))
	if err != nil {
		return false
	}
	mcopy := exec.Command("mcopy", append(append([]string{"-s", "-m", "-n", "-i", image}, entries...), "::")...)
	mcopy.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null", "TZ=UTC", "LC_ALL=C.UTF-8")
	_ = mcopy.Run() // a floppy is full, a root directory is small
	mdir := exec.Command("mdir", "-b", "-i", image, "::")
	mdir.Env = mcopy.Env
	out, err := mdir.Output()
	return err == nil && len(out) > 0
}

// byTool makes an image of so many KiB with a command; the image is its last argument.
func byTool(kib int, tool string, args ...string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		t.Helper()
		host(t, "truncate", "-s", fmt.Sprintf("%dK", kib), path)
		host(t, tool, append(args, path)...)
	}
}

// mkfsSpecimens are those of mkfs.fat: each parameter with the others as they are by default.
func mkfsSpecimens() (list []specimen) {
	add := func(kib int, args string) {
		list = append(list, specimen{name: fmt.Sprintf("mkfs.fat %s, %d KiB", args, kib), make: byTool(kib, "mkfs.fat", strings.Fields(args)...)})
	}
	for _, kib := range []int{160, 180, 320, 360, 720, 1200, 1440, 2880} {
		add(kib, "-v")
	}
	for _, width := range []string{"12", "16", "32"} {
		// Sizes with which every cluster size leaves a number of clusters that the width has.
		kib := map[string]int{"12": 2000, "16": 8000, "32": 34000}[width]
		for s := 1; s <= 128; s *= 2 {
			add(kib*s, fmt.Sprintf("-F %s -s %d", width, s))
		}
		for sector := 1024; sector <= 4096; sector *= 2 {
			add(kib*sector/512, fmt.Sprintf("-F %s -s 1 -S %d", width, sector))
		}
		for fats := 1; fats <= 4; fats++ {
			add(kib*2, fmt.Sprintf("-F %s -s 2 -f %d", width, fats))
		}
		for _, args := range []string{"-R 40", "-a -R 33", "-n LABEL", "-i 12345678", "-h 63", "-M 0xf9", "-M 0xf0", "-D 0", "-g 16/63", "--mbr=y", "--invariant"} {
			add(kib*2, "-F "+width+" -s 2 "+args)
		}
	}
	for _, args := range []string{"-F 12 -r 16", "-F 12 -r 224", "-F 16 -s 2 -r 1024", "-F 16 -s 2 -r 4096", "-A", "-A -s 2 -F 16"} {
		add(16000, args)
	}
	for _, args := range []string{"-b 3", "-b 0", "-R 8", "-b 20 -R 64"} {
		add(34000, "-F 32 -s 1 "+args)
	}
	return list
}

// mformatSpecimens are those of mformat.
func mformatSpecimens() (list []specimen) {
	add := func(kib int, args string) *specimen {
		list = append(list, specimen{name: fmt.Sprintf("mformat %s, %d KiB", args, kib), make: func(t *testing.T, path string) {
			t.Helper()
			host(t, "truncate", "-s", fmt.Sprintf("%dK", kib), path)
			host(t, "mformat", append(append([]string{"-i", path}, strings.Fields(args)...), "::")...)
		}})
		return &list[len(list)-1]
	}
	for _, kib := range []int{160, 180, 320, 360, 720, 1200, 1440, 2880} {
		add(kib, fmt.Sprintf("-f %d", kib))
	}
	for _, c := range []struct {
		kib  int
		args string
	}{
		{720, "-t 80 -h 2 -s 9"}, {820, "-t 82 -h 2 -s 10"}, {1680, "-t 80 -h 2 -s 21"}, {2880, "-t 80 -h 2 -s 36"},
		{1440, "-t 80 -h 2 -s 18 -c 2"}, {1440, "-t 80 -h 2 -s 18 -c 8"}, {1440, "-t 80 -h 2 -s 18 -r 4"}, {1440, "-t 80 -h 2 -s 18 -R 3"},
		{1440, "-t 80 -h 2 -s 18 -v LABEL -N 12345678"}, {1440, "-t 80 -h 2 -s 18 -a"}, {1440, "-t 80 -h 2 -s 18 -m 0xfa"},
		{32768, "-T 65536 -h 16 -s 63"}, {32768, "-T 65536 -h 16 -s 63 -c 1"}, {32768, "-T 65536 -h 16 -s 63 -H 63"},
		{32768, "-T 65536 -h 16 -s 63 -c 64"}, {32768, "-T 65536 -h 16 -s 63 -d 1"},
		{40000, "-F -T 80000 -h 16 -s 63 -c 1"}, {40000, "-F -T 80000 -h 16 -s 63 -c 1 -K 6"}, {40000, "-F -T 80000 -h 16 -s 63 -c 1 -d 1"},
		{150000, "-F -T 300000 -h 16 -s 63 -c 4"}, {40000, "-F -T 80000 -h 16 -s 63 -c 1 -R 40"},
	} {
		add(c.kib, c.args)
	}
	// It counts sectors of 512 bytes and says that they have 1024.
	add(1232, "-t 77 -h 2 -s 8 -S 3").differs = onlyTheirs
	return list
}

// handmadeSpecimens are what the tools do not make.
func handmadeSpecimens() (list []specimen) {
	changed := func(name string, l fattest.Layout, change func(t *testing.T, path string)) *specimen {
		list = append(list, specimen{name: name, change: change, make: func(t *testing.T, path string) { layout(t, path, l) }})
		return &list[len(list)-1]
	}
	byHand := func(name string, l fattest.Layout) { changed(name, l, nil) }
	fat12, fat16, fat32 := fattest.Layout{Width: 12, Clusters: 2000}, fattest.Layout{Width: 16, Clusters: 9000}, fattest.Layout{Width: 32, Clusters: 66000}
	with := func(l fattest.Layout, change func(*fattest.Layout)) fattest.Layout { change(&l); return l }

	for _, n := range []uint32{1, 2, 4083, 4084} {
		byHand(fmt.Sprintf("FAT12 of %d clusters", n), with(fat12, func(l *fattest.Layout) { l.Clusters = n }))
	}
	for _, n := range []uint32{4085, 4086, 65523, 65524} {
		byHand(fmt.Sprintf("FAT16 of %d clusters", n), with(fat16, func(l *fattest.Layout) { l.Clusters = n }))
	}
	for _, n := range []uint32{65525, 65526} {
		byHand(fmt.Sprintf("FAT32 of %d clusters", n), with(fat32, func(l *fattest.Layout) { l.Clusters = n }))
	}
	for _, l := range []fattest.Layout{fat12, fat16, fat32} {
		name := fmt.Sprintf("FAT%d ", l.Width)
		byHand(name+"with a FAT of more sectors than it needs", with(l, func(l *fattest.Layout) { l.ExtraFAT = 7 }))
		byHand(name+"with sectors behind the last cluster", with(l, func(l *fattest.Layout) { l.ClusterSize, l.Spare = 2048, 3 }))
		byHand(name+"with bad clusters", with(l, func(l *fattest.Layout) { l.Bad = []uint32{3, 4, 100} }))
		byHand(name+"of 64 KiB clusters", with(l, func(l *fattest.Layout) { l.ClusterSize = 64 << 10 }))
		byHand(name+"of 4096 byte sectors and 512 KiB clusters", with(l, func(l *fattest.Layout) { l.SectorSize, l.ClusterSize = 4096, 512<<10 }))
		changed(name+"without a boot signature", l, poke(510, 0, 0))
		changed(name+"without a jump", l, poke(0, 0, 0, 0))
		changed(name+"without an extended BPB's signature", l, poke(map[int]int64{12: 38, 16: 38, 32: 66}[l.Width], 0))
		changed(name+"that is marked dirty", l, poke(map[int]int64{12: 37, 16: 37, 32: 65}[l.Width], 1))
		changed(name+"of no tracks and heads", l, poke(24, 0, 0, 0, 0))
		changed(name+"with another medium in its FAT", l, func(t *testing.T, path string) {
			reserved := map[int]int64{12: 1, 16: 1, 32: 32}[l.Width]
			poke(reserved*512, 0xf0)(t, path)
		})
		changed(name+"of five FATs", l, poke(16, 5)).differs = onlyTheirs
		changed(name+"of no FAT", l, poke(16, 0))
		changed(name+"of no reserved sector", l, poke(14, 0, 0))
		changed(name+"of three sectors per cluster", l, poke(13, 3))
		changed(name+"of an impossible medium", l, poke(21, 0x12))
		changed(name+"of 256 byte sectors", l, poke(11, 0, 1))
		changed(name+"that is longer than its image", l, cutOff).differs = onlyTheirs
	}
	changed("FAT12 with a small size in the large field", fat12, func(t *testing.T, path string) {
		small := readAt(t, path, 19, 2)
		poke(19, 0, 0)(t, path)
		poke(32, small[0], small[1], 0, 0)(t, path)
	})
	changed("FAT16 whose root directory does not fill its last sector", fat16, poke(17, 0xf9, 1)).differs = onlyOurs
	byHand("FAT32 with another root", with(fat32, func(l *fattest.Layout) { l.RootCluster = 1000 }))
	byHand("FAT32 without FSInfo", with(fat32, func(l *fattest.Layout) { l.NoFSInfo = true }))
	byHand("FAT32 without a backup", with(fat32, func(l *fattest.Layout) { l.NoBackup = true }))
	byHand("FAT32 without either, one reserved sector", with(fat32, func(l *fattest.Layout) { l.NoFSInfo, l.NoBackup, l.Reserved = true, true, 1 }))
	byHand("FAT32 of one FAT", with(fat32, func(l *fattest.Layout) { l.FATs = 1 }))
	changed("FAT32 whose FSInfo is no such", fat32, poke(512, 1, 2, 3, 4))
	changed("FAT32 of fewer clusters than FAT32 has", fat32, poke(32, 0, 0x80, 0, 0))
	changed("FAT32 of a later version", fat32, poke(42, 1, 0)).differs = onlyTheirs
	changed("FAT32 with a root outside", fat32, poke(44, 0xff, 0xff, 0xff, 0x0f))
	changed("FAT32 of which the second FAT counts", fat32, poke(40, 0x81, 0))
	for _, l := range []fattest.Layout{fat12, fat16, fat32} {
		// They go into the first cluster of FAT32's root.
		l = with(l, func(l *fattest.Layout) { l.ClusterSize = 4096 })
		changed(fmt.Sprintf("FAT%d with odd entries", l.Width), l, addOddEntries)
	}
	for _, f := range []dosFloppy{{160, 0xfe, 1, 1}, {180, 0xfc, 2, 1}, {320, 0xff, 1, 2}, {360, 0xfd, 2, 2}} {
		name := fmt.Sprintf("floppy of DOS 1.x, %d KiB", f.kib)
		list = append(list, specimen{name: name, options: "dos1xfloppy", make: f.make, change: poke(0, 0xeb, 0x2f, 0x90)},
			specimen{name: name + ", without a jump", options: "dos1xfloppy", make: f.make, differs: onlyOurs})
	}
	return list
}

// addOddEntries adds entries to the root directory that neither tools nor systems of today make.
func addOddEntries(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	e := fattest.NewEditor(t, sizedFile{f, info.Size()})
	const nothing, day = 0, 0x4e21 // 2019-01-01
	for _, o := range []struct {
		name       string
		attr, nt   byte
		date, time uint16
	}{
		{"\x05BC     TXT", 0x20, 0, day, 0},
		{"\x81\x9a\xe1     TXT", 0x20, 0, day, 0}, // letters of code page 437
		{"NTLOWER TXT", 0x20, 0x18, day, 0},
		{"NTBASE  TXT", 0x20, 0x08, day, 0},
		{"NTEXT   TXT", 0x20, 0x10, day, 0},
		{"A B     C D", 0x20, 0, day, 0},
		{"NOEXTEN    ", 0x20, 0, day, 0},
		{"HIDDEN  TXT", 0x22, 0, day, 0},
		{"SYSTEM  TXT", 0x24, 0, day, 0},
		{"READONLYTXT", 0x21, 0, day, 0},
		{"NOATTR  TXT", 0x00, 0, day, 0},
		{"RESERVEDTXT", 0x60, 0, day, 0},
		{"NODATE  TXT", 0x20, 0, nothing, nothing},
		{"LASTTIMETXT", 0x20, 0, day, 0xbf7d}, // 23:59:58
		{"FEB29   TXT", 0x20, 0, 0x505d, 0},   // of 2020
		{"Y2107   TXT", 0x20, 0, 0xff9f, 0xbf7d},
	} {
		slot := make([]byte, 32)
		copy(slot, o.name)
		slot[11], slot[12] = o.attr, o.nt
		binary.LittleEndian.PutUint16(slot[18:], o.date)
		binary.LittleEndian.PutUint16(slot[22:], o.time)
		binary.LittleEndian.PutUint16(slot[24:], o.date)
		e.Write(slot, e.FreeSlot())
	}
	e.OrphanSlot()
	deleted := make([]byte, 32)
	copy(deleted, "\xe5ELETED TXT")
	e.Write(deleted, e.FreeSlot())
}

// sizedFile is a file of a known size.
type sizedFile struct {
	*os.File
	size int64
}

func (f sizedFile) Size() int64 { return f.size }

// A dosFloppy is a format that DOS 1.x knew by its medium, and wrote nowhere on the disk.
type dosFloppy struct {
	kib         int
	media       byte
	fat         int // sectors of a FAT
	clusterSize int // in sectors
}

// make makes a floppy with a file in it.
func (f dosFloppy) make(t *testing.T, path string) {
	t.Helper()
	host(t, "truncate", "-s", fmt.Sprintf("%dK", f.kib), path)
	for k := range 2 {
		poke(int64(512+k*f.fat*512), f.media, 0xff, 0xff, 0xff, 0x0f)(t, path) // and cluster 2, the end of a chain
	}
	entry := make([]byte, 32)
	copy(entry, "README  TXT")
	entry[11] = 0x20
	binary.LittleEndian.PutUint16(entry[24:], 0x21) // 1980-01-01
	entry[26], entry[28] = 2, 5
	root := int64(512 + 2*f.fat*512)
	poke(root, entry...)(t, path)
	slots := map[int]int64{1: 64, 2: 112}[f.clusterSize]
	poke(root+slots*32, []byte("hello")...)(t, path)
}

// layout makes an image of exactly the size of the layout.
func layout(t *testing.T, path string, l fattest.Layout) {
	t.Helper()
	size, err := fattest.VolumeSize(l)
	if err == nil {
		m := device.NewMem(size)
		if err = fattest.Format(m, l); err == nil {
			err = m.WriteFile(path)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// poke changes bytes of an image.
func poke(at int64, b ...byte) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(b, at)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func readAt(t *testing.T, path string, at int64, n int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, n)
	if _, err := f.ReadAt(p, at); err != nil {
		t.Fatal(err)
	}
	return p
}

// cutOff takes the last half of an image away.
func cutOff(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()/2&^4095)
	}
	if err != nil {
		t.Fatal(err)
	}
}
