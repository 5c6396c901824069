package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// infoJSON is what the tests read of `fatvol info --json`.
type infoJSON struct {
	Size       int64
	State      string
	MountedOn  []string `json:"mounted_on"`
	Scheme     string
	Partitions []struct {
		Number      int
		Start, Size int64
		Name        string
		Content     string
		Problems    []string
		Volume      *struct {
			FAT          int
			Label        string
			Size         int64
			Serial       string
			ClusterSize  int `json:"cluster_size"`
			Clusters     int
			FreeClusters int `json:"free_clusters"`
			Dirty        bool
			Fragments    *struct{ Chains, Fragments int }
		}
	}
}

func readInfo(t testing.TB, args ...string) (info infoJSON) {
	t.Helper()
	out := run(t, binary(t), append([]string{"info", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return info
}

func TestInfoOfAVolume(t *testing.T) {
	img := mkfsFAT(t, 64<<20, "-F", "32", "-n", "HOLIDAY", "-i", "12345678", "-s", "1")
	dir := mountImage(t, img)
	if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 5<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "sync", filepath.Join(dir, "a"))
	info := readInfo(t, img)
	if info.State != "mounted" || len(info.MountedOn) != 1 || info.MountedOn[0] != dir {
		t.Errorf("while it is mounted: %q on %q", info.State, info.MountedOn)
	}
	if v := info.Partitions[0].Volume; v == nil || !v.Dirty {
		t.Errorf("while it is in use, it is clean: %+v", v)
	}
	umount(t, dir)

	info = readInfo(t, "--fragments", img)
	if info.Size != 64<<20 || info.Scheme != "none" || info.State != "not mounted" || len(info.Partitions) != 1 {
		t.Fatalf("%+v", info)
	}
	v := info.Partitions[0].Volume
	if v == nil || v.FAT != 32 || v.Label != "HOLIDAY" || v.Serial != "1234-5678" || v.ClusterSize != 512 || v.Dirty {
		t.Fatalf("volume: %+v", v)
	}
	// The root directory and 10 clusters of the file are taken.
	if v.FreeClusters != v.Clusters-11 {
		t.Errorf("%d of %d clusters are free", v.FreeClusters, v.Clusters)
	}
	if v.Fragments == nil || v.Fragments.Chains != 2 || v.Fragments.Fragments != 2 {
		t.Errorf("fragments: %+v", v.Fragments)
	}
	text := run(t, binary(t), "info", "--fragments", img)
	for _, want := range []string{"FAT32 volume", "HOLIDAY", "1234-5678", "clean", "64 MiB", "2 of 2 files and directories"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

func TestInfoOfPartitions(t *testing.T) {
	need(t, "sfdisk", "mkfs.ext4")
	img := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(img, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 32<<20); err != nil {
		t.Fatal(err)
	}
	table := exec.Command("sfdisk", "-q", img)
	table.Stdin = strings.NewReader("label: gpt\nstart=2048,size=8192,type=uefi,name=ESP\nstart=16384,size=16384,type=linux,name=root\n")
	if out, code := runCmd(t, table); code != 0 {
		t.Fatal(out)
	}
	run(t, "mkfs.fat", "-n", "EFI", "--offset", "2048", img, "4096")
	run(t, "mkfs.ext4", "-q", "-F", "-E", "offset=8388608", img, "8M")

	info := readInfo(t, img)
	if info.Scheme != "gpt" || len(info.Partitions) != 2 {
		t.Fatalf("%+v", info)
	}
	esp, root := info.Partitions[0], info.Partitions[1]
	if esp.Number != 1 || esp.Start != 1<<20 || esp.Size != 4<<20 || esp.Name != "ESP" || esp.Volume == nil || esp.Volume.Label != "EFI" {
		t.Errorf("first partition: %+v, volume %+v", esp, esp.Volume)
	}
	if root.Number != 2 || root.Content != "ext4" || root.Volume != nil {
		t.Errorf("second partition: %+v", root)
	}
	text := run(t, binary(t), "info", img)
	for _, want := range []string{"GPT partition table", "ESP", "ext4", "FAT12 volume in partition 1", "EFI system"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

// The bytes of a file are where `info --extents` says that they are in the image.
func TestInfoExtentsAndMap(t *testing.T) {
	need(t, "sfdisk", "mkfs.fat", "mcopy", "mdel")
	place := t.TempDir()
	img := filepath.Join(place, "disk.img")
	if err := os.WriteFile(img, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 32<<20); err != nil {
		t.Fatal(err)
	}
	table := exec.Command("sfdisk", "-q", img)
	table.Stdin = strings.NewReader("label: dos\nstart=2048,size=8192,type=1\nstart=16384,size=32768,type=6\n")
	if out, code := runCmd(t, table); code != 0 {
		t.Fatal(out)
	}
	run(t, "mkfs.fat", "--offset", "2048", img, "4096")
	run(t, "mkfs.fat", "--offset", "16384", img, "16384")
	volume := img + "@@8M"
	small := filepath.Join(place, "small")
	if err := os.WriteFile(small, make([]byte, 9000), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		run(t, "mcopy", "-i", volume, small, fmt.Sprintf("::/S%d", i))
	}
	run(t, "mdel", "-i", volume, "::/S0", "::/S2", "::/S4")
	data := make([]byte, 100_001)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	big := filepath.Join(place, "big")
	if err := os.WriteFile(big, data, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mmd", "-i", volume, "::/A directory")
	run(t, "mcopy", "-i", volume, big, "::/A directory/A big file")

	var list struct {
		Path    string
		Size    int64
		Extents []struct {
			Offset, Cluster, Clusters, Length int64
			VolumeOffset                      int64 `json:"volume_offset"`
			ImageOffset                       int64 `json:"image_offset"`
		}
	}
	out := run(t, binary(t), "info", "--json", "--extents", "a directory/a BIG file", "-o", "partition=2", img)
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v in:\n%s", err, out)
	}
	raw, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, e := range list.Extents {
		if e.Offset != int64(len(got)) || e.ImageOffset != e.VolumeOffset+8<<20 {
			t.Errorf("%+v after %d bytes", e, len(got))
		}
		got = append(got, raw[e.ImageOffset:e.ImageOffset+e.Length]...)
	}
	if list.Size != int64(len(data)) || len(list.Extents) < 2 || !bytes.Equal(got, data) {
		t.Errorf("%d extents, %d bytes, size %d: not the contents of the file", len(list.Extents), len(got), list.Size)
	}
	text := run(t, binary(t), "info", "--extents", "/A directory/A big file", img+":2")
	if !strings.Contains(text, fmt.Sprintf("%d extents", len(list.Extents))) || !strings.Contains(text, fmt.Sprint(list.Extents[1].ImageOffset)) {
		t.Errorf("extents as text:\n%s", text)
	}
	if out, code := runCode(t, binary(t), "info", "--extents", "/A", "-o", "partition=2", img); code != 32 || !strings.Contains(out, "not exist") {
		t.Errorf("extents of nothing: exit code %d, says %q", code, out)
	}

	if text := run(t, binary(t), "info", "--map", img); strings.Count(text, "one character is") != 2 || strings.Contains(text, "\x1b") {
		t.Errorf("map of two volumes:\n%s", text)
	}
	if text := run(t, binary(t), "info", "--map", img+":2"); strings.Count(text, "one character is") != 1 || strings.Contains(text, "in partition 1") {
		t.Errorf("map of one volume:\n%s", text)
	}
	picture := filepath.Join(place, "map.svg")
	run(t, binary(t), "info", "--map="+picture, img)
	if svg, err := os.ReadFile(picture); err != nil || !bytes.Contains(svg, []byte("FAT16 volume in partition 2")) {
		t.Errorf("picture: %v, %d bytes", err, len(svg))
	}
	for _, args := range [][]string{{"--map", "a.svg", img}, {"--map=a.gif", img}, {"--map", "--extents", "/A", img}} {
		if out, code := runCode(t, binary(t), append([]string{"info"}, args...)...); code != 1 || strings.Count(out, "\n") != 1 {
			t.Errorf("info %q: exit code %d, says %q", args, code, out)
		}
	}
}

// TestInfoMapOnto: the picture of a map does not take the place of the image, and not that of a link or device, but goes
// where these lead to.
func TestInfoMapOnto(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	dir := filepath.Dir(img)
	for _, name := range []string{"image.svg", "also.PNG"} {
		if err := os.Link(img, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		out, code := inDirectory(t, dir, "info", "--map="+name, "image.svg")
		if code != 32 || out != "fatvol: info image.svg: --map="+name+" is the image itself: the picture needs another name\n" {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
		run(t, "cmp", img, filepath.Join(dir, name))
	}
	picture, link := filepath.Join(dir, "picture.svg"), filepath.Join(dir, "link.svg")
	for _, target := range []string{picture, "/dev/full"} {
		os.Remove(link)
		if err := os.WriteFile(picture, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		out, code := runCode(t, binary(t), "info", "--map="+link, img)
		st, err := os.Stat(picture)
		if now, _ := os.Readlink(link); now != target || err != nil || (code == 0) != (target == picture) || (st.Size() > 0) != (code == 0) {
			t.Errorf("%s: leads to %q, exit code %d, %v\n%s", target, now, code, err, out)
		}
	}
}

func TestInfoOfOtherThings(t *testing.T) {
	place := t.TempDir()
	garbage := filepath.Join(place, "garbage")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("garbage ", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	if text := run(t, binary(t), "info", garbage); !strings.Contains(text, "unknown") {
		t.Errorf("garbage: %s", text)
	}
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{filepath.Join(place, "missing")}, 32, "no such image"},
		{[]string{place}, 32, "directory"},
		{nil, 1, "IMAGE[:PART] needed"},
		{[]string{"-o", "frob", garbage}, 1, "frob"},
	} {
		out, code := runCode(t, binary(t), append([]string{"info"}, tc.args...)...)
		if code != tc.code || !strings.Contains(out, tc.says) || strings.Count(out, "\n") != 1 {
			t.Errorf("info %q: exit code %d, says %q; want %d, %q", tc.args, code, out, tc.code, tc.says)
		}
	}
}

// What the README shows first: from a clone to a mounted image by one command, and then by hand.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program once more")
	}
	needFUSE(t)
	needRoot(t) // to mount on /mnt
	need(t, "mkfs.fat", "mdir", "make", "git", "unshare")
	src, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	first, _ := readRecipes(t, "../README.md")
	for _, line := range []string{"git clone … fatvol && cd fatvol ", "\nmake demo ", "bin/fatvol mount card.img /mnt "} {
		if !strings.Contains(first.script, line) {
			t.Fatalf("the README does not begin with %q:\n%s", line, first.script)
		}
	}
	dir := t.TempDir()
	run(t, "cp", mkfsFAT(t, 4<<20), filepath.Join(dir, "card.img"))
	// "make test" would come back here.
	script := strings.NewReplacer("git clone … fatvol", "git clone -q '"+src+"' fatvol", "cd fatvol", "cd fatvol && cp ../card.img .",
		"\nmake test ", "\n: make test ").Replace(first.script)
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-euc", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	start := time.Now()
	out, code := runCmd(t, cmd)
	if code != 0 || !strings.Contains(out, "card.img is complete") || !strings.Contains(out, "That was it") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	t.Logf("from nothing to all of it: %v", time.Since(start))
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(table), "/card.img ") {
		t.Errorf("a mount is left behind: %v\n%s", err, table)
	}
}
