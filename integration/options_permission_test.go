package integration

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asNobody runs a program as a user without privileges.
func asNobody(t testing.TB, name string, args ...string) (out string, code int) {
	t.Helper()
	needRoot(t)
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR=", "HOME=/", "TMPDIR=/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return runCmd(t, cmd)
}

// openPath lets other users pass through a test's directories.
func openPath(t testing.TB, path string) {
	t.Helper()
	for dir := filepath.Dir(path); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPermissionOptions(t *testing.T) {
	needRoot(t)
	img := volume(t)
	type look struct {
		mode     fs.FileMode
		uid, gid uint32
	}
	for _, tc := range []struct {
		options string
		want    map[string]look
	}{
		{"umask=022", map[string]look{
			"": {0o755, 0, 0}, "plain.txt": {0o755, 0, 0}, "RODIR": {0o755, 0, 0}, "RDONLY.TXT": {0o555, 0, 0},
		}},
		{"uid=1234,gid=daemon,umask=077", map[string]look{"": {0o700, 1234, 1}, "plain.txt": {0o700, 1234, 1}}},
		{"fmask=133,dmask=022", map[string]look{"": {0o755, 0, 0}, "plain.txt": {0o644, 0, 0}, "RDONLY.TXT": {0o444, 0, 0}}},
		{"umask=022,showexec", map[string]look{
			"": {0o755, 0, 0}, "plain.txt": {0o644, 0, 0}, "PROG.EXE": {0o755, 0, 0}, "RDONLY.TXT": {0o444, 0, 0},
		}},
		{"umask=022,rodir", map[string]look{"": {0o755, 0, 0}, "RODIR": {0o555, 0, 0}}},
		{"umask=0", map[string]look{"": {0o777, 0, 0}, "plain.txt": {0o777, 0, 0}}},
	} {
		dir := mountImage(t, img, tc.options)
		for name, want := range tc.want {
			st, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			sys := st.Sys().(*syscall.Stat_t)
			if got := (look{st.Mode().Perm(), sys.Uid, sys.Gid}); got != want {
				t.Errorf("-o %s: %q is %v, want %v", tc.options, name, got, want)
			}
		}
		umount(t, dir)
	}
}

// Without masks, those of the process that mounts count.
func TestUmaskOfTheProcess(t *testing.T) {
	needFUSE(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	run(t, "sh", "-c", `umask 0137 && "$0" mount "$1" "$2"`, binary(t), img, dir)
	defer run(t, binary(t), "umount", dir)
	st, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", st.Mode())
	}
}

func TestQuiet(t *testing.T) {
	needRoot(t)
	img := volume(t)
	for _, tc := range []struct {
		options string
		want    error
	}{{"umask=022", syscall.EPERM}, {"umask=022,quiet", nil}} {
		dir := mountImage(t, img, tc.options)
		name := filepath.Join(dir, "plain.txt")
		if err := os.Chown(name, 1234, 1234); !errors.Is(err, tc.want) {
			t.Errorf("-o %s: chown: %v, want %v", tc.options, err, tc.want)
		}
		if err := os.Chmod(name, 0o755|os.ModeSetuid); !errors.Is(err, tc.want) {
			t.Errorf("-o %s: chmod 4755: %v, want %v", tc.options, err, tc.want)
		}
		// This one vfat takes without a word and without effect.
		if err := os.Chmod(name, 0o600); err != nil {
			t.Errorf("-o %s: chmod 600: %v", tc.options, err)
		}
		if err := os.Chmod(name, 0o555); err != nil {
			t.Errorf("-o %s: chmod to what FAT can hold: %v", tc.options, err)
		}
		st, err := os.Stat(name)
		if err != nil || st.Sys().(*syscall.Stat_t).Uid != 0 || st.Mode().Perm() != 0o555 {
			t.Errorf("-o %s: then it is %v, %v", tc.options, st.Mode(), err)
		}
		if err := os.Chmod(name, 0o755); err != nil {
			t.Error(err)
		}
		umount(t, dir)
	}
}

func TestSysImmutable(t *testing.T) {
	img := volume(t)
	for _, tc := range []struct {
		options string
		want    error
	}{{"rw", nil}, {"sys_immutable", syscall.EPERM}} {
		dir := mountImage(t, img, tc.options)
		name := filepath.Join(dir, "SYSTEM.TXT")
		if err := os.WriteFile(name, []byte("changed"), 0o644); !errors.Is(err, tc.want) {
			t.Errorf("-o %s: write: %v, want %v", tc.options, err, tc.want)
		}
		if err := os.Rename(name, name+"2"); !errors.Is(err, tc.want) {
			t.Errorf("-o %s: rename: %v, want %v", tc.options, err, tc.want)
		}
		os.Rename(name+"2", name)
		umount(t, dir)
	}
}

func TestAllowUTime(t *testing.T) {
	needRoot(t)
	img := volume(t)
	for _, tc := range []struct {
		options string
		allowed bool
	}{
		{"umask=022", false},
		{"umask=0", true}, // follows dmask
		{"umask=0,allow_utime=0", false},
		{"umask=0,allow_utime=2", true},
		{"umask=022,allow_utime=2", true},
		{"umask=022,allow_utime=20", false},
		{"umask=022,allow_utime=20,gid=65534", true},
	} {
		dir := mountImage(t, img, tc.options)
		openPath(t, dir)
		out, code := asNobody(t, "touch", "-d", "2001-02-03T04:05:06", filepath.Join(dir, "plain.txt"))
		if (code == 0) != tc.allowed {
			t.Errorf("-o %s: touch as nobody: exit code %d, %s", tc.options, code, out)
		}
		umount(t, dir)
	}
}

func TestSuidAndDevForRoot(t *testing.T) {
	needRoot(t)
	dir := mountImage(t, volume(t), "suid,dev")
	if flags := strings.Fields(mountTable(t, dir))[3]; strings.Contains(flags, "nosuid") || strings.Contains(flags, "nodev") {
		t.Errorf("flags %s", flags)
	}
}

func TestExec(t *testing.T) {
	img := volume(t)
	dir := mountImage(t, img, "umask=022")
	if out := run(t, filepath.Join(dir, "plain.txt")); out != "ran\n" {
		t.Errorf("%q", out)
	}
	umount(t, dir)
	dir = mountImage(t, img, "umask=022,noexec")
	if err := exec.Command(filepath.Join(dir, "plain.txt")).Run(); !errors.Is(err, syscall.EACCES) {
		t.Errorf("-o noexec: %v", err)
	}
}

// Others than root may reach a mount by root, as with vfat, as far as the masks let them.
func TestAllowOther(t *testing.T) {
	needRoot(t)
	img := volume(t)
	for options, want := range map[string]int{"umask=022": 0, "umask=077": 1, "umask=077,uid=65534": 0} {
		dir := mountImage(t, img, options)
		openPath(t, dir)
		if out, code := asNobody(t, "cat", filepath.Join(dir, "plain.txt")); code != want {
			t.Errorf("-o %s: exit code %d: %s", options, code, out)
		}
		umount(t, dir)
	}
}
