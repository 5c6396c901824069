package fattest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fatvol/image/device"
)

// fixture is a volume that mtools has written, to be damaged by hand.
type fixture struct {
	t testing.TB
	m *device.Mem
	r *Report
	v *Volume
}

// pattern is the contents of a fixture's file.
func pattern(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i) + byte(i>>8)
	}
	return b
}

// fixtureFiles are the files of newFixture's volume, by path.
func fixtureFiles(cluster int) map[string][]byte {
	return map[string][]byte{
		"ONE.TXT":                         pattern(1, cluster*3),
		"TWO.TXT":                         pattern(2, cluster*2+1),
		"EMPTY":                           {},
		"A long name of a file.text":      pattern(3, cluster+7),
		"dir/Ünïcode 漢字.txt":              pattern(4, 10),
		"dir/sub/deep.bin":                pattern(5, cluster*5),
		"dir/" + strings.Repeat("x", 200): pattern(6, 100),
	}
}

// newFixture fills a new volume by mtools.
func newFixture(t testing.TB, l Layout) *fixture {
	t.Helper()
	need(t, "mcopy", "mmd")
	img := toFile(t, Formatted(t, l))
	setDefault(&l.ClusterSize, 512)
	mtool(t, img, "mmd", "::dir", "::dir/sub", "::other")
	src := t.TempDir()
	for path, data := range fixtureFiles(l.ClusterSize) {
		host := filepath.Join(src, "f")
		if err := os.WriteFile(host, data, 0o666); err != nil {
			t.Fatal(err)
		}
		mtool(t, img, "mcopy", host, "::"+path)
	}
	m, err := device.ReadMem(img)
	if err != nil {
		t.Fatal(err)
	}
	r := check(t, m)
	return &fixture{t, m, r, r.Volume}
}

func (f *fixture) file(path string) *File {
	f.t.Helper()
	e := f.r.Find(path)
	if e == nil {
		f.t.Fatalf("no %q on the volume", path)
	}
	return e
}

// cluster is the i-th cluster of the file.
func (f *fixture) cluster(path string, i uint32) uint32 {
	for _, e := range f.file(path).Extents {
		if i < e.Count {
			return e.Start + i
		}
		i -= e.Count
	}
	f.t.Fatalf("%q has no cluster %d", path, i)
	return 0
}

// link sets a FAT entry in every copy.
func (f *fixture) link(c, v uint32) {
	for i := range f.v.FATs {
		f.linkIn(i, c, v)
	}
}

func (f *fixture) linkIn(fat int, c, v uint32) {
	w := writer{d: f.m}
	mask := uint32(1)<<f.v.Width - 1
	if f.v.Width == 32 {
		mask = 0x0fffffff
	}
	putEntry(&w, f.v.Width, f.v.FATStart+int64(fat)*f.v.FATBytes, c, v&mask)
	if w.err != nil {
		f.t.Fatal(w.err)
	}
}

func (f *fixture) poke(off int64, b ...byte) {
	if _, err := f.m.WriteAt(b, off); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) setSize(path string, n uint32) {
	f.poke(f.file(path).Offset+28, binary.LittleEndian.AppendUint32(nil, n)...)
}

func (f *fixture) setFirst(path string, c uint32) {
	off := f.file(path).Offset
	f.poke(off+26, byte(c), byte(c>>8))
	if f.v.Width == 32 {
		f.poke(off+20, byte(c>>16), byte(c>>24))
	}
}

// data is where a directory's slot lies.
func (f *fixture) slotOf(dir string, i int64) int64 {
	return f.v.DataStart + int64(f.cluster(dir, 0)-2)*int64(f.v.ClusterSize) + i*slotSize
}

const last = 0x0fffffff

// damages are the ways to break a volume: what Check must find, and a part of fsck.fat's words for
// it; "" where fsck.fat has none.
var damages = []struct {
	name string
	harm func(f *fixture)
	want Kind
	fsck string
}{
	{"leak", func(f *fixture) { f.link(f.v.Clusters+1, last) }, Leaked, "Reclaimed 1 unused cluster"},
	{"leaked chain", func(f *fixture) { f.link(100, 101); f.link(101, last) }, Leaked, "Reclaimed 2 unused clusters"},
	{"size too small", func(f *fixture) { f.setSize("ONE.TXT", 1) }, LongChain, "cluster chain length is >"},
	{"empty with a chain", func(f *fixture) { f.setSize("ONE.TXT", 0) }, LongChain, "cluster chain length is > 0"},
	{"second name", func(f *fixture) {
		f.setFirst("TWO.TXT", f.file("ONE.TXT").First)
	}, DoubleName, "share clusters"},
	{"long name without its entry", func(f *fixture) { f.poke(f.file("A long name of a file.text").Offset, 0xe5) }, OrphanSlots, "Orphaned long file name part"},
	{"long name of another entry", func(f *fixture) { f.poke(f.file("A long name of a file.text").Offset, 'Z') }, OrphanSlots, "Wrong checksum for long file name"},
	{"long name without its start", func(f *fixture) {
		f.poke(f.file("A long name of a file.text").Offset-64, 0xe5)
	}, OrphanSlots, ""},
	{"second FAT behind", func(f *fixture) { f.linkIn(1, f.cluster("ONE.TXT", 0), 0) }, LagFAT, "FATs differ"},
	{"cross link", func(f *fixture) { f.link(f.cluster("ONE.TXT", 0), f.cluster("TWO.TXT", 1)) }, CrossLink, "share clusters"},
	{"first cluster inside another file", func(f *fixture) { f.setFirst("TWO.TXT", f.cluster("ONE.TXT", 1)) }, CrossLink, "share clusters"},
	{"file and directory at one cluster", func(f *fixture) { f.setFirst("TWO.TXT", f.file("other").First) }, CrossLink, "share clusters"},
	{"three names", func(f *fixture) {
		f.setFirst("TWO.TXT", f.file("ONE.TXT").First)
		f.setFirst("A long name of a file.text", f.file("ONE.TXT").First)
	}, CrossLink, "share clusters"},
	{"loop", func(f *fixture) { f.link(f.cluster("ONE.TXT", 2), f.cluster("ONE.TXT", 0)) }, Loop, "Circular cluster chain"},
	{"loop of one", func(f *fixture) { f.link(f.cluster("ONE.TXT", 0), f.cluster("ONE.TXT", 0)) }, Loop, "Circular cluster chain"},
	{"free in the chain", func(f *fixture) { f.link(f.cluster("ONE.TXT", 1), 0) }, FreeInChain, "Contains a free cluster"},
	{"free first cluster", func(f *fixture) { f.link(f.cluster("ONE.TXT", 0), 0) }, FreeInChain, "Contains a free cluster"},
	{"bad in the chain", func(f *fixture) { f.link(f.cluster("ONE.TXT", 1), entryBad) }, BadInChain, ""},
	{"out of the volume", func(f *fixture) { f.link(f.cluster("ONE.TXT", 1), f.v.Clusters+2) }, OutOfRange, "out of range"},
	{"to cluster 1", func(f *fixture) { f.link(f.cluster("ONE.TXT", 1), 1) }, OutOfRange, ""},
	{"first cluster out of the volume", func(f *fixture) { f.setFirst("ONE.TXT", f.v.Clusters+2) }, OutOfRange, "beyond limit"},
	{"short chain", func(f *fixture) { f.link(f.cluster("ONE.TXT", 1), last) }, ShortChain, "cluster chain length is"},
	{"size too large", func(f *fixture) { f.setSize("ONE.TXT", 0xffffffff) }, ShortChain, "cluster chain length is"},
	{"no chain", func(f *fixture) { f.setFirst("ONE.TXT", 0) }, ShortChain, "cluster chain length is"},
	{"no dot", func(f *fixture) { f.poke(f.slotOf("dir", 0), 'X') }, BadDir, "Expected a valid '.' entry"},
	{"no dotdot", func(f *fixture) { f.poke(f.slotOf("dir", 1), 0xe5) }, BadDir, "Expected a valid '..' entry"},
	{"dot elsewhere", func(f *fixture) { f.poke(f.slotOf("dir", 0)+26, 99) }, BadDir, "Invalid '.' entry"},
	{"dotdot elsewhere", func(f *fixture) { f.poke(f.slotOf("dir/sub", 1)+26, 99) }, BadDir, "Invalid '..' entry"},
	{"directory with a size", func(f *fixture) { f.setSize("dir", 512) }, BadDir, "Directory has non-zero size"},
	{"directory without a cluster", func(f *fixture) { f.setFirst("other", 0) }, BadDir, "Start does point to root directory"},
	{"directory in itself", func(f *fixture) { f.setFirst("dir/sub", f.file("dir").First) }, DirLoop, ""},
	{"file twice", func(f *fixture) {
		// The short entry of TWO.TXT is named ONE.TXT.
		f.poke(f.file("TWO.TXT").Offset, []byte("ONE     TXT")...)
	}, Duplicate, "Duplicate directory entry"},
	{"lower case in a short name", func(f *fixture) { f.poke(f.file("ONE.TXT").Offset, 'o') }, BadName, ""},
	{"slash in a short name", func(f *fixture) { f.poke(f.file("ONE.TXT").Offset+1, '/') }, BadName, "Bad short file name"},
	{"slash in a long name", func(f *fixture) { f.poke(f.file("A long name of a file.text").Offset-32+3, '/') }, BadName, ""},
	{"padding of a long name", func(f *fixture) { f.poke(f.file("A long name of a file.text").Offset-32+26, 7) }, BadLong, ""},
	{"label in a subdirectory", func(f *fixture) {
		f.poke(f.slotOf("other", 2), append([]byte("LABEL      "), attrVolume)...)
	}, BadLabel, ""},
	{"entry behind the end", func(f *fixture) {
		f.poke(f.slotOf("other", 3), append([]byte("LOST       "), attrArchive)...)
		f.poke(f.slotOf("other", 3)+24, 0x21)
	}, AfterEnd, ""},
	{"month 13", func(f *fixture) { f.poke(f.file("ONE.TXT").Offset+24, 0xa1, 0x01) }, BadTime, ""},
	{"hour 31", func(f *fixture) { f.poke(f.file("ONE.TXT").Offset+22, 0, 0xff) }, BadTime, ""},
	{"attribute bit 7", func(f *fixture) { f.poke(f.file("ONE.TXT").Offset+11, 0xa0) }, BadAttr, ""},
}

func TestCheckDamage(t *testing.T) {
	for _, l := range []Layout{
		{Width: 12, Clusters: 1000},
		{Width: 16, Clusters: 5000},
		{Width: 32, Clusters: 66000},
	} {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			whole := newFixture(t, l)
			if err := whole.r.Err(); err != nil {
				t.Fatalf("before any damage: %v", err)
			}
			for _, d := range damages {
				t.Run(d.name, func(t *testing.T) {
					f := &fixture{t, whole.m.Clone(), whole.r, whole.v}
					d.harm(f)
					r := check(t, f.m)
					if r.Count(d.want) == 0 {
						t.Errorf("want %q, got %v", d.want, r.Err())
					}
					// FSInfo keeps the count from before.
					if d.want.Class() == Harmless && len(r.Damaged()) > r.Count(BadInfo) {
						t.Errorf("want nothing worse than %q, got %v", d.want, r.Err())
					}
					need(t, "fsck.fat")
					out, code := fsck(t, toFile(t, f.m))
					if d.fsck != "" && !strings.Contains(out, d.fsck) {
						t.Errorf("fsck.fat: want %q, exit code %d:\n%s", d.fsck, code, out)
					}
				})
			}
		})
	}
}

// TestCheckDirtyFlag: what may be behind while the volume says that it is dirty.
func TestCheckDirtyFlag(t *testing.T) {
	l := Layout{Width: 32, Clusters: 66000}
	m := Formatted(t, l)
	m.WriteAt([]byte{1}, 512+488) // FSInfo's free count
	if r := check(t, m); r.Dirty || r.Count(BadInfo) != 1 {
		t.Errorf("clean volume with a wrong FSInfo: dirty %v, %v", r.Dirty, r.Err())
	}
	m.WriteAt([]byte{1}, 65)
	r := check(t, m)
	if !r.Dirty || r.Count(StaleInfo) != 1 || r.Count(StaleBackup) != 1 || r.DamageErr() != nil {
		t.Errorf("dirty volume with a wrong FSInfo: dirty %v, %v", r.Dirty, r.Err())
	}
	m = Formatted(t, l)
	f := &fixture{t, m, nil, check(t, m).Volume}
	f.link(1, last&^(1<<27))
	if r := check(t, m); !r.Dirty || r.Err() != nil {
		t.Errorf("dirty bit in FAT[1]: dirty %v, %v", r.Dirty, r.Err())
	}
}

// TestCheckReads compares names and contents as the checker sees them with what mtools stored.
func TestCheckReads(t *testing.T) {
	for _, l := range []Layout{
		{Width: 12, Clusters: 1000, SectorSize: 512, ClusterSize: 512},
		{Width: 16, Clusters: 5000, SectorSize: 1024, ClusterSize: 4096},
		{Width: 32, Clusters: 66000, SectorSize: 2048, ClusterSize: 2048},
	} {
		f := newFixture(t, l)
		if err := f.r.Err(); err != nil {
			t.Error(err)
		}
		files := fixtureFiles(l.ClusterSize)
		for path, want := range files {
			got, err := f.file(path).Contents()
			if err != nil || sha256.Sum256(got) != sha256.Sum256(want) {
				t.Errorf("FAT%d: %q: %d bytes, want %d (%v)", l.Width, path, len(got), len(want), err)
			}
		}
		if want := len(files) + 3; len(f.r.Files) != want {
			t.Errorf("FAT%d: %d entries, want %d", l.Width, len(f.r.Files), want)
		}
	}
}

// FuzzCheck: no volume makes the checker panic or run for ever.
func FuzzCheck(f *testing.F) {
	for _, l := range []Layout{{Width: 12, Clusters: 60, RootEntries: 16}, {Width: 16, Clusters: 4085, RootEntries: 16}} {
		size, _ := VolumeSize(l)
		m := device.NewMem(size)
		Format(m, l)
		b := make([]byte, size)
		m.ReadAt(b, 0)
		f.Add(b[:min(len(b), 64<<10)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 512 {
			return
		}
		m := device.NewMem(4 << 20)
		m.WriteAt(b[:min(len(b), 4<<20)], 0)
		m.WriteAt([]byte{0x55, 0xaa}, 510)
		Check(m)
	})
}
