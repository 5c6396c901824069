package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// With these, the image holds a change as soon as the call is back, without a moment for the
// background.
func TestSyncOptions(t *testing.T) {
	need(t, "mtype", "mdir")
	for _, tc := range []struct {
		options string
		file    bool // a write that is not followed by a close
		closed  bool // a file that was written and closed
		dir     bool // a new directory
	}{
		{"sync", true, true, true},
		{"dirsync", false, false, true},
		{"flush", false, true, false},
	} {
		img := mkfsFAT(t, 4<<20)
		dir := mountImage(t, img, tc.options)
		if err := os.Mkdir(filepath.Join(dir, "newdir"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, code := runCode(t, "mdir", "-i", img, "::newdir"); tc.dir && code != 0 {
			t.Errorf("-o %s: a new directory is not on the medium", tc.options)
		}
		f, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("content"); err != nil {
			t.Fatal(err)
		}
		if out, _ := runCode(t, "mtype", "-i", img, "::file"); tc.file && out != "content" {
			t.Errorf("-o %s: what was written is not on the medium but %q", tc.options, out)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if out, _ := runCode(t, "mtype", "-i", img, "::file"); tc.closed && out != "content" {
			t.Errorf("-o %s: what was written and closed is not on the medium but %q", tc.options, out)
		}
		umount(t, dir)
	}
}

func TestWriteback(t *testing.T) {
	img := mkfsFAT(t, 64<<20)
	dir := mountImage(t, img, "writeback")
	name := filepath.Join(dir, "a")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for off := 0; off < len(want); off += 16 {
		if _, err := f.WriteAt(want[off:off+16], int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	f.Close()
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back: %d bytes, %v", len(got), err)
	}
	umount(t, dir)
	fsck(t, img)
	dir = mountImage(t, img, "ro")
	if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after a remount: %d bytes, %v", len(got), err)
	}
}

// blocks is the space that a file takes on its host.
func blocks(t testing.TB, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Blocks)
}

func TestDiscard(t *testing.T) {
	for options, given := range map[string]bool{"rw": false, "discard": true} {
		img := mkfsFAT(t, 64<<20)
		dir := mountImage(t, img, options)
		name := filepath.Join(dir, "big")
		if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 32<<20), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, "sync", name)
		full := blocks(t, img)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		umount(t, dir)
		if shrunk := blocks(t, img) < full/2; shrunk != given {
			t.Errorf("-o %s: %d blocks with the file, %d without", options, full, blocks(t, img))
		}
		fsck(t, img)
	}
}
