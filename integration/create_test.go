package integration

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/diskfs/go-diskfs"
)

// memoryDir is a directory in memory where there is one: the tools read and write whole FATs.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "fatvol-create-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// createImage runs `fatvol create`.
func createImage(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary(t), append([]string{"create"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("fatvol create %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

var fsckClean = regexp.MustCompile(`^fsck\.fat [^\n]*\n[^\n]*: (\d+) files, \d+/(\d+) clusters\n$`)

// fsckFaultless fails the test where fsck.fat says anything beyond its version and its summary. It returns the
// number of clusters.
func fsckFaultless(t testing.TB, what, path string) string {
	t.Helper()
	out, err := exec.Command("fsck.fat", "-n", path).CombinedOutput()
	m := fsckClean.FindSubmatch(out)
	if err != nil || m == nil {
		t.Errorf("%s: fsck.fat: %v\n%s", what, err, out)
		return ""
	}
	return string(m[2])
}

// TestCreateMatrix: sizes, widths, sectors and clusters, each boundary of the cluster count on both sides. fsck.fat
// finds nothing, and mtools reads the same contents, as does go-diskfs where it can.
func TestCreateMatrix(t *testing.T) {
	need(t, "fsck.fat", "mcopy")
	dir := memoryDir(t)
	tree := filepath.Join(dir, "tree")
	writeCreateTree(t, tree)
	want := treeSums(t, os.DirFS(tree))
	byDiskfs := 0
	type cell struct{ size, args string }
	var cells []cell
	for _, size := range []string{"160K", "180K", "320K", "360K", "720K", "1.2M", "1.44M", "2.88M", "4M", "17M", "100M", "511M", "512M", "3G", "100G"} {
		cells = append(cells, cell{size, ""})
	}
	for _, sector := range []string{"512", "1024", "2048", "4096"} {
		for _, c := range []cell{
			{"3M", "--fat 12"}, {"40M", "--fat 12 --fats 1"}, {"64M", "--fat 16"}, {"600M", "--fat 16 --cluster 64K"}, {"300M", "--fat 32 --cluster 4K"},
			{"2G", "--fat 32 --cluster 16K"},
		} {
			cells = append(cells, cell{c.size, c.args + " --sector " + sector})
		}
	}
	// Sizes just below and above each limit: 4084 and 4085, 65524 and 65525 clusters.
	for _, limit := range []struct {
		bytes, step int64
		args        string
	}{
		{4085 * 16384, 16384, "--cluster 16K"}, {65525 * 32768, 32768, "--cluster 32K"}, {65525 * 512, 8192, "--cluster 512"},
	} {
		// The areas before the data take some clusters.
		for k := int64(2); k <= 19; k++ {
			cells = append(cells, cell{fmt.Sprint(limit.bytes + k*limit.step), limit.args})
		}
	}
	widths, counts := map[string]int{}, map[string]bool{}
	for _, c := range cells {
		path := filepath.Join(dir, "image")
		args := append(strings.Fields(c.args), "--size", c.size, "--label", "MATRIX", "--from", tree, path)
		out := createImage(t, args...)
		what := strings.Join(args, " ")
		width := strings.Fields(strings.SplitN(out, ": ", 2)[1])[0]
		widths[width]++
		counts[fsckFaultless(t, what, path)] = true
		copied := filepath.Join(dir, "copied")
		if err := os.Mkdir(copied, 0o777); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mcopy", "-s", "-i", path, "::*", copied).CombinedOutput(); err != nil {
			t.Errorf("%s: mcopy: %v\n%s", what, err, out)
		}
		if got := treeSums(t, os.DirFS(copied)); !equalSums(got, want) {
			t.Errorf("%s: mtools reads %d files, want %d", what, len(got), len(want))
		}
		// It reads whole FATs, and sectors of 512 bytes.
		if width == "FAT32" && sizeOf(t, path) < 4<<30 && (!strings.Contains(c.args, "--sector") || strings.Contains(c.args, "--sector 512")) {
			compareDiskfs(t, path, 0, tree)
			byDiskfs++
		}
		if err := errors.Join(os.RemoveAll(copied), os.Remove(path)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{"4084", "4085", "65524", "65525"} {
		if !counts[n] {
			t.Errorf("no volume has %s clusters", n)
		}
	}
	if byDiskfs < 5 {
		t.Errorf("%d volumes were read with go-diskfs", byDiskfs)
	}
	for _, w := range []string{"FAT12", "FAT16", "FAT32"} {
		if widths[w] < 8 {
			t.Errorf("%d volumes are %s", widths[w], w)
		}
	}
}

// TestCreateHuge: 2 TiB take a moment and little room, and fsck.fat reads all of it.
func TestCreateHuge(t *testing.T) {
	need(t, "fsck.fat")
	if testing.Short() {
		t.Skip("fsck.fat reads a FAT of 128 MiB")
	}
	path := filepath.Join(memoryDir(t), "image")
	// Clusters of 64 KiB: half of what fsck.fat would have to read.
	createImage(t, path, "--size", "2T", "--cluster", "64K")
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if used := st.Sys().(*syscall.Stat_t).Blocks * 512; st.Size() != 2<<40 || used > 1<<20 {
		t.Errorf("%d bytes, of which %d take room", st.Size(), used)
	}
	fsckFaultless(t, "2T", path)
}

// writeCreateTree makes a small tree, of 9 KiB and five names.
func writeCreateTree(t testing.TB, dir string) {
	t.Helper()
	for name, size := range map[string]int{"README.TXT": 100, "a directory/a long name with ünïcode.txt": 5000, "a directory/empty": 0, "a directory/second long name.txt": 4000} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte(name), size/len(name)+1)[:size], 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCreateReaders: mtools, go-diskfs and a mount of our own read the same contents.
func TestCreateReaders(t *testing.T) {
	need(t, "mcopy", "sfdisk", "sgdisk")
	dir := memoryDir(t)
	tree := filepath.Join(dir, "tree")
	writeCreateTree(t, tree)
	for i := range 200 {
		name := filepath.Join(tree, "many", fmt.Sprintf("a beginning that all have %d.dat", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, i*97), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := treeSums(t, os.DirFS(tree))
	for _, args := range [][]string{{"--fat", "12", "--size", "16M"}, {"--fat", "16", "--size", "64M", "--partition", "mbr"}, {"--fat", "32", "--size", "64M", "--partition", "gpt"}} {
		path := filepath.Join(dir, "image"+args[1])
		createImage(t, append(args, path, "--from", tree)...)
		at := path
		if len(args) > 4 {
			at += "@@1M"
			if out, err := exec.Command("sfdisk", "--verify", path).CombinedOutput(); err != nil {
				t.Errorf("%q: sfdisk: %v\n%s", args, err, out)
			}
		}
		if slices.Contains(args, "gpt") {
			if out, err := exec.Command("sgdisk", "--verify", path).CombinedOutput(); err != nil || !strings.Contains(string(out), "No problems found") {
				t.Errorf("sgdisk: %v\n%s", err, out)
			}
		}
		copied := filepath.Join(dir, "copied"+args[1])
		if err := os.Mkdir(copied, 0o777); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mcopy", "-s", "-i", at, "::*", copied).CombinedOutput(); err != nil {
			t.Errorf("%q: mcopy: %v\n%s", args, err, out)
		}
		if got := treeSums(t, os.DirFS(copied)); !equalSums(got, want) {
			t.Errorf("%q: mtools reads %d files, want %d", args, len(got), len(want))
		}
		if args[1] == "32" {
			compareDiskfs(t, path, 1, tree)
		}
	}
}

// compareDiskfs reads a FAT32 volume in an image, in a partition or, for 0, alone, with go-diskfs, which knows no
// other width. It cannot read files without clusters, and gives some with zeros up to the end of a cluster.
func compareDiskfs(t *testing.T, path string, partition int, tree string) {
	t.Helper()
	d, err := diskfs.Open(path, diskfs.WithOpenMode(diskfs.ReadOnly))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, err := d.GetFilesystem(partition)
	if err != nil {
		t.Fatal(err)
	}
	for name := range treeSums(t, os.DirFS(tree)) {
		want, err := os.ReadFile(filepath.Join(tree, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(want) == 0 {
			continue
		}
		f, err := v.OpenFile("/"+name, os.O_RDONLY)
		if err != nil {
			t.Errorf("go-diskfs: %q: %v", name, err)
			continue
		}
		var b bytes.Buffer
		_, err = b.ReadFrom(f)
		if rest, same := bytes.CutPrefix(b.Bytes(), want); err != nil || !same || len(bytes.Trim(rest, "\x00")) > 0 {
			t.Errorf("go-diskfs: %q: %d bytes, %v", name, b.Len(), err)
		}
		f.Close()
	}
}

func treeSums(t *testing.T, tree fs.FS) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(tree, path)
		sums[path] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func equalSums(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// TestCreateInterrupted: Ctrl-C leaves nothing, or what was there before.
func TestCreateInterrupted(t *testing.T) {
	dir := t.TempDir()
	tree, path := filepath.Join(dir, "tree"), filepath.Join(dir, "image")
	if err := os.Mkdir(tree, 0o777); err != nil {
		t.Fatal(err)
	}
	// A file that ends only with the test: create waits for more of the archive, or writes without end.
	big := filepath.Join(tree, "big")
	if err := os.WriteFile(big, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 4<<30-1); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("what was there"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary(t), "create", path, "--force", "--fit", "--from", tree)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The image has a name of its own as soon as it is being written.
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if found, _ := filepath.Glob(filepath.Join(dir, ".image.fatvol-*")); len(found) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing is being written")
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if cmd.ProcessState.ExitCode() != 8 || !strings.Contains(stderr.String(), "interrupted: it is as it was") {
		t.Errorf("%v, %q", err, stderr.String())
	}
	entries, err := os.ReadDir(dir)
	if b, _ := os.ReadFile(path); err != nil || len(entries) != 2 || string(b) != "what was there" {
		t.Errorf("%v: %v", err, entries)
	}
}

// TestCreateOnDisk: a disk is only written to with --force, and not while somebody uses it; nothing of what was
// on it shows afterwards.
func TestCreateOnDisk(t *testing.T) {
	needRoot(t)
	needFUSE(t)
	need(t, "sfdisk", "fsck.fat", "mcopy")
	dir := memoryDir(t)
	tree, backing := filepath.Join(dir, "tree"), filepath.Join(dir, "backing")
	writeCreateTree(t, tree)
	want := treeSums(t, os.DirFS(tree))
	garbage := bytes.Repeat([]byte("what was there. "), 40<<20/16)
	if err := os.WriteFile(backing, garbage, 0o644); err != nil {
		t.Fatal(err)
	}
	loop := loopDevice(t, backing)
	refused := func(what, says string, args ...string) {
		t.Helper()
		before := sumOf(t, loop)
		if out, code := runCode(t, binary(t), append([]string{"create", loop, "--from", tree}, args...)...); code == 0 ||
			!strings.Contains(out, says) || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: exit code %d, says %q", what, code, out)
		}
		if sumOf(t, loop) != before {
			t.Errorf("%s: the disk was written to", what)
		}
	}
	refused("without --force", "--force writes to it, if it is a disk")
	refused("with a size", "a disk has its size", "--force", "--size", "8M")
	for i, args := range [][]string{{"--fat", "32"}, {"--partition", "gpt", "--fat", "16"}} {
		createImage(t, append([]string{loop, "--force", "--from", tree, "--label", fmt.Sprint("DISK ", i)}, args...)...)
		at := loop
		if args[0] == "--partition" {
			at += "@@1M"
			if out, err := exec.Command("sfdisk", "--verify", loop).CombinedOutput(); err != nil {
				t.Errorf("%q: sfdisk: %v\n%s", args, err, out)
			}
			run(t, binary(t), "check", loop)
		} else {
			fsckFaultless(t, strings.Join(args, " "), loop)
		}
		copied := filepath.Join(dir, fmt.Sprint("copied ", i))
		if err := os.Mkdir(copied, 0o777); err != nil {
			t.Fatal(err)
		}
		run(t, "mcopy", "-s", "-i", at, "::*", copied)
		if got := treeSums(t, os.DirFS(copied)); !equalSums(got, want) {
			t.Errorf("%q: mtools reads %d files, want %d", args, len(got), len(want))
		}
	}
	mounted := newDir(t)
	run(t, binary(t), "mount", loop, mounted)
	refused("while it is mounted", "in use", "--force")
	run(t, binary(t), "umount", mounted)
}

// sumOf is a digest of all that can be read from a file or disk.
func sumOf(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}
