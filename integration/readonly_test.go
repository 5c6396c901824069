package integration

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// An image on a host that is mounted read-only is mounted so too, and the user is told.
func TestWriteProtected(t *testing.T) {
	needFUSE(t)
	needRoot(t)
	host := newDir(t)
	run(t, "mount", "-t", "tmpfs", "fatvol-test", host)
	t.Cleanup(func() { run(t, "umount", host) })
	img := filepath.Join(host, "a.img")
	run(t, "cp", mkfsFAT(t, 4<<20), img)
	run(t, "mount", "-o", "remount,ro", host)

	dir := newDir(t)
	out, code := runCode(t, binary(t), "mount", img, dir)
	if code != 0 || !strings.Contains(out, "WARNING") || !strings.Contains(out, "write-protected, mounted read-only") {
		t.Errorf("exit code %d, says %q", code, out)
	}
	if line := strings.Fields(mountTable(t, dir)); len(line) < 4 || !strings.HasPrefix(line[3], "ro,") {
		t.Errorf("mount table: %q", line)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o644); !errors.Is(err, syscall.EROFS) {
		t.Errorf("write: %v", err)
	}
	run(t, binary(t), "umount", dir)
	if out, code := runCode(t, binary(t), "mount", "-w", img, dir); code == 0 || !strings.Contains(out, "read-only file system") {
		t.Errorf("-w: exit code %d, says %q", code, out)
	}
	if out, code := runCode(t, binary(t), "mount", "-o", "ro", img, dir); code != 0 || quiet(out) != "" {
		t.Errorf("-o ro: exit code %d, says %q", code, out)
	}
	run(t, binary(t), "umount", dir)
}

// A read-only mount does not change a byte.
func TestReadOnlyWritesNothing(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	before, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	dir := mountImage(t, img, "ro")
	run(t, "ls", "-lR", dir)
	umount(t, dir)
	after, err := os.ReadFile(img)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image has changed: %v", err)
	}
}
