package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// installHelpers puts the binary where mount(8) and umount(8) look for their helpers, for the
// time of the test.
func installHelpers(t *testing.T) {
	t.Helper()
	needFUSE(t)
	needRoot(t)
	for _, path := range []string{
		"/sbin/mount.fatvol", "/sbin/mount.fuse.fatvol", "/sbin/umount.fatvol", "/sbin/umount.fuse.fatvol", "/usr/local/bin/fatvol",
	} {
		if err := os.Symlink(binary(t), path); err != nil {
			lacks(t, "needs %s to be free: %v", path, err)
		}
		t.Cleanup(func() { os.Remove(path) })
	}
}

func TestMountHelper(t *testing.T) {
	installHelpers(t)
	for _, tc := range []struct {
		name string
		args func(img, dir string) []string
		flag string // of the mount table
	}{
		{"type fatvol", func(img, dir string) []string {
			return []string{"-t", "fatvol", img, dir}
		}, "rw,"},
		{"type fuse.fatvol", func(img, dir string) []string {
			return []string{"-t", "fuse.fatvol", img, dir}
		}, "rw,"},
		{"type fuse with the name", func(img, dir string) []string {
			return []string{"-t", "fuse", "fatvol#" + img, dir}
		}, "rw,"},
		{"options", func(img, dir string) []string {
			return []string{"-t", "fatvol", "-o", "ro,noexec,uid=nobody,umask=027,nofail,nosymfollow,_netdev,x-systemd.automount,x-gvfs-show,comment=hi", img, dir}
		}, "ro,nosuid,nodev,noexec,"},
		{"-r", func(img, dir string) []string {
			return []string{"-r", "-t", "fatvol", img, dir}
		}, "ro,"},
		{"-w", func(img, dir string) []string {
			return []string{"-w", "-t", "fatvol", img, dir}
		}, "rw,"},
		{"-v", func(img, dir string) []string {
			return []string{"-v", "-t", "fatvol", img, dir}
		}, "rw,"},
		{"-n", func(img, dir string) []string {
			return []string{"-n", "-t", "fatvol", img, dir}
		}, "rw,"},
		{"loop", func(img, dir string) []string {
			return []string{"-t", "fatvol", "-o", "loop", img, dir}
		}, "rw,"},
		{"sloppy", func(img, dir string) []string {
			return []string{"-s", "-t", "fatvol", "-o", "frobnicate", img, dir}
		}, "rw,"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			img, dir := mkfsFAT(t, 4<<20), newDir(t)
			if strings.Contains(tc.name, "type fuse with") {
				need(t, "mount.fuse3")
			}
			run(t, "mount", tc.args(img, dir)...)
			line := strings.Fields(mountTable(t, dir))
			if len(line) < 4 || line[2] != "fuse.fatvol" || !strings.HasPrefix(line[3], tc.flag) {
				t.Errorf("mount table: %q, want flags %q", line, tc.flag)
			}
			if tc.flag == "rw," {
				if err := os.WriteFile(filepath.Join(dir, "a long name.text"), []byte("x"), 0o644); err != nil {
					t.Error(err)
				}
			}
			// Without the option helper=, umount(8) does not call its helper and does not wait.
			pid := servedBy(t, dir)
			run(t, "umount", dir)
			awaitDeath(t, pid)
			fsck(t, img)
		})
	}
}

func TestMountHelperErrors(t *testing.T) {
	installHelpers(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-o", "frobnicate", img, dir}, 1, "frobnicate"},
		{[]string{"-o", "umask=9", img, dir}, 1, "umask=9"},
		{[]string{"/dev/zero", dir}, 32, "/dev/zero"},
		{[]string{"/missing.img", dir}, 32, "/missing.img"},
	} {
		out, code := runCode(t, "mount", append([]string{"-t", "fatvol"}, tc.args...)...)
		if code != tc.code || !strings.Contains(out, tc.says) {
			t.Errorf("mount %q: exit code %d, says %q; want %d, %q", tc.args, code, out, tc.code, tc.says)
		}
	}
	// "Fake": everything but the mount.
	if out, code := runCode(t, "/sbin/mount.fatvol", img, dir, "-f", "-o", "ro"); code != 0 || mountTable(t, dir) != "" {
		t.Errorf("fake mount: exit code %d, says %q", code, out)
	}
	if out, code := runCode(t, "/sbin/mount.fatvol", img, dir, "-f", "-o", "r0"); code != 1 {
		t.Errorf("fake mount with a wrong option: exit code %d, says %q", code, out)
	}
	if out, code := runCode(t, "/sbin/mount.fatvol", img); code != 1 {
		t.Errorf("one argument: exit code %d, says %q", code, out)
	}
	run(t, "mount", "-t", "fatvol", "-o", "helper=fatvol", img, dir)
	if out, code := runCode(t, "mount", "-o", "remount,ro", dir); code == 0 || !strings.Contains(out, "remount") {
		t.Errorf("remount: exit code %d, says %q", code, out)
	}
	run(t, "umount", dir)
}

func TestFstab(t *testing.T) {
	installHelpers(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	fstab := filepath.Join(t.TempDir(), "fstab")
	line := fmt.Sprintf("%s %s fatvol noauto,users,helper=fatvol,uid=65534,umask=077,x-gvfs-show 0 0\n", img, dir)
	if err := os.WriteFile(fstab, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-T", fstab, dir)
	st, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; owner != 65534 || st.Mode().Perm() != 0o700 {
		t.Errorf("the root directory is of %d, mode %v", owner, st.Mode())
	}
	// A line that is mounted already is not mounted once more.
	auto := strings.Replace(line, "noauto,", "", 1)
	if err := os.WriteFile(fstab, []byte(auto), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-a", "-T", fstab)
	run(t, "umount", dir)
	run(t, "mount", "-a", "-T", fstab)
	run(t, "umount", dir)
	fsck(t, img)
}

// With the option helper=, and where systemd calls it, umount(8) waits until the image is complete.
func TestUmountHelper(t *testing.T) {
	installHelpers(t)
	for _, tc := range []struct{ mount, umount string }{
		{"helper=fatvol", "-v"},
		{"rw", "-c"},
	} {
		img, dir := mkfsFAT(t, 64<<20), newDir(t)
		run(t, "mount", "-t", "fatvol", "-o", tc.mount, img, dir)
		f, err := os.Create(filepath.Join(dir, "open"))
		if err != nil {
			t.Fatal(err)
		}
		out, code := runCode(t, "umount", tc.umount, dir)
		if code != 32 || !strings.Contains(out, "busy") || !strings.Contains(out, fmt.Sprint(os.Getpid())) {
			t.Errorf("busy: exit code %d, says %q", code, out)
		}
		if _, err := f.Write(make([]byte, 32<<20)); err != nil {
			t.Error(err)
		}
		f.Close()
		run(t, "umount", tc.umount, dir)
		fsck(t, img)
	}
}

// A mount in another mount name space is there and not here.
func TestNamespace(t *testing.T) {
	installHelpers(t)
	need(t, "unshare")
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	elsewhere := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", "echo ready; read end")
	in, err := elsewhere.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := elsewhere.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Start(); err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Wait()
	defer in.Close()
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	pid := fmt.Sprint(elsewhere.Process.Pid)
	mountedThere := func() bool {
		table, err := os.ReadFile("/proc/" + pid + "/mounts")
		return err == nil && strings.Contains(string(table), " "+dir+" fuse.fatvol ")
	}
	run(t, "mount", "-N", pid, "-t", "fatvol", img, dir)
	if mountTable(t, dir) != "" || !mountedThere() {
		t.Errorf("mounted here: %v, there: %v", mountTable(t, dir) != "", mountedThere())
	}
	run(t, "/sbin/umount.fuse.fatvol", "-N", pid, dir)
	if mountedThere() {
		t.Error("still mounted")
	}
	fsck(t, img)
	if out, code := runCode(t, "/sbin/mount.fatvol", "-N", "/missing", img, dir); code != 2 || !strings.Contains(out, "/missing") {
		t.Errorf("missing name space: exit code %d, says %q", code, out)
	}
}

// As a loop device of mount(8), a partition, and a block device that is mounted already.
func TestBlockDevice(t *testing.T) {
	installHelpers(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	loop := loopDevice(t, img)
	run(t, binary(t), "mount", loop, dir)
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o644); err != nil {
		t.Error(err)
	}
	if out, code := runCode(t, binary(t), "mount", loop, newDir(t)); code != 32 || !strings.Contains(out, "in use") {
		t.Errorf("a second mount: exit code %d, says %q", code, out)
	}
	run(t, binary(t), "umount", dir)
	fsck(t, loop)
	if out, code := runCode(t, binary(t), "mount", img, dir); code != 32 || !strings.Contains(out, loop) {
		t.Errorf("the file behind a loop device: exit code %d, says %q", code, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Error("mounted all the same")
	}
}
