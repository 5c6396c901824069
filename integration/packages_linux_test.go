package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// packagesTime bounds what fetches and unpacks a whole system.
const packagesTime = 15 * time.Minute

// slow runs a program that may take longer than others.
func slow(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.WaitDelay = time.Second
	overdue := time.AfterFunc(packagesTime, func() { cmd.Process.Kill() })
	defer overdue.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// The packages are installed, used by root and by an ordinary user, and removed in a Debian that has
// nothing else; it lives in memory and in a mount name space that ends with it.
func TestPackages(t *testing.T) {
	needFUSE(t)
	needRoot(t)
	need(t, "make", "rpm", "unshare")
	dir := t.TempDir()
	slow(t, "make", "--no-print-directory", "-C", "..", "packages", "PACKAGEDIR="+dir)
	deb, rpm := onlyFile(t, dir, "*.deb"), onlyFile(t, dir, "*.rpm")

	t.Run("lists", func(t *testing.T) {
		installed := listOf(slow(t, "find", filepath.Join(dir, "root"), "!", "-type", "d", "-printf", "/%P\n"))
		if len(installed) < 10 {
			t.Fatalf("make install: %q", installed)
		}
		inDeb := listOf(slow(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -t | sed -n 's,^\.\(.*[^/]\)$,\1,p'`, "sh", deb))
		if !slices.Equal(inDeb, installed) {
			t.Errorf("%s has %q, make install %q", filepath.Base(deb), inDeb, installed)
		}
		if inRPM := listOf(slow(t, "rpm", "-qlp", rpm)); !slices.Equal(inRPM, installed) {
			t.Errorf("%s has %q, make install %q", filepath.Base(rpm), inRPM, installed)
		}
	})
	t.Run("rpm", func(t *testing.T) {
		// There is no RPM system here to depend on: its files are what counts.
		root := t.TempDir()
		slow(t, "rpm", "--root", root, "--initdb")
		slow(t, "rpm", "--root", root, "-i", "--nodeps", rpm)
		if out := slow(t, "chroot", root, "/usr/bin/fatvol", "version"); !strings.Contains(out, "fatvol") {
			t.Errorf("the program of the rpm says %q", out)
		}
		slow(t, "rpm", "--root", root, "-e", "fatvol")
	})
	t.Run("deb", func(t *testing.T) {
		root := t.TempDir()
		out := slow(t, "unshare", "-m", "--propagation", "private", "sh", "-euc", debScript, "sh", root, deb, debian(t))
		if !strings.HasSuffix(out, "\nall is well\n") {
			t.Error(out)
		}
	})
}

// debScript makes a system in directory $1 on the layer $3, and in that installs, uses and removes package $2.
const debScript = `
mount -t tmpfs -o mode=755 fatvol-test "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$3,upperdir=$1/up,workdir=$1/work" fatvol-test "$1/root"
set -- "$1/root" "$2"
cp "$2" "$1/fatvol.deb"
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
chroot "$1" sh -euc '
	dpkg -i /fatvol.deb >/dev/null
	fatvol version

	echo "== root, with mount(8)"
	truncate -s 8M /card.img
	mkfs.fat /card.img >/dev/null
	mount -t fatvol -o helper=fatvol /card.img /mnt
	echo hello >/mnt/hello.txt
	fatvol status /mnt
	umount /mnt
	fsck.fat -n /card.img

	echo "== fstab"
	echo "/card.img /mnt fatvol noauto,users,helper=fatvol,umask=000 0 0" >>/etc/fstab
	mount /mnt
	cat /mnt/hello.txt
	umount /mnt

	echo "== anna, without root"
	su anna -c "
		set -eu
		cd
		truncate -s 8M own.img
		mkfs.fat own.img >/dev/null
		mkdir own
		fatvol mount own.img own
		echo hello >own/hello.txt
		fatvol status own
		fatvol umount own
		fsck.fat -n own.img
	"
	dpkg -r fatvol >/dev/null
	for left in /usr/bin/fatvol /usr/sbin/mount.fatvol /usr/share/man/man1/fatvol.1 /usr/share/bash-completion/completions/fatvol; do
		[ ! -e "$left" ] || { echo "$left is left behind"; exit 1; }
	done
	echo "all is well"
'
`

// onlyFile is the one file in dir that the pattern matches.
func onlyFile(t *testing.T, dir, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) != 1 {
		entries, _ := os.ReadDir(dir)
		t.Fatalf("%s: %q, %v; there are %v", pattern, paths, err, entries)
	}
	return paths[0]
}

// listOf are the lines of a list of files, in order.
func listOf(lines string) []string {
	list := strings.Fields(lines)
	slices.Sort(list)
	return list
}
