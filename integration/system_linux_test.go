package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// debianPackages are what a system for tests has besides the packages that every Debian has.
const debianPackages = "fuse3,dosfstools,systemd-sysv,autofs"

var debianOnce struct {
	sync.Once
	root string
	out  string
}

// debian returns the root directory of a Debian, of this machine's release, which the first call makes. It is
// a layer for overlays: nothing changes it.
func debian(t *testing.T) string {
	t.Helper()
	needRoot(t)
	need(t, "debootstrap", "unshare")
	d := &debianOnce
	d.Do(func() {
		d.out = slow(t, "unshare", "-m", "--propagation", "private", "sh", "-euc", debianScript, "sh", scratch, debianPackages)
		d.root = filepath.Join(scratch, "debian")
	})
	if d.root == "" {
		t.Fatalf("there is no Debian to test in: %s", d.out)
	}
	return d.root
}

// debianScript makes a system with the packages $2 in directory debian of $1, in memory at first: dpkg
// waits for the disk often.
const debianScript = `
mkdir "$1/ram"
mount -t tmpfs -o mode=755 fatvol-test "$1/ram"
. /etc/os-release
debootstrap --variant=minbase --include="$2" "$VERSION_CODENAME" "$1/ram" >"$1/debootstrap.log" 2>&1 || { cat "$1/debootstrap.log"; exit 1; }
rm -rf "$1"/ram/var/cache/apt "$1"/ram/var/lib/apt/lists "$1"/ram/usr/share/doc "$1"/ram/usr/share/locale
chroot "$1/ram" useradd -m -s /bin/sh anna
cp -a "$1/ram" "$1/debian"
`

// A booted system is a Debian with fatvol, the files of a test, and systemd as its first process, in name
// spaces and an overlay that end with it. Each boot runs one script once the system is up, and shuts the
// system down.
type booted struct {
	dir string
}

// A boot is what came of one.
type boot struct {
	code    int    // exit code of the script
	out     string // what it said
	journal string // of the whole boot
}

// task is the unit that runs the script of a boot.
const task = `[Unit]
Description=what the test does
After=multi-user.target

[Service]
Type=oneshot
WorkingDirectory=/root
Environment=HOME=/root
ExecStart=/bin/sh -c 'timeout 90 sh -euxc ". /task"; echo "$$?" >/task.code; systemctl -q --no-block start poweroff.target'
StandardOutput=append:/task.out
StandardError=inherit
TimeoutStartSec=120
`

// bootScript boots the system in directory $1 on the layer $2, as a machine called $3, once for each further
// argument, which is a script.
const bootScript = `
cd "$1"
base="$2" machine="$3"
shift 3
mkdir ram
mount -t tmpfs -o mode=755 fatvol-test ram
mkdir ram/up ram/work ram/root
mount -t overlay -o "lowerdir=$base,upperdir=ram/up,workdir=ram/work" fatvol-test ram/root
cp -R files/. ram/root/
mkdir -p ram/root/var/log/journal
# Control groups of its own: systems that run at once would remove each other's.
for c in /sys/fs/cgroup /sys/fs/cgroup/*; do
	case $c in */cpuset) continue ;; esac
	if [ -e "$c/cgroup.procs" ]; then mkdir -p "$c/$machine"; fi
done
n=0
for script; do
	n=$((n + 1))
	printf '%s\n' "$script" >ram/root/task
	sh -euc 'for c in /sys/fs/cgroup/"$0" /sys/fs/cgroup/*/"$0"; do if [ -e "$c" ]; then echo "$$" >"$c/cgroup.procs"; fi; done; exec "$@"' "$machine" \
		timeout -k 10 240 systemd-nspawn -q -D ram/root -M "$machine" -b --register=no --keep-unit --private-network \
		--capability=all --bind=/dev/fuse --bind=/dev/autofs --console=pipe --link-journal=no </dev/null >"console-$n" 2>&1 || true
	cp ram/root/task.out "out-$n"
	cp ram/root/task.code "code-$n" || echo 125 >"code-$n"
	rm -f ram/root/task.out ram/root/task.code
	journalctl -q -o short-monotonic --no-pager -D ram/root/var/log/journal >"journal-$n"
	rm -rf ram/root/var/log/journal/*
done
find /sys/fs/cgroup/"$machine" /sys/fs/cgroup/*/"$machine" -depth -type d -exec rmdir {} + 2>/dev/null || true
if [ -e ram/root/srv/card.img ]; then cp --sparse=always ram/root/srv/card.img card.img; fi
`

// newSystem prepares one.
func newSystem(t *testing.T, files map[string]string) *booted {
	t.Helper()
	needFUSE(t)
	need(t, "systemd-nspawn", "journalctl", "mkfs.fat", "fsck.fat")
	if _, err := os.Stat("/dev/autofs"); err != nil {
		lacks(t, "needs the kernel's autofs: %v", err)
	}
	s := &booted{t.TempDir()}
	root := filepath.Join(s.dir, "files")
	writeFiles(t, root, files)
	writeFiles(t, root, map[string]string{"/etc/systemd/system/task.service": task})
	bin, wants := filepath.Join(root, "usr/local/bin"), filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	for _, dir := range []string{bin, wants, filepath.Join(root, "usr/sbin"), filepath.Join(root, "srv")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "cp", binary(t), filepath.Join(bin, "fatvol"))
	if err := os.Symlink("../task.service", filepath.Join(wants, "task.service")); err != nil {
		t.Fatal(err)
	}
	for _, helper := range []string{"mount.fatvol", "mount.fuse.fatvol", "umount.fatvol", "umount.fuse.fatvol"} {
		if err := os.Symlink("/usr/local/bin/fatvol", filepath.Join(root, "usr/sbin", helper)); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "cp", mkfsFAT(t, 64<<20), filepath.Join(root, "srv/card.img"))
	return s
}

// notMachine are the characters that names of machines lack.
var notMachine = regexp.MustCompile(`[^a-z0-9]+`)

// boot boots it once for each script. The volume that is in /srv/card.img in the end, if any, must be sound.
func (s *booted) boot(t *testing.T, scripts ...string) (boots []boot) {
	t.Helper()
	machine := "fatvol-" + strings.Trim(notMachine.ReplaceAllString(strings.ToLower(filepath.Base(t.Name())), "-"), "-")
	args := append([]string{"-m", "--propagation", "private", "sh", "-euc", bootScript, "sh", s.dir, debian(t), machine}, scripts...)
	out := slow(t, "unshare", args...)
	for i := range scripts {
		read := func(name string) string {
			text, err := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("%s-%d", name, i+1)))
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return string(text)
		}
		b := boot{out: read("out"), journal: read("journal")}
		var err error
		if b.code, err = strconv.Atoi(strings.TrimSpace(read("code"))); err != nil || b.code != 0 {
			t.Errorf("boot %d: exit code %d, %v\n%s\n%s\n%s", i+1, b.code, err, b.out, read("console"), b.journal)
		}
		if bad := givenUp(b.journal); bad != "" {
			t.Errorf("boot %d: %q is in the journal:\n%s", i+1, bad, b.journal)
		}
		boots = append(boots, b)
	}
	if img := filepath.Join(s.dir, "card.img"); exists(img) {
		fsck(t, img)
	}
	return boots
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// givenUp is the first line of a journal that tells of something that the shutdown gave up on, and then
// killed. Mounts of systemd's own go in any order with what unmounts them.
func givenUp(journal string) string {
	for line := range strings.Lines(journal) {
		for _, bad := range []string{"timed out. Killing", "Failed unmounting", "Found left-over process"} {
			if strings.Contains(line, bad) && !strings.Contains(line, "/run/credentials/") {
				return line
			}
		}
	}
	return ""
}
