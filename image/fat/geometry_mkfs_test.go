package fat

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// mkfs formats a sparse file and returns it, or "" when mkfs.fat refuses the arguments.
func mkfs(t *testing.T, kib int64, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "volume")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, kib<<10); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.fat", append(args, path)...).CombinedOutput(); err != nil {
		t.Logf("mkfs.fat %s, %d KiB: %s", strings.Join(args, " "), kib, out)
		return ""
	}
	return path
}

func readGeometry(t *testing.T, path string) (*Geometry, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	boot := make([]byte, min(BootSize, st.Size()))
	if _, err := f.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	return ParseGeometry(boot, st.Size(), GeometryOptions{})
}

func needTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
}

// fsckNumbers are the numbers that fsck.fat -v prints of a boot sector.
var fsckNumbers = []struct {
	name string
	re   *regexp.Regexp
	of   func(g *Geometry) int64
}{
	{"sector size", regexp.MustCompile(`(\d+) bytes per logical sector`), func(g *Geometry) int64 { return int64(g.SectorSize) }},
	{"cluster size", regexp.MustCompile(`(\d+) bytes per cluster`), func(g *Geometry) int64 { return int64(g.ClusterSize) }},
	{"first FAT", regexp.MustCompile(`First FAT starts at byte (\d+)`), func(g *Geometry) int64 { return g.FATStart }},
	{"FATs", regexp.MustCompile(`(\d+) FATs?,`), func(g *Geometry) int64 { return int64(g.FATs) }},
	{"width", regexp.MustCompile(`(\d+) bit entries`), func(g *Geometry) int64 { return int64(g.Width) }},
	{"FAT bytes", regexp.MustCompile(`(\d+) bytes per FAT`), func(g *Geometry) int64 { return g.FATBytes }},
	{"root start", regexp.MustCompile(`Root directory starts at byte (\d+)`), func(g *Geometry) int64 { return g.RootStart }},
	{"root entries", regexp.MustCompile(`(\d+) root directory entries`), func(g *Geometry) int64 { return int64(g.RootEntries) }},
	{"root cluster", regexp.MustCompile(`Root directory start at cluster (\d+)`), func(g *Geometry) int64 { return int64(g.RootCluster) }},
	{"data start", regexp.MustCompile(`Data area starts at byte (\d+)`), func(g *Geometry) int64 { return g.DataStart }},
	{"clusters", regexp.MustCompile(`(\d+) data clusters`), func(g *Geometry) int64 { return int64(g.Clusters) }},
	{"sectors", regexp.MustCompile(`(\d+) sectors total`), func(g *Geometry) int64 { return g.Size / int64(g.SectorSize) }},
}

func compareFsck(t *testing.T, what, path string) {
	t.Helper()
	g, err := readGeometry(t, path)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	out, err := exec.Command("fsck.fat", "-v", "-n", path).CombinedOutput()
	if err != nil {
		t.Errorf("%s: fsck.fat: %v\n%s", what, err, out)
		return
	}
	found := 0
	for _, n := range fsckNumbers {
		m := n.re.FindSubmatch(out)
		if m == nil {
			continue
		}
		found++
		want, _ := strconv.ParseInt(string(m[1]), 10, 64)
		if got := n.of(g); got != want {
			t.Errorf("%s: %s %d, fsck.fat says %d", what, n.name, got, want)
		}
	}
	if found < 10 {
		t.Errorf("%s: fsck.fat printed only %d of the numbers:\n%s", what, found, out)
	}
}

// TestGeometryAgreesWithFsck formats volumes of many shapes with mkfs.fat and compares what
// ParseGeometry reads with what fsck.fat does.
func TestGeometryAgreesWithFsck(t *testing.T) {
	needTools(t, "mkfs.fat", "fsck.fat")
	type format struct {
		kib  int64
		args string
	}
	var formats []format
	for _, kib := range []int64{160, 180, 320, 360, 720, 1200, 1440, 2880} {
		formats = append(formats, format{kib, ""})
	}
	for _, sector := range []int{512, 1024, 2048, 4096} {
		for _, f := range []format{
			{2 << 10, "-F 12"}, {8 << 10, "-F 12 -s 8 -f 1"}, {300 << 10, "-F 12 -s 128 -r 1024"},
			{64 << 10, "-F 16"}, {600 << 10, "-F 16 -s 8 -R 5 -r 240 -f 1"}, {2 << 20, "-F 16 -s 128"},
			{300 << 10, "-F 32 -s 1"}, {3 << 20, "-F 32 -R 40 -b 12"}, {40 << 20, "-F 32 -s 128 -f 1"}, {1 << 10, "-F 32"},
		} {
			formats = append(formats, format{f.kib, fmt.Sprintf("%s -S %d", f.args, sector)})
		}
	}
	// Both sides of the limits of the cluster count.
	for kib := int64(4084); kib <= 4150; kib += 3 {
		formats = append(formats, format{kib, "-a -s 2 -F 12"}, format{kib, "-a -s 2 -F 16"})
	}
	for kib := int64(32880); kib <= 33100; kib += 20 {
		formats = append(formats, format{kib, "-a -s 1 -F 16"}, format{kib, "-a -s 1 -F 32"})
	}
	made := 0
	for _, f := range formats {
		if path := mkfs(t, f.kib, strings.Fields(f.args)...); path != "" {
			made++
			compareFsck(t, fmt.Sprintf("%d KiB %s", f.kib, f.args), path)
			os.Remove(path)
		}
	}
	if made < len(formats)*2/3 {
		t.Errorf("mkfs.fat made only %d of %d volumes", made, len(formats))
	}
}

// TestGeometryOfManyFATs compares with minfo, as fsck.fat refuses more than two FATs.
func TestGeometryOfManyFATs(t *testing.T) {
	needTools(t, "mkfs.fat", "minfo")
	for _, f := range []struct{ args, sectorsPerFAT string }{
		{"-F 12 -f 3", `sectors per fat: (\d+)`}, {"-F 16 -f 4 -s 2", `sectors per fat: (\d+)`}, {"-F 32 -f 4 -s 1", `Big fatlen=(\d+)`},
	} {
		path := mkfs(t, 40<<10, append([]string{"-n", "MANY FATS", "-i", "1234abcd"}, strings.Fields(f.args)...)...)
		if path == "" {
			continue
		}
		g, err := readGeometry(t, path)
		if err != nil {
			t.Errorf("%s: %v", f.args, err)
			continue
		}
		out, err := exec.Command("minfo", "-i", path, "::").CombinedOutput()
		if err != nil {
			t.Errorf("%s: minfo: %v\n%s", f.args, err, out)
			continue
		}
		number := func(re string) int64 {
			m := regexp.MustCompile(re).FindSubmatch(out)
			if m == nil {
				t.Errorf("%s: minfo printed no %s:\n%s", f.args, re, out)
				return -1
			}
			n, _ := strconv.ParseInt(string(m[1]), 10, 64)
			return n
		}
		if n := number(`fats: (\d+)`); int64(g.FATs) != n {
			t.Errorf("%s: %d FATs, minfo says %d", f.args, g.FATs, n)
		}
		if n := number(f.sectorsPerFAT) * int64(g.SectorSize); g.FATBytes != n {
			t.Errorf("%s: %d bytes per FAT, minfo says %d", f.args, g.FATBytes, n)
		}
		if n := number(`cluster size: (\d+) sectors`) * int64(g.SectorSize); int64(g.ClusterSize) != n {
			t.Errorf("%s: %d bytes per cluster, minfo says %d", f.args, g.ClusterSize, n)
		}
		if g.Serial != 0x1234abcd || string(g.Label[:]) != "MANY FATS  " || !strings.Contains(string(out), g.Width.String()) {
			t.Errorf("%s: serial %x, label %q, %v; minfo says:\n%s", f.args, g.Serial, g.Label[:], g.Width, out)
		}
	}
}

func TestGeometryOfAtariVolume(t *testing.T) {
	needTools(t, "mkfs.fat")
	path := mkfs(t, 20000, "-A", "-F", "16")
	if path == "" {
		t.Skip("mkfs.fat makes no Atari volumes")
	}
	g, err := readGeometry(t, path)
	if err != nil || g.Width != FAT16 || g.Clusters != 19905 {
		t.Errorf("%+v, %v", g, err)
	}
	floppy := mkfs(t, 720, "-A")
	if g, err := readGeometry(t, floppy); err != nil || g.Width != FAT12 {
		t.Errorf("floppy: %+v, %v", g, err)
	}
}
