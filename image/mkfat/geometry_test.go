package mkfat

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
)

func needTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
}

// memoryDir is a temporary directory in memory where there is one: formatters and checkers write and read
// whole FATs, and sync.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mkfat-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// mkfs makes an empty volume with mkfs.fat and returns its boot sector, or nil where it refuses.
func mkfs(t *testing.T, size int64, args ...string) []byte {
	t.Helper()
	path := filepath.Join(memoryDir(t), "volume")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	if out, err := exec.Command("mkfs.fat", append(args, path)...).CombinedOutput(); err != nil || strings.Contains(string(out), "WARNING") {
		return nil
	}
	b := make([]byte, 512)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGeometryOfMkfs compares all fields of the boot sector that describe the volume with those that
// mkfs.fat writes.
func TestGeometryOfMkfs(t *testing.T) {
	needTools(t, "mkfs.fat")
	type format struct {
		kib  int64
		args string
		w    Wishes
	}
	var formats []format
	for _, kib := range []int64{360, 720, 1200, 1440, 2880, 100, 500, 3000, 4096, 5000, 8 << 10, 16 << 10, 16<<10 + 3, 33 << 10,
		64 << 10, 100<<10 + 1, 128 << 10, 200 << 10, 256 << 10, 300 << 10, 511 << 10, 512 << 10, 1 << 20, 4 << 20, 8 << 20, 9 << 20,
		17 << 20, 33 << 20, 200 << 20} {
		formats = append(formats, format{kib, "", Wishes{}})
	}
	for _, f := range []format{
		{2 << 10, "-F 12", Wishes{Width: fat.FAT12}},
		{60 << 10, "-F 12", Wishes{Width: fat.FAT12}},
		{250 << 10, "-F 12", Wishes{Width: fat.FAT12}},
		{20 << 10, "-F 16", Wishes{Width: fat.FAT16}},
		{1 << 20, "-F 16", Wishes{Width: fat.FAT16}},
		{3 << 20, "-F 16", Wishes{Width: fat.FAT16}},
		{40 << 10, "-F 32", Wishes{Width: fat.FAT32}},
		{260 << 10, "-F 32", Wishes{Width: fat.FAT32}},
		{261 << 10, "-F 32", Wishes{Width: fat.FAT32}},
		{64 << 10, "-F 32 -s 1 -f 1", Wishes{Width: fat.FAT32, ClusterSize: 512, FATs: 1}},
		{8 << 10, "-s 8 -f 1", Wishes{ClusterSize: 4096, FATs: 1}},
		{64 << 10, "-s 4 -f 2", Wishes{ClusterSize: 2048}},
		{10 << 20, "-F 32 -s 128", Wishes{Width: fat.FAT32, ClusterSize: 65536}},
		{1 << 20, "-F 16 -S 4096", Wishes{Width: fat.FAT16, SectorSize: 4096}},
		{64 << 10, "-S 1024", Wishes{SectorSize: 1024}},
		{64 << 10, "-S 2048", Wishes{SectorSize: 2048}},
		{64 << 10, "-S 4096", Wishes{SectorSize: 4096}},
		{4 << 20, "-F 32 -S 4096 -s 1", Wishes{Width: fat.FAT32, SectorSize: 4096, ClusterSize: 4096}},
		{100 << 20, "-F 32 -S 4096 -s 8", Wishes{Width: fat.FAT32, SectorSize: 4096, ClusterSize: 32 << 10}},
		{40 << 10, "-f 3", Wishes{FATs: 3}}, {40 << 10, "-f 4 -F 32", Wishes{FATs: 4, Width: fat.FAT32}},
	} {
		formats = append(formats, f)
	}
	// Both sides of the limits of the cluster count.
	for kib := int64(4080); kib <= 4200; kib += 7 {
		formats = append(formats, format{kib * 2, "", Wishes{}}, format{kib, "-F 12 -s 2", Wishes{Width: fat.FAT12, ClusterSize: 1024}},
			format{kib, "-F 16 -s 2", Wishes{Width: fat.FAT16, ClusterSize: 1024}})
	}
	for kib := int64(32880); kib <= 33100; kib += 20 {
		formats = append(formats, format{kib * 4, "", Wishes{}}, format{kib, "-F 16 -s 1", Wishes{Width: fat.FAT16, ClusterSize: 512}},
			format{kib, "-F 32 -s 1", Wishes{Width: fat.FAT32, ClusterSize: 512}})
	}
	same, different := 0, 0
	for _, f := range formats {
		name := fmt.Sprintf("%d KiB %s", f.kib, f.args)
		args := append([]string{"-i", "12345678", "-n", "LABEL"}, strings.Fields(f.args)...)
		want := mkfs(t, f.kib<<10, args...)
		serial := uint32(0x12345678)
		p, err := New(nil, Options{Size: f.kib << 10, Wishes: f.w, Label: "label", Serial: &serial})
		if want == nil {
			different++ // we may well make it, or refuse it with more reason
			continue
		}
		if err != nil {
			t.Errorf("%s: %v; mkfs.fat makes it", name, err)
			continue
		}
		got := make([]byte, 512)
		m := device.NewMem(p.Size)
		if err := p.writeReserved(m); err != nil {
			t.Fatal(err)
		}
		if _, err := m.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		end := p.Shape.Width.BootCodeOffset()
		copy(got[3:11], want[3:11]) // the maker's name
		if string(got[:end]) != string(want[:end]) || string(got[510:]) != string(want[510:]) {
			t.Errorf("%s: boot sector\n% x\nmkfs.fat makes\n% x", name, got[:end], want[:end])
			continue
		}
		same++
	}
	if same < 60 || different > len(formats)/3 {
		t.Errorf("mkfs.fat makes only %d of %d volumes", same, len(formats))
	}
}

// TestFloppies compares with the formats as they are in the manuals of DOS.
func TestFloppies(t *testing.T) {
	for kib, want := range map[int64]struct {
		perCluster, root, fat int
		media                 byte
		clusters              uint32
	}{
		160: {1, 64, 1, 0xfe, 313}, 180: {1, 64, 2, 0xfc, 351}, 320: {2, 112, 1, 0xff, 315}, 360: {2, 112, 2, 0xfd, 354},
		720: {2, 112, 3, 0xf9, 713}, 1200: {1, 224, 7, 0xf9, 2371}, 1440: {1, 224, 9, 0xf0, 2847}, 2880: {2, 224, 9, 0xf0, 2863},
	} {
		s, err := Choose(kib<<10, Wishes{})
		if err != nil {
			t.Errorf("%d KiB: %v", kib, err)
			continue
		}
		if !s.Floppy || s.Width != fat.FAT12 || s.SectorsPerCluster != want.perCluster || s.RootEntries != want.root ||
			int(s.FATSectors) != want.fat || s.media != want.media || s.Reserved != 1 || s.FATs != 2 || s.Clusters != want.clusters {
			t.Errorf("%d KiB: %+v", kib, s)
		}
		if s, err := Choose(kib<<10, Wishes{Partition: true}); err != nil || s.Floppy || s.media != 0xf8 {
			t.Errorf("%d KiB in a partition: %+v, %v", kib, s, err)
		}
	}
}

// TestLimits goes over each count at which the width changes: on one side there is a volume of the width, on
// the other there is none.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		width    fat.Width
		clusters uint32
	}{
		{fat.FAT12, 4084}, {fat.FAT16, 4085}, {fat.FAT16, 65524}, {fat.FAT32, 65525},
	} {
		for _, sector := range []int{512, 1024, 2048, 4096} {
			for _, cluster := range []int{sector, 4 * sector, 64 * sector, 128 * sector} {
				w := Wishes{Width: c.width, SectorSize: sector, ClusterSize: cluster}
				at := map[bool]bool{}
				span := uint32(max(12, 70*sector/cluster))
				for size := sizeNear(c.clusters-span, w); ; size += int64(max(sector, cluster/8)) {
					ch, err := newChooser(size, w)
					if err != nil {
						t.Fatal(err)
					}
					n := ch.shape(c.width, cluster/sector).Clusters
					if n > c.clusters+span {
						break
					}
					s, err := Choose(size, w)
					if able := n >= c.width.MinClusters() && n <= c.width.MaxClusters(); able != (err == nil) || able && s.Clusters != n {
						t.Fatalf("%+v, %d bytes, %d clusters: %v", w, size, n, err)
					}
					if err != nil && !errors.Is(err, ErrGeometry) {
						t.Fatal(err)
					}
					at[n == c.clusters] = true
				}
				// Tracks are longer than small clusters: not every number of those can be had.
				if !at[true] && cluster >= 64*sector {
					t.Errorf("%+v: no size makes %d clusters", w, c.clusters)
				}
			}
		}
	}
}

// sizeNear is a size that makes about that many clusters, rather less.
func sizeNear(clusters uint32, w Wishes) int64 {
	size := int64(clusters) * int64(w.ClusterSize)
	for range 10 {
		c, err := newChooser(size, w)
		if err != nil {
			return size
		}
		n := c.shape(w.Width, w.ClusterSize/w.SectorSize).Clusters
		size += (int64(clusters) - int64(n)) * int64(w.ClusterSize)
	}
	return size
}

// TestGeometryErrors: each says what would do.
func TestGeometryErrors(t *testing.T) {
	for _, c := range []struct {
		size int64
		w    Wishes
		want string
	}{
		{16 << 20, Wishes{Width: fat.FAT32}, "too small for FAT32: at least "},
		{1 << 30, Wishes{Width: fat.FAT12}, "too large for FAT12: at most "},
		{8 << 30, Wishes{Width: fat.FAT16}, "too large for FAT16: at most "},
		{1000, Wishes{}, "too small for a FAT volume: at least "},
		{3 << 40, Wishes{}, "sectors of 1024 bytes would do"},
		{20 << 40, Wishes{}, "at most "},
		{64 << 20, Wishes{ClusterSize: 3000}, "clusters of 3000 bytes: with sectors of 512 bytes there are 512, 1024, 2048 … 65536"},
		{64 << 20, Wishes{ClusterSize: 512, SectorSize: 1024}, "clusters of 512 bytes"},
		{64 << 20, Wishes{SectorSize: 8192}, "sectors of 8192 bytes"},
		{64 << 20, Wishes{FATs: 5}, "5 FATs"},
		{64 << 20, Wishes{Width: 24}, "24 bits"},
		{64 << 20, Wishes{Width: fat.FAT32, ClusterSize: 65536}, "too small for FAT32 with clusters of 65536 bytes: at least 4"},
		{64 << 20, Wishes{Width: fat.FAT12, ClusterSize: 512}, "too large for FAT12 with clusters of 512 bytes: at most "},
		{1440 << 10, Wishes{RootEntries: 300}, "holds 224 entries, 300 are needed"},
		{64 << 20, Wishes{Width: fat.FAT16, RootEntries: 65521}, "a root directory of 65521 entries: FAT12 and FAT16 have at most 65520"},
		{32 << 20, Wishes{RootEntries: 65521}, "too small for FAT32"},
	} {
		_, err := Choose(c.size, c.w)
		if !errors.Is(err, ErrGeometry) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d bytes, %+v: %v, want %q", c.size, c.w, err, c.want)
		}
	}
}

// TestGeometryBounds: what the errors name as least and most is just that.
func TestGeometryBounds(t *testing.T) {
	for _, w := range []Wishes{
		{Width: fat.FAT12}, {Width: fat.FAT16}, {Width: fat.FAT32}, {Width: fat.FAT16, ClusterSize: 512},
		{Width: fat.FAT32, ClusterSize: 4096, SectorSize: 4096}, {Width: fat.FAT12, ClusterSize: 4096, FATs: 1},
	} {
		least, most, err := Bounds(w)
		if err != nil {
			t.Errorf("%+v: %v", w, err)
			continue
		}
		sector := int64(max(w.SectorSize, 512))
		for _, c := range []struct {
			size int64
			able bool
		}{{least - sector, false}, {least, true}, {most, true}, {most + 128*sector, false}} {
			if _, err := Choose(c.size, w); (err == nil) != c.able {
				t.Errorf("%+v, bounds %d and %d: %d: %v", w, least, most, c.size, err)
			}
		}
	}
}

// TestBetweenWidths: with a cluster size that is given, too, every size is possible up to the largest.
func TestBetweenWidths(t *testing.T) {
	for _, cluster := range []int{512, 16 << 10, 32 << 10} {
		for _, limit := range []int64{4085, 65525} {
			for k := int64(-40); k <= 60; k++ {
				size := (limit + k) * int64(cluster)
				s, err := Choose(size, Wishes{ClusterSize: cluster})
				if err != nil {
					t.Errorf("%d bytes, clusters of %d: %v", size, cluster, err)
				} else if s.Sectors*512 < size-size/32 {
					t.Errorf("%d bytes, clusters of %d: only %d sectors are used", size, cluster, s.Sectors)
				}
			}
		}
	}
}

// TestChooseAlways: between the smallest and the largest volume every size is possible without wishes,
// and the areas lie within it.
func TestChooseAlways(t *testing.T) {
	for size := int64(40 << 10); size < MaxSize(512); size += max(512, size/97/512*512) {
		s, err := Choose(size, Wishes{})
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if end := s.clusterOffset(fat.Cluster(s.Clusters + 2)); end > size || s.Clusters == 0 {
			t.Fatalf("%d bytes: %+v ends at %s", size, s, strconv.FormatInt(end, 10))
		}
	}
}
