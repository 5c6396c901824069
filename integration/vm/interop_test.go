//go:build linux

package vm

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

// The options that make both file systems mean the same: vfat's defaults are those of its
// configuration, fatvol's are those of desktop mounts.
const sameOptions = "noatime,tz=UTC,utf8=1,shortname=mixed,codepage=437,iocharset=iso8859-1"

// driver is one of the two file systems that the guest can mount a volume with.
type driver string

const (
	kernel driver = "the kernel's vfat"
	fatvol driver = "fatvol"
)

func (d driver) other() driver {
	if d == kernel {
		return fatvol
	}
	return kernel
}

// mount mounts an image that is a file or a device in the guest.
func (v *VM) mount(d driver, image, dir, options string) {
	v.t.Helper()
	v.Run("mkdir", "-p", dir)
	if d == fatvol {
		v.Run("fatvol", "mount", "-o", options, image, dir)
		return
	}
	if !strings.HasPrefix(image, "/dev/") {
		options = "loop," + options
	}
	v.Run("mount", "-t", "vfat", "-o", options, image, dir)
}

func (v *VM) unmount(d driver, dir string) {
	v.t.Helper()
	if d == fatvol {
		v.Run("fatvol", "umount", dir)
	} else {
		v.Run("umount", dir)
	}
}

// on mounts the image, calls use, unmounts, and checks the volume.
func (v *VM) on(d driver, image, options string, use func(dir string)) {
	v.t.Helper()
	const dir = "/mnt/volume"
	v.mount(d, image, dir, options)
	use(dir)
	v.unmount(d, dir)
	v.fsck(image)
}

var fsckSummary = regexp.MustCompile(`: \d+ files, \d+/\d+ clusters$`)

// fsck checks a volume in the guest. Anything that fsck.fat says beyond its version and its summary
// fails the test.
func (v *VM) fsck(image string) {
	v.t.Helper()
	exit := v.Exit(guestapi.Command{Args: []string{"fsck.fat", "-n", image}})
	lines := strings.Split(strings.TrimSpace(string(exit.Stdout)), "\n")
	if exit.Code != 0 || len(lines) != 2 || !fsckSummary.MatchString(lines[1]) {
		v.t.Fatalf("fsck.fat -n %s: exit code %d\n%s%s", image, exit.Code, exit.Stdout, exit.Stderr)
	}
}

// harmless are the lines of fsck.fat about what a volume shows that was not unmounted and is whole.
var harmless = regexp.MustCompile(`^(fsck\.fat .*|There are differences between boot sector and its backup\.|This is mostly harmless\..*|` +
	` *65:01/00|\s*Not automatically fixing this\.|Dirty bit is set\..*|\s*Automatically removing dirty bit\.|` +
	`FATs differ but appear to be intact\.|\s*Using first FAT\.|Free cluster summary (wrong|uninitialized) .*|\s*Auto-correcting\.|` +
	`Leaving filesystem unchanged\.|.*: \d+ files, \d+/\d+ clusters|)$`)

// fsckUnclean is fsck for a volume that nobody has unmounted: it may say so, and the second FAT and
// the number of free clusters may be behind, but nothing may be damaged.
func (v *VM) fsckUnclean(image string) {
	v.t.Helper()
	exit := v.Exit(guestapi.Command{Args: []string{"fsck.fat", "-n", image}})
	for line := range strings.SplitSeq(strings.TrimSpace(string(exit.Stdout)), "\n") {
		if !harmless.MatchString(line) {
			v.t.Fatalf("fsck.fat -n %s: %q in\n%s%s", image, line, exit.Stdout, exit.Stderr)
		}
	}
}

// format makes an image in the guest's memory.
func (v *VM) format(image string, megabytes int, mkfs ...string) {
	v.t.Helper()
	v.Shell(fmt.Sprintf("dd if=/dev/zero of=%s bs=1M count=0 seek=%d 2>/dev/null", image, megabytes))
	v.Run(append(append([]string{"mkfs.fat"}, mkfs...), image)...)
}

// TestInterop: the kernel's vfat and fatvol change the same volume in turns, and each reads what the
// other one wrote, with all that stat(2) and the ioctls of vfat tell.
func TestInterop(t *testing.T) {
	v := shared(t)
	for i, c := range []struct {
		name      string
		megabytes int
		mkfs      []string
	}{
		{"FAT12", 4, []string{"-F", "12", "-s", "4"}},
		{"FAT12 of 4096 byte sectors", 8, []string{"-F", "12", "-S", "4096", "-s", "1"}},
		{"FAT16", 16, []string{"-F", "16", "-s", "2"}},
		{"FAT16 of 1024 byte sectors and one FAT", 32, []string{"-F", "16", "-S", "1024", "-s", "2", "-f", "1"}},
		{"FAT32", 40, []string{"-F", "32", "-s", "1"}},
		{"FAT32 of 4096 byte sectors", 300, []string{"-F", "32", "-S", "4096", "-s", "1"}},
		{"FAT32 of 64 KiB clusters", 200, []string{"-F", "32", "-s", "128"}},
	} {
		first := []driver{kernel, fatvol}[i%2]
		t.Run(c.name+", "+string(first)+" first", func(t *testing.T) {
			v := v.in(t)
			const image = "/tmp/volume.img"
			v.format(image, c.megabytes, c.mkfs...)
			takeTurns(v, first, image)
		})
	}
}

// takeTurns lets both drivers change the volume, one after the other. After each turn both of them
// must see the same.
func takeTurns(v *VM, first driver, image string) {
	v.t.Helper()
	tree := interopTree()
	d := first
	var before []guestapi.TreeEntry
	for turn, change := range interopTurns {
		var after []guestapi.TreeEntry
		v.on(d, image, sameOptions, func(dir string) {
			if turn == 0 {
				v.WriteTree(dir, tree)
			} else {
				compareTrees(v.t, fmt.Sprintf("turn %d: written by %s, read by %s", turn, d.other(), d), before, v.ReadTree(dir))
				v.Shell("cd " + dir + "\n" + change)
			}
			after = v.ReadTree(dir)
		})
		if turn == 0 {
			compareContent(v.t, tree, after)
		}
		if v.t.Failed() {
			return
		}
		before = after
		d = d.other()
	}
	v.on(d, image, sameOptions, func(dir string) {
		compareTrees(v.t, fmt.Sprintf("at the end: written by %s, read by %s", d.other(), d), before, v.ReadTree(dir))
	})
}

// interopTurns are scripts; the first turn writes interopTree.
var interopTurns = []string{
	"",
	// Reuse what the other one made: slots that are freed, chains that grow and shrink.
	`rm 'ünïcode ☃ 雪.txt' many/file-03.txt many/file-07.txt
	mv 'a long name, with spaces & signs.text' 'A LONG NAME, with spaces & signs.text'
	mv README.TXT many/renamed.txt
	mv 'dir with a long name' moved
	echo more >> lower.txt
	dd if=/dev/zero bs=777 count=50 seek=3 conv=notrunc of=many/file-01.txt 2>/dev/null
	truncate -s 100 size-100000; truncate -s 70000 size-511
	mkdir new; for i in 1 2 3 4 5 6 7 8 9; do echo $i > "new/a rather long name number $i"; done
	rmdir empty`,
	`mv moved/nested 'nested again'; rm -r moved
	for i in 2 4 6; do rm "new/a rather long name number $i"; done
	for i in 1 2; do cp size-100000 "new/Copy of a rather long name $i.dat"; done
	echo over > lower.txt; mv -f lower.txt 'tilde~1.txt'
	mkdir deep; cd deep; for i in 1 2 3 4 5 6 7 8; do mkdir "level $i"; cd "level $i"; echo $i > f; done`,
	`rm -r deep many; mkdir many; for i in $(busybox seq 1 60); do : > "many/empty file number $i"; done
	mv new/* .; touch -d '2001-02-03 04:05:07' size-512`,
	`cd many; for i in $(busybox seq 3 13 60); do mv "empty file number $i" "E$i"; done; ls > listing`,
}

// interopTree is a tree with names, sizes and times that FAT makes something special of.
func interopTree() (files []guestapi.TreeFile) {
	at := time.Date(2019, 7, 1, 12, 0, 0, 0, time.UTC)
	add := func(path string, size int) {
		at = at.Add(37*time.Hour + 13*time.Second)
		files = append(files, guestapi.TreeFile{Path: path, Size: size, Modified: at.Truncate(2 * time.Second)})
	}
	dir := func(path string) {
		files = append(files, guestapi.TreeFile{Path: path, Dir: true, Modified: at.Truncate(2 * time.Second)})
	}
	for _, size := range []int{0, 1, 511, 512, 513, 2047, 2048, 2049, 65536, 100000} {
		add(fmt.Sprintf("size-%d", size), size)
	}
	for _, name := range []string{
		"README.TXT", "lower.txt", "Mixed.Txt", "UPPER.low", "lower.UPP", "NOEXT", "noext2", ".hidden", "two.dots.txt",
		"a long name, with spaces & signs.text", "plus+comma,semi;eq=[br].x", "tilde~1.txt", "TILDE~2.TXT", "12345678.123",
		"ünïcode ☃ 雪.txt", "émigré.txt", "ÄÖÜ.TXT", "emoji 😀 file", "thirteen char", "twenty-six characters name", strings.Repeat("n", 255),
		strings.Repeat("雪", 85), "$dollar #hash @at!.%^&", "'quote' `back` {brace}",
	} {
		add(name, 10+len(name))
	}
	dir("empty")
	dir("dir with a long name")
	dir("dir with a long name/nested")
	add("dir with a long name/nested/file in it.dat", 4000)
	add("dir with a long name/nested/PLAIN.DAT", 3000)
	dir("many")
	for i := range 12 {
		add(fmt.Sprintf("many/file-%02d.txt", i), 100*i)
	}
	for i := range 12 {
		add(fmt.Sprintf("many/the same beginning of name %d.txt", i), i)
	}
	for i, t := range []time.Time{
		time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1999, 12, 31, 23, 59, 58, 0, time.UTC),
		time.Date(2000, 2, 29, 0, 0, 2, 0, time.UTC), time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC),
		time.Date(2099, 6, 1, 1, 1, 2, 0, time.UTC), time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC),
		// FAT cannot hold these.
		time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2108, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2010, 10, 10, 10, 10, 11, 999999999, time.UTC),
	} {
		files = append(files, guestapi.TreeFile{Path: fmt.Sprintf("time %d", i), Modified: t, Accessed: t.Add(36 * time.Hour)})
	}
	return files
}

// compareContent checks the entries against the files that were written.
func compareContent(t testing.TB, files []guestapi.TreeFile, entries []guestapi.TreeEntry) {
	t.Helper()
	if len(files) != len(entries) {
		t.Errorf("%d files were written, %d are there", len(files), len(entries))
	}
	byPath := map[string]guestapi.TreeEntry{}
	for _, e := range entries {
		byPath[e.Path] = e
	}
	for _, f := range files {
		e, ok := byPath[f.Path]
		switch {
		case !ok:
			t.Errorf("%q is missing", f.Path)
		case e.Mode.IsDir() != f.Dir || !f.Dir && e.Size != int64(f.Size):
			t.Errorf("%q: mode %v, %d bytes, want %d", f.Path, e.Mode, e.Size, f.Size)
		case !f.Dir && e.SHA256 != guestapi.SHA256(f.Content()):
			t.Errorf("%q has other content", f.Path)
		}
	}
}

// compareTrees reports every difference between two readings of a volume.
func compareTrees(t testing.TB, what string, want, got []guestapi.TreeEntry) {
	t.Helper()
	byPath := map[string]guestapi.TreeEntry{}
	for _, e := range got {
		byPath[e.Path] = e
	}
	for _, w := range want {
		g, ok := byPath[w.Path]
		delete(byPath, w.Path)
		if !ok {
			t.Errorf("%s: %q is missing", what, w.Path)
			continue
		}
		if w.Mode.IsDir() && g.Size < w.Size {
			// fatvol cuts clusters off a directory that nothing is in any more, when it commits.
			w.Size, w.Blocks = g.Size, g.Blocks
		}
		// Times travel as instants; their zone does not matter.
		w.Modified, w.Accessed = w.Modified.UTC(), w.Accessed.UTC()
		g.Modified, g.Accessed = g.Modified.UTC(), g.Accessed.UTC()
		if w != g {
			t.Errorf("%s: %q\nwas %+v\nnow %+v", what, w.Path, w, g)
		}
	}
	for path := range byPath {
		t.Errorf("%s: %q is new", what, path)
	}
	if len(want) == 0 {
		t.Errorf("%s: nothing is there", what)
	}
}
