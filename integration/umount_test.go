package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUmountErrors(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{dir}, 32, "not mounted"},
		{[]string{filepath.Join(dir, "missing")}, 32, "no such file"},
		{[]string{"/proc"}, 32, "not a mount of fatvol but of type proc"},
		{nil, 1, "DIR needed"},
	} {
		out, code := runCode(t, binary(t), append([]string{"umount"}, tc.args...)...)
		if code != tc.code || !strings.Contains(out, tc.says) || strings.Count(out, "\n") != 1 {
			t.Errorf("umount %q: exit code %d, says %q; want %d, %q", tc.args, code, out, tc.code, tc.says)
		}
	}
}

func TestUmountByImage(t *testing.T) {
	needFUSE(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	run(t, binary(t), "mount", img, dir)
	run(t, binary(t), "umount", img)
	if mountTable(t, dir) != "" {
		t.Error("still mounted")
	}
}

func TestBusy(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	dir := mountImage(t, img)
	f, err := os.Create(filepath.Join(dir, "held open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, code := runCode(t, binary(t), "umount", dir)
	me := fmt.Sprintf("PID %d (", os.Getpid())
	if code != 32 || !strings.Contains(out, "busy") || !strings.Contains(out, me) || !strings.Contains(out, "held open") {
		t.Errorf("exit code %d, says %q; want 32 and %q", code, out, me)
	}
	if _, err := f.WriteString("still here"); err != nil {
		t.Errorf("after a refused unmount: %v", err)
	}
}

func TestLazyUmount(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	dir := mountImage(t, img)
	f, err := os.Create(filepath.Join(dir, "last words"))
	if err != nil {
		t.Fatal(err)
	}
	out, code := runCode(t, binary(t), "umount", "-l", dir)
	if code != 0 || !strings.Contains(out, "detached") || mountTable(t, dir) != "" {
		t.Errorf("exit code %d, says %q", code, out)
	}
	if _, err := f.WriteString("written behind the curtain"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	endServer(t, dir)
	fsck(t, img)
	again := mountImage(t, img, "ro")
	if text, err := os.ReadFile(filepath.Join(again, "last words")); string(text) != "written behind the curtain" {
		t.Errorf("%q, %v", text, err)
	}
}
