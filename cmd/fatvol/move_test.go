package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// besideImage changes to a new directory with files and an image, card.img. It returns what runs the program, and gives its exit
// code.
func besideImage(t *testing.T, files ...string) (do func(args ...string) int) {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, name := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("content of "+name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	do = func(args ...string) int { return run(append([]string{"fatvol"}, args...)) }
	if do("create", "-q", "--size", "8M", "card.img") != 0 {
		t.Fatal("no image")
	}
	return do
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestMoveOntoImage: who forgets ":/" does not replace the image by what is in it.
func TestMoveOntoImage(t *testing.T) {
	do := besideImage(t, "a")
	if do("cp", "a", "card.img:/") != 0 {
		t.Fatal("cp")
	}
	for _, args := range [][]string{{"mv", "card.img:/a", "card.img"}, {"cp", "card.img:/a", "card.img"}} {
		if do(args...) == 0 {
			t.Errorf("%q succeeded", args)
		}
	}
	if st, err := os.Stat("card.img"); err != nil || st.Size() != 8<<20 {
		t.Errorf("the image is lost: %v", err)
	}
}

// TestMoveSameNames: of sources that have one name on the volume, one arrives, and no other is removed.
func TestMoveSameNames(t *testing.T) {
	files := []string{"src/a", "src/A", "x/f", "y/f"}
	for _, args := range [][]string{{"src", "card.img:/new"}, {"-n", "src", "card.img:/new"}, {"x/f", "y/f", "card.img:/"}} {
		do := besideImage(t, files...)
		code, left := do(append([]string{"mv"}, args...)...), 0
		for _, path := range files {
			if there(path) {
				left++
			}
		}
		if code != 1 || left < 3 {
			t.Errorf("mv %q: exit code %d, %d of 4 files are left", args, code, left)
		}
	}
}

// TestMoveLink: a link goes itself, and not what it leads to.
func TestMoveLink(t *testing.T) {
	do := besideImage(t, "real/file")
	if err := os.Symlink("real", "link"); err != nil {
		t.Fatal(err)
	}
	if code := do("mv", "link", "card.img:/"); code != 0 || there("link") || !there("real/file") {
		t.Errorf("exit code %d; the link is there: %v, what it leads to: %v", code, there("link"), there("real/file"))
	}
}

// TestCopyRootTime: the root of a volume has no times to give to where it is copied.
func TestCopyRootTime(t *testing.T) {
	do := besideImage(t, "out/file")
	if code := do("cp", "-r", "card.img:/", "out"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if st, err := os.Stat("out"); err != nil || time.Since(st.ModTime()) > time.Hour {
		t.Errorf("%v, %v", st.ModTime(), err)
	}
}

// TestResizeBeforeTruncated: a partition that ends beyond the image, as that was cut short, is in the way like any other.
func TestResizeBeforeTruncated(t *testing.T) {
	do := besideImage(t)
	if do("create", "-fq", "--size", "20M", "--partition", "mbr", "card.img") != 0 {
		t.Fatal("create")
	}
	f, err := os.OpenFile("card.img", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entry := make([]byte, 16)
	if _, err := f.ReadAt(entry, 446); err != nil {
		t.Fatal(err)
	}
	entry[4] = 0x83
	binary.LittleEndian.PutUint32(entry[8:], binary.LittleEndian.Uint32(entry[8:])+binary.LittleEndian.Uint32(entry[12:]))
	binary.LittleEndian.PutUint32(entry[12:], 80_000) // 40 MB, of which 10 are there
	if _, err := f.WriteAt(entry, 446+16); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(30 << 20); err != nil {
		t.Fatal(err)
	}
	if code := do("resize", "-q", "card.img:1", "+5M"); code == 0 {
		t.Error("it grew into the partition behind it")
	}
	do("resize", "-q", "card.img:1", "-1M")
	if st, err := f.Stat(); err != nil || st.Size() != 30<<20 {
		t.Errorf("the image has %d bytes", st.Size())
	}
}
