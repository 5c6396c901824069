package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// userImage is an image and a mount point of the user nobody, and fusermount3 to mount it with.
func userImage(t *testing.T) (img, dir string) {
	t.Helper()
	needFUSE(t)
	needRoot(t) // to become somebody else
	need(t, "fusermount3")
	if st, err := os.Stat("/dev/fuse"); err != nil || st.Mode().Perm()&0o006 != 0o006 {
		lacks(t, "needs /dev/fuse to be open to all users, as udev makes it (.ci/install-deps does so)")
	}
	img, dir = mkfsFAT(t, 4<<20), newDir(t)
	openPath(t, img)
	openPath(t, dir)
	for _, path := range []string{img, dir} {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	binary(t)
	return img, dir
}

func TestMountAsUser(t *testing.T) {
	img, dir := userImage(t)
	if out, code := asNobody(t, binary(t), "mount", img, dir); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	line := strings.Fields(mountTable(t, dir))
	if len(line) < 4 || line[0] != img || line[2] != "fuse.fatvol" || !strings.Contains(line[3], "nosuid,nodev") ||
		!strings.Contains(line[3], fmt.Sprintf("user_id=%d", nobody)) {
		t.Errorf("mount table: %q", line)
	}
	// The mount is the user's alone: without allow_other not even root may look.
	if _, err := os.ReadDir(dir); err == nil {
		t.Error("root may look into the mount")
	}
	if out, code := asNobody(t, "sh", "-c", `echo hello >"$0/A file.txt" && stat -c %u:%a "$0/A file.txt"`, dir); code != 0 || out != "65534:755\n" {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := asNobody(t, binary(t), "umount", "-v", dir); code != 0 || !strings.Contains(out, "is complete") {
		t.Errorf("umount: exit code %d: %s", code, out)
	}
	fsck(t, img)
}

// Root can take a user's mount away, and learns how it ended.
func TestRootUnmountsAUsersMount(t *testing.T) {
	img, dir := userImage(t)
	if out, code := asNobody(t, binary(t), "mount", img, dir); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if out := run(t, binary(t), "umount", "-v", dir); !strings.Contains(out, "is complete") {
		t.Errorf("says %q", out)
	}
	fsck(t, img)
}

// A user cannot take root's mount away.
func TestUserUnmountsRootsMount(t *testing.T) {
	needRoot(t)
	dir := mountImage(t, mkfsFAT(t, 4<<20))
	openPath(t, dir)
	openPath(t, binary(t))
	out, code := asNobody(t, binary(t), "umount", dir)
	want := "it was mounted by root: only root and the user who mounted it may unmount it\n"
	if code != 1 || !strings.HasSuffix(out, want) || strings.Count(out, "\n") != 1 || mountTable(t, dir) == "" {
		t.Errorf("exit code %d, says %q; want 1 and %q", code, out, want)
	}
}

func TestUserErrors(t *testing.T) {
	img, dir := userImage(t)
	secret := filepath.Join(filepath.Dir(img), "secret.img")
	run(t, "cp", img, secret)
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	readable := filepath.Join(filepath.Dir(img), "readable.img")
	run(t, "cp", img, readable)
	if err := os.Chmod(readable, 0o644); err != nil {
		t.Fatal(err)
	}

	out, code := asNobody(t, binary(t), "mount", secret, dir)
	if code != 1 || !strings.Contains(out, "permission denied") || strings.Count(out, "\n") != 1 {
		t.Errorf("an image that may not be read: exit code %d, says %q", code, out)
	}
	// One that may be read and not written to is write-protected.
	out, code = asNobody(t, binary(t), "mount", readable, dir)
	if code != 0 || !strings.Contains(out, "mounted read-only") {
		t.Errorf("an image that may not be written to: exit code %d, says %q", code, out)
	}
	if line := strings.Fields(mountTable(t, dir)); len(line) < 4 || !strings.HasPrefix(line[3], "ro,") {
		t.Errorf("mount table: %q", line)
	}
	asNobody(t, binary(t), "umount", dir)

	// A mount point that the user may not write to.
	foreign := newDir(t)
	openPath(t, foreign)
	out, code = asNobody(t, binary(t), "mount", img, foreign)
	if code != 1 || !strings.Contains(out, foreign) || strings.Count(out, "\n") != 1 {
		t.Errorf("somebody else's mount point: exit code %d, says %q", code, out)
	}
	// allow_other is for /etc/fuse.conf to allow.
	conf, _ := os.ReadFile("/etc/fuse.conf")
	if !strings.Contains("\n"+string(conf), "\nuser_allow_other") {
		out, code = asNobody(t, binary(t), "mount", "-o", "allow_other", img, dir)
		if code != 1 || !strings.Contains(out, "user_allow_other") || strings.Count(out, "\n") != 1 {
			t.Errorf("allow_other: exit code %d, says %q", code, out)
		}
	}
	// suid and dev are not for users to turn on.
	if out, code := asNobody(t, binary(t), "mount", "-o", "suid,dev", img, dir); code != 0 {
		t.Errorf("suid,dev: exit code %d, says %q", code, out)
	}
	if line := mountTable(t, dir); !strings.Contains(line, "nosuid,nodev") {
		t.Errorf("mount table: %q", line)
	}
	if out, code := asNobody(t, binary(t), "umount", dir); code != 0 {
		t.Errorf("umount: exit code %d, says %q", code, out)
	}
}

// A user in a name space of their own mounts without fusermount3.
func TestUserNamespace(t *testing.T) {
	img, dir := userImage(t)
	need(t, "unshare")
	if out, code := asNobody(t, "unshare", "-r", "-m", "true"); code != 0 {
		lacks(t, "needs user name spaces for users: %s", out)
	}
	script := `"$0" mount "$1" "$2" && echo hello >"$2/a" && cat "$2/A" && "$0" umount "$2"`
	out, code := asNobody(t, "unshare", "-r", "-m", "sh", "-c", script, binary(t), img, dir)
	if code != 0 || quiet(out) != "hello\n" {
		t.Errorf("exit code %d: %s", code, out)
	}
	if mountTable(t, dir) != "" {
		t.Error("it is mounted here as well")
	}
	fsck(t, img)
}
