package automount

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fatImage is the content of an image with a FAT volume of 1 MiB.
func fatImage(t *testing.T, label string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	if out, err := exec.Command("mkfs.fat", "-C", "-n", label, path, "1024").CombinedOutput(); err != nil {
		t.Fatalf("mkfs.fat: %v\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// divided is an image with an MBR and the contents as partitions.
func divided(parts ...[]byte) []byte {
	image := make([]byte, 1<<20)
	for i, p := range parts {
		e := image[446+16*i:]
		e[4] = 0x06
		binary.LittleEndian.PutUint32(e[8:], uint32(len(image)/512))
		binary.LittleEndian.PutUint32(e[12:], uint32(len(p)/512))
		image = append(image, p...)
	}
	image[510], image[511] = 0x55, 0xaa
	return image
}

// tree writes files below a new directory.
func tree(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSearch(t *testing.T) {
	fat := fatImage(t, "PHOTOS")
	dir := tree(t, map[string][]byte{
		"card.IMG":         fat,
		"letter.txt":       fat,
		"small.img":        fat[:4096],
		"empty.img":        make([]byte, 1<<20),
		"two.raw":          divided(fat, fatImage(t, "MORE")),
		"Pictures/old.dd":  fat,
		"a/b/c/deep.img":   fat,
		".hidden/some.img": fat,
	})
	outside := tree(t, map[string][]byte{"secret.img": fat, "d/secret.img": fat})
	for name, to := range map[string]string{"out.img": outside + "/secret.img", "in.img": "card.IMG", "folder": outside + "/d"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe.img"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := search(context.Background(), dir, DefaultConfig().Images)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"card.IMG": "", "two.raw": "", "Pictures/old.dd": "",
		"small.img": "min-size", "empty.img": "empty", "out.img": "symbolic link", "in.img": "symbolic link", "pipe.img": "not a regular file",
	}
	for _, f := range s.Files {
		why, ok := want[f.Path]
		if !ok || (why == "") != (f.Refused == "") || !strings.Contains(f.Refused, why) {
			t.Errorf("%s: %q, want %q", f.Path, f.Refused, why)
		}
		delete(want, f.Path)
		if f.Path == "two.raw" && (len(f.Volumes) != 2 || f.Volumes[1].Label != "MORE" || f.Volumes[1].Partition != 2) {
			t.Errorf("%s: %+v", f.Path, f.Volumes)
		}
		if f.Path == "card.IMG" && (len(f.Volumes) != 1 || f.Volumes[0].Label != "PHOTOS" || f.Volumes[0].Serial == "") {
			t.Errorf("%s: %+v", f.Path, f.Volumes)
		}
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
	if !strings.Contains(strings.Join(s.Notes, "\n"), "depth") {
		t.Errorf("notes %q do not tell of what is deeper", s.Notes)
	}
}

// TestSearchBounds: the bounds of a search hold, and it says so.
func TestSearchBounds(t *testing.T) {
	fat := fatImage(t, "X")
	dir := tree(t, map[string][]byte{"a.img": fat, "b.img": fat, "c.img": fat, "d/e.img": fat})
	for name, c := range map[string]struct {
		change func(*Images)
		usable int
		said   string
	}{
		"images":  {func(i *Images) { i.AtMost = 2 }, 2, "at-most"},
		"depth":   {func(i *Images) { i.Depth = 1 }, 3, "depth"},
		"entries": {func(i *Images) { i.Entries = 2 }, -1, "entries"},
		"size":    {func(i *Images) { i.MaxSize = 1 << 19 }, 0, "max-size"},
		"names":   {func(i *Images) { i.Patterns = []string{"[ab].img"} }, 2, ""},
	} {
		cfg := DefaultConfig().Images
		c.change(&cfg)
		s, err := search(context.Background(), dir, cfg)
		if err != nil {
			t.Fatal(err)
		}
		usable, said := 0, strings.Join(s.Notes, "\n")
		for _, f := range s.Files {
			said += "\n" + f.Refused
			if f.Refused == "" {
				usable++
			}
		}
		if c.usable >= 0 && usable != c.usable || !strings.Contains(said, c.said) {
			t.Errorf("%s: %d images, want %d; said %q", name, usable, c.usable, said)
		}
	}
	cfg := DefaultConfig().Images
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if s, err := search(ctx, dir, cfg); err != nil || len(s.Files) > 0 || len(s.Notes) == 0 {
		t.Errorf("without time: %+v, %v", s, err)
	}
}

// TestOpenPlain: what stands in for openat2 leaves the folder no more than that does.
func TestOpenPlain(t *testing.T) {
	dir := tree(t, map[string][]byte{"in": []byte("in")})
	outside := tree(t, map[string][]byte{"out": nil})
	for name, to := range map[string]string{"link": "in", "away": outside, "file": outside + "/out"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, ok := range map[string]bool{"in": true, "link": false, "away/out": false, "file": false, "../x": false} {
		f, err := openPlain(root, name)
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			f.Close()
		}
	}
}

// TestServeSearch: the child answers what search finds, and refuses what is no request.
func TestServeSearch(t *testing.T) {
	dir := tree(t, map[string][]byte{"a.img": fatImage(t, "A")})
	request, err := json.Marshal(searchRequest{dir, DefaultConfig().Images, int64(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := ServeSearch(context.Background(), bytes.NewReader(request), &out); err != nil {
		t.Fatal(err)
	}
	var s Search
	if err := json.Unmarshal(out.Bytes(), &s); err != nil || len(s.Files) != 1 || s.Files[0].Volumes[0].Label != "A" {
		t.Errorf("%s: %v", out.Bytes(), err)
	}
	if err := ServeSearch(context.Background(), strings.NewReader("no"), &out); err == nil {
		t.Error("nonsense is taken for a request")
	}
}

// TestSearchHangs: a child that does not end is given up.
func TestSearchHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := searchIn(ctx, []string{"sleep", "1000"}, "/", DefaultConfig().Images); err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("error %v", err)
	}
}
