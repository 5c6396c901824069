package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// piecemeal makes an image with a FAT volume of size bytes whose files lie in pieces. extract takes the
// whole contents out, by other means.
func piecemeal(t *testing.T, size string, mkfs ...string) (img string, extract func() string) {
	t.Helper()
	need(t, "mkfs.fat", "fsck.fat", "mcopy", "mdel", "mmd")
	place := t.TempDir()
	img = filepath.Join(place, "disk.img")
	run(t, "truncate", "-s", size, img)
	run(t, "mkfs.fat", append(mkfs, img)...)
	file := func(n, size int) string {
		path := filepath.Join(place, fmt.Sprintf("f%d", n))
		if err := os.WriteFile(path, bytes.Repeat(fmt.Appendf(nil, "file %d ", n), size/8), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run(t, "mmd", "-i", img, "::/sub", "::/sub/A deep directory")
	for i := range 12 {
		run(t, "mcopy", "-i", img, file(i, 5000+i*3000), "::/")
	}
	run(t, "mdel", "-i", img, "::/f0", "::/f2", "::/f3", "::/f6", "::/f9")
	run(t, "mcopy", "-i", img, file(20, 300_000), "::/sub/A big file in pieces.bin")
	run(t, "mcopy", "-i", img, file(21, 9000), "::/sub/A deep directory")
	n := 0
	return img, func() string {
		n++
		dir := filepath.Join(place, fmt.Sprintf("out%d", n))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "mcopy", "-s", "-n", "-i", img, "::/*", dir)
		return dir
	}
}

func sound(t *testing.T, img string) {
	t.Helper()
	if out, code := runCode(t, "fsck.fat", "-n", img); code != 0 {
		t.Errorf("fsck.fat: exit code %d:\n%s", code, out)
	}
}

func TestDefrag(t *testing.T) {
	for _, tc := range [][]string{{"4M", "-F", "12", "-s", "8"}, {"16M", "-F", "16"}, {"40M", "-F", "32", "-s", "1"}} {
		t.Run("FAT"+tc[2], func(t *testing.T) {
			img, extract := piecemeal(t, tc[0], tc[1:]...)
			before := extract()
			raw, err := os.ReadFile(img)
			if err != nil {
				t.Fatal(err)
			}
			if out := run(t, binary(t), "defrag", "--dry-run", img); tc[2] != "32" && !strings.Contains(out, "to move: 1 file") {
				t.Errorf("dry run:\n%s", out)
			}
			if now, err := os.ReadFile(img); err != nil || !bytes.Equal(now, raw) {
				t.Fatalf("a dry run has written to the image (%v)", err)
			}
			var rep struct {
				Before, After struct {
					Fragmented uint64
					FreeRuns   uint32 `json:"free_runs"`
				}
				Moved uint64
			}
			if err := json.Unmarshal([]byte(run(t, binary(t), "defrag", "--pack", "--json", img)), &rep); err != nil {
				t.Fatal(err)
			}
			// mcopy allocates behind what it allocated last on FAT32, and leaves holes only.
			if rep.Before.Fragmented == 0 && tc[2] != "32" || rep.After.Fragmented != 0 || rep.After.FreeRuns != 1 || rep.Moved == 0 {
				t.Errorf("%+v", rep)
			}
			sound(t, img)
			run(t, "diff", "-r", before, extract())
			if out := run(t, binary(t), "info", "--fragments", img); !strings.Contains(out, "0.0 %") {
				t.Errorf("info:\n%s", out)
			}
			if out := run(t, binary(t), "defrag", "--quiet", img); out != "" {
				t.Errorf("quiet: %q", out)
			}
		})
	}
}

func TestDefragRefuses(t *testing.T) {
	img, _ := piecemeal(t, "16M", "-F", "16")
	raw, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	variant := func(name string, change func(b []byte)) string {
		b := bytes.Clone(raw)
		change(b)
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fat := int(raw[14]) * 512
	for _, tc := range []struct{ path, says string }{
		{variant("dirty", func(b []byte) { b[37] |= 1 }), "not unmounted cleanly"},
		// The second cluster of the volume belongs to two directories.
		{variant("linked", func(b []byte) { b[fat+6], b[fat+7] = 2, 0 }), "damaged"},
		{filepath.Join(t.TempDir(), "missing"), "no such image"},
	} {
		before, _ := os.ReadFile(tc.path)
		out, code := runCode(t, binary(t), "defrag", tc.path)
		if code != 32 || !strings.Contains(out, tc.says) || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: exit code %d, says %q", filepath.Base(tc.path), code, out)
		}
		if after, _ := os.ReadFile(tc.path); !bytes.Equal(before, after) {
			t.Errorf("%s was written to", filepath.Base(tc.path))
		}
	}
	// While something else has the image for writing.
	needFUSE(t)
	dir := t.TempDir()
	run(t, binary(t), "mount", img, dir)
	defer run(t, binary(t), "umount", dir)
	if out, code := runCode(t, binary(t), "defrag", img); code != 32 || !strings.Contains(out, "in use") {
		t.Errorf("mounted: exit code %d, says %q", code, out)
	}
}
