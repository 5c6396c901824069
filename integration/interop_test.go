package integration

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fatvol/image/fat/fattest"
)

// interopWidths are the FAT widths of the matrix, each with a number of clusters that makes mkfs.fat
// choose it. mkfs.fat's own needs (a FAT fewer, alignment) stay well inside the width's range.
var interopWidths = []struct {
	width    int
	clusters int64
}{
	{12, 3000},   // 1…4084
	{16, 4400},   // 4085…65524
	{32, 66_200}, // 65525 and more
}

// interopLayouts are the places of a volume in an image. The tables count in 512-byte sectors, as
// those of an image file do, whatever the volume's own sector size.
var interopLayouts = []struct {
	name  string
	start int64          // bytes
	types map[int]string // of the partition, by width; none without a table
}{
	{"whole", 0, nil},
	{"mbr", 63 * 512, map[int]string{12: "1", 16: "e", 32: "c"}},
	{"gpt", 1 << 20, map[int]string{12: basicData, 16: basicData, 32: basicData}},
}

const basicData = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"

// table writes a partition table with one entry.
func (c *interopCell) table(t *testing.T, name, kind string) {
	t.Helper()
	label := map[string]string{"mbr": "dos", "gpt": "gpt"}[name]
	cmd := exec.Command("sfdisk", "-q", c.img) // sgdisk syncs every disk of the machine
	cmd.Stdin = strings.NewReader(fmt.Sprintf("label: %s\nstart=%d, size=%d, type=%s\n", label, c.start/512, c.size/512, kind))
	if out, code := runCmd(t, cmd); code != 0 {
		t.Fatalf("sfdisk: exit code %d\n%s", code, out)
	}
}

// clusterSizes are the smallest, a usual and the largest cluster size for a sector size: a cluster
// has at most 128 sectors, and nothing that reads FAT has more than 256 KiB.
func clusterSizes(sector int64) []int64 {
	return []int64{sector, max(4096, 4*sector), min(128*sector, 256<<10)}
}

// TestInterop has mtools and fatvol write trees of files into one volume, and both read back what
// both wrote; fsck.fat and our own checker find nothing in between.
func TestInterop(t *testing.T) {
	needFUSE(t)
	need(t, "mkfs.fat", "fsck.fat", "mcopy", "sfdisk")
	binary(t)
	n := 0
	for _, w := range interopWidths {
		for _, sector := range []int64{512, 1024, 2048, 4096} {
			for _, cluster := range clusterSizes(sector) {
				for fats := 1; fats <= 2; fats++ {
					for _, l := range interopLayouts {
						n++
						if testing.Short() && n%11 != 0 { // 11 divides none of the axes: all values occur
							continue
						}
						t.Run(fmt.Sprintf("FAT%d/sector=%d/cluster=%d/fats=%d/%s", w.width, sector, cluster, fats, l.name), func(t *testing.T) {
							t.Parallel()
							c := interopCell{width: w.width, sector: sector, cluster: cluster, fats: fats, start: l.start}
							c.size = w.clusters*cluster + 256<<10 + w.clusters*int64(w.width)/8*int64(fats)
							c.size -= c.size % (64 * sector)
							c.img = c.format(t)
							if l.types != nil {
								c.table(t, l.name, l.types[c.width])
							}
							c.test(t)
						})
					}
				}
			}
		}
	}
}

type interopCell struct {
	width, fats     int
	sector, cluster int64 // bytes
	start, size     int64 // of the volume in the image, bytes
	img             string
}

// format makes the image with the volume at its place.
func (c *interopCell) format(t *testing.T) string {
	args := []string{"-F", fmt.Sprint(c.width), "-S", fmt.Sprint(c.sector), "-s", fmt.Sprint(c.cluster / c.sector),
		"-f", fmt.Sprint(c.fats), "-h", fmt.Sprint(c.start / 512), "-n", "INTEROP"}
	volume := mkfsFAT(t, c.size, args...)
	if c.start == 0 {
		return volume
	}
	src, err := os.Open(volume)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	img, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if err := img.Truncate(c.start + c.size + 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(io.NewOffsetWriter(img, c.start), src, 0, c.size); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(volume); err != nil {
		t.Fatal(err)
	}
	return img.Name()
}

func (c *interopCell) test(t *testing.T) {
	// With two FATs, mtools and the mount are in another zone than this process.
	zone, options := "", []string(nil)
	if c.fats == 2 {
		zone, options = "TZ=EAST-1:30", []string{"time_offset=90"}
	}
	rc := filepath.Join(t.TempDir(), "mtoolsrc")
	if err := os.WriteFile(rc, []byte("default_codepage=437\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	mcopy := func(args ...string) {
		t.Helper()
		cmd := exec.Command("mcopy", append([]string{"-i", fmt.Sprintf("%s@@%d", c.img, c.start), "-s", "-m", "-n", "-Q"}, args...)...)
		cmd.Env = append(os.Environ(), "MTOOLSRC="+rc, "LC_ALL=C.UTF-8")
		if zone != "" {
			cmd.Env = append(cmd.Env, zone)
		}
		if out, code := runCmd(t, cmd); code != 0 || out != "" {
			t.Fatalf("%s: exit code %d\n%s", cmd, code, out)
		}
	}

	theirs, ours := t.TempDir(), t.TempDir()
	// A decomposed name stays what it is on the volume; in new names fatvol composes it.
	plantTree(t, theirs, c.cluster, 1, "decomposed e\u0301")
	// The last names mtools reads, but cannot write: it makes no long name where eight and three characters
	// seem to do, and has then lost case or letters.
	plantTree(t, ours, c.cluster, 2, "naïve", "äöüß.txt", "Ï/ŝ.đ")
	top, err := filepath.Glob(filepath.Join(theirs, "*"))
	if err != nil {
		t.Fatal(err)
	}
	mcopy(append(top, "::")...)
	want := treeOf(t, theirs)

	dir := mountImage(t, c.img, options...)
	sameTree(t, "written by mtools, read through the mount", treeOf(t, dir), want)

	// Beside a tree of our own: changes in the middle of theirs.
	if err := os.Mkdir(filepath.Join(dir, "From fatvol"), 0o777); err != nil {
		t.Fatal(err)
	}
	copyTree(t, filepath.Join(dir, "From fatvol"), ours)
	for path, what := range treeOf(t, ours) {
		want["From fatvol/"+path] = what
	}
	want["From fatvol"] = "directory"
	for i := 0; i < manyFiles; i += 3 {
		gone, from, to := manyName(i), manyName(i+1), fmt.Sprintf("Renamed – %d", i)
		if err := os.Remove(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
		want[to] = want[from]
		delete(want, gone)
		delete(want, from)
	}
	sameTree(t, "written and read through the mount", treeOf(t, dir), want)
	umount(t, dir)

	fsck(t, c.img, c.start)
	c.check(t)
	out := t.TempDir()
	mcopy("::*", out)
	sameTree(t, "written through the mount, read by mtools", treeOf(t, out), want)
}

// check runs the checker of fattest: it sees more than fsck.fat, as the counts in FSInfo, lost
// clusters that are all zero, and what the width and the cluster size of the volume really are.
func (c *interopCell) check(t *testing.T) {
	f, err := os.Open(c.img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := fattest.Check(io.NewSectionReader(f, c.start, c.size))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if v := r.Volume; v.Width != c.width || int64(v.SectorSize) != c.sector || int64(v.ClusterSize) != c.cluster || v.FATs != c.fats {
		t.Errorf("mkfs.fat made FAT%d, sectors of %d, clusters of %d, %d FATs", v.Width, v.SectorSize, v.ClusterSize, v.FATs)
	}
	if r.Dirty || c.width == 32 && r.InfoFree != r.Free {
		t.Errorf("after a clean unmount: dirty %v, %d free clusters, FSInfo says %d", r.Dirty, r.Free, r.InfoFree)
	}
}

const manyFiles = 60

func manyName(i int) string { return fmt.Sprintf("many/one of a large number of files, %d", i) }

// plantTree writes files of all kinds of names and of sizes around the cluster size below dir. It
// uses no characters beyond the Basic Multilingual Plane, which mtools does not know.
func plantTree(t testing.TB, dir string, cluster int64, seed uint64, more ...string) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, uint64(cluster)))
	sizes := []int64{0, 1, 511, 512, cluster - 1, cluster, cluster + 1, 2 * cluster, 2*cluster + 17}
	names := []string{
		"README.TXT", "NOEXT", "lower.txt", "lower.TXT2", "lowbase.TXT", "UPBASE.txt", "Mixed.Txt", "a", "Z",
		"with space.txt", "two.dots.txt", ".hidden", "longer than eight.text", "plus+,;=[]", "$%'-_@~`!(){}^#&",
		"LONGNA~1.TXT", "Longname number one.txt", "Longname number two.txt", "Longname Number Three.TXT", // in this order: the first is no alias yet
		"ÄÖÜ.TXT", "äöüß in lower.txt", "Ünïcode – 漢字.txt", "Привет, мир", "Ελληνικά.dat", "とても長い名前のファイル.テキスト",
		strings.Repeat("long ", 50) + "name",
		"DIR/IN8DOT3.TXT", "DIR/SUB/in lower", "Directory with a long name/file", "deep/er/and/deep/er/file", "Naïve directory/Ω",
	}
	names = append(names, more...)
	for i := range manyFiles {
		names = append(names, manyName(i))
	}
	if err := os.Mkdir(filepath.Join(dir, "Empty directory"), 0o777); err != nil {
		t.Fatal(err)
	}
	first := time.Date(1980, 1, 2, 3, 4, 5, 0, time.UTC).Unix()
	last := time.Date(2037, 12, 30, 0, 0, 0, 0, time.UTC).Unix()
	for i, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		size := int64(rnd.IntN(200))
		if i < 3*len(sizes) {
			size = sizes[i%len(sizes)]
		}
		if size > 3*512<<10 {
			t.Fatal("the trees are meant to be small")
		}
		content := make([]byte, size)
		for j := range content {
			content[j] = byte(rnd.Uint32())
		}
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
		mtime := time.Unix(first+rnd.Int64N(last-first), 0)
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
}

// copyTree copies files and times below a directory.
func copyTree(t testing.TB, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || rel == "." {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.Mkdir(dst, 0o777)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, content, 0o666); err != nil {
			return err
		}
		return os.Chtimes(dst, info.ModTime(), info.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// treeOf describes all that is below a directory: by path the kind or, of files, size, time of the
// last change to the two seconds that FAT has, and hash.
func treeOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			tree[rel] = "directory"
			return nil
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		tree[rel] = fmt.Sprintf("%v size %d (read %d) mtime %d sha256 %x", info.Mode().Type(), info.Size(), len(content),
			info.ModTime().Unix()&^1, sha256.Sum256(content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// sameTree fails the test for what is in one tree and not, or not like that, in the other.
func sameTree(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	all := map[string]bool{}
	for path := range got {
		all[path] = true
	}
	for path := range want {
		all[path] = true
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if got[path] != want[path] {
			t.Errorf("%s: %+q:\n is   %q\n want %q", what, path, got[path], want[path])
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}
