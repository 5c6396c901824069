//go:build linux

package vm

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The desktop's guest has, besides what every guest has, udisks2, polkit, udev and D-Bus from Debian's
// packages, unpacked by prepare-desktop.sh: the programs below, what they are linked with, and their data.

// desktopPrograms are set-uid where the value is true.
var desktopPrograms = map[string]bool{
	"/bin/udevadm": false, "/usr/bin/dbus-daemon": false, "/usr/bin/udisksctl": false,
	"/usr/libexec/udisks2/udisksd": false, "/usr/lib/polkit-1/polkitd": false, "/lib/udev/scsi_id": false,
	"/bin/fusermount3": true,
}

// desktopPlugins are loaded by name at run time (libblockdev's, by udisksd).
var desktopPlugins = []string{"libbd_fs.so.2", "libbd_loop.so.2", "libbd_part.so.2", "libbd_part_err.so.2", "libbd_swap.so.2", "libbd_utils.so.2"}

// desktopData are folders that are copied whole.
var desktopData = []string{"usr/share/dbus-1", "usr/share/polkit-1", "etc/libblockdev", "etc/udisks2", "lib/udev/rules.d"}

// desktopFiles configure the guest. The rule stands for what logind would say of the user: there is no seat here,
// and so nobody who sits at it.
var desktopFiles = map[string]string{
	"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\npolkitd:x:101:101::/:/bin/false\nanna:x:1000:1000:Anna:/home/anna:/bin/sh\n",
	"etc/group": "root:x:0:\nmessagebus:x:100:\npolkitd:x:101:\nanna:x:1000:\ndisk:x:6:\ntty:x:5:\ncdrom:x:24:\nkmem:x:15:\ndialout:x:20:\n" +
		"audio:x:29:\nvideo:x:44:\nlp:x:7:\ntape:x:26:\nfloppy:x:25:\ninput:x:104:\nrender:x:106:\nkvm:x:105:\nsgx:x:107:\nplugdev:x:46:\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\n",
	"etc/machine-id":    "0123456789abcdef0123456789abcdef\n",
	"etc/fstab":         "",
	"etc/polkit-1/rules.d/10-anna.rules": `polkit.addRule(function(action, subject) {
	if (subject.user == "anna" && action.id.indexOf("org.freedesktop.udisks2.") == 0) { return polkit.Result.YES; }
});
`,
}

// bootDesktop boots a guest with a desktop's services, or skips the test where there cannot be one.
func bootDesktop(t testing.TB) *VM {
	t.Helper()
	root := filepath.Join(cacheDir, "desktop", "root")
	if _, err := os.Stat(filepath.Join(cacheDir, "desktop", "complete")); err != nil {
		skip(t, "needs what integration/vm/prepare-desktop.sh fetches")
	}
	m := bootWith(t, func(c *initramfs) { addDesktop(t, c, root) })
	v := &VM{machine: m, t: t}
	t.Cleanup(func() {
		v.tell()
		m.end()
	})
	return v
}

// addDesktop writes the desktop's part of the guest's root.
func addDesktop(t testing.TB, c *initramfs, root string) {
	t.Helper()
	for _, dir := range []string{"var/lib/udisks2", "var/lib/polkit-1", "home"} {
		c.directory(dir)
	}
	c.symlink("var/run", "/run")
	for path, content := range desktopFiles {
		c.file(path, []byte(content))
	}
	tree := &unpacked{root: root, seen: map[string]bool{}}
	for path, setuid := range desktopPrograms {
		if err := tree.add(c, path, setuid); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range desktopPlugins {
		if err := tree.library(c, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range desktopData {
		if err := tree.folder(c, dir); err != nil {
			t.Fatal(err)
		}
	}
	c.symlink("lib/systemd/systemd-udevd", "/bin/udevadm")
	c.program("bin/listener", mustRead(t, goBinary(t, "fatvol/integration/vm/listener")))
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unpacked is a tree of unpacked packages.
type unpacked struct {
	root string
	seen map[string]bool
}

// modeSetuid is the mode of a set-uid program.
const modeSetuid = 0o104755

// add copies a program or library, and what it is linked with.
func (u *unpacked) add(c *initramfs, path string, setuid bool) error {
	if u.seen[path] {
		return nil
	}
	u.seen[path] = true
	data, err := os.ReadFile(filepath.Join(u.root, path))
	if err != nil {
		return err
	}
	if setuid {
		c.entry(path, modeSetuid, data)
	} else {
		c.program(path, data)
	}
	file, err := elf.Open(filepath.Join(u.root, path))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer file.Close()
	needed, err := file.ImportedLibraries()
	for _, name := range needed {
		err = errors.Join(err, u.library(c, name))
	}
	return err
}

// libraryDirs are where Debian's packages have libraries.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/systemd", "/usr/lib/x86_64-linux-gnu/systemd", "/usr/lib/systemd"}

func (u *unpacked) library(c *initramfs, name string) error {
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(filepath.Join(u.root, path)); err == nil {
			return u.add(c, path, false)
		}
	}
	if strings.HasPrefix(name, "ld-linux") {
		return nil // the loader, which every guest has
	}
	return fmt.Errorf("library %s is in none of the packages", name)
}

// folder copies the files below a folder.
func (u *unpacked) folder(c *initramfs, dir string) error {
	return filepath.WalkDir(filepath.Join(u.root, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			to, _ := filepath.Rel(u.root, path)
			c.file(to, data)
		}
		return err
	})
}
