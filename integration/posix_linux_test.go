package integration

import (
	"maps"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// notOnFAT are the tests of posixtest that FAT cannot pass, and why.
var notOnFAT = map[string]string{
	"Link":                "a directory entry holds the file: there are no hard links",
	"LinkUnlinkRename":    "begins with a hard link",
	"SymlinkReadlink":     "there is no type of entry for symbolic links",
	"SetattrSymlink":      "begins with a symbolic link",
	"OpenSymlinkRace":     "replaces a file by a symbolic link",
	"FcntlFlockLocksFile": "wants a process to be kept out by a lock of its own, which POSIX forbids; posixtest's own run leaves it out too, and fs tests locks",
	"XAttr":               "there is no place for attributes of free names; fs tests those that user.fatvol.* shows",
}

// posixOptions are what a test of posixtest needs beyond the usual look of a mount.
var posixOptions = map[string][]string{
	// Both create a file with mode 0755 and want to see that. Modes are the mount's, not the file's.
	"FileBasic": {"umask=022"},
}

// TestPosix runs the tests of go-fuse for any POSIX file system, each on a fresh mount. They open
// files without O_CLOEXEC, so none may run while another test starts a process that would inherit
// those, and keep the mount busy.
func TestPosix(t *testing.T) {
	needFUSE(t)
	for name := range notOnFAT {
		if posixtest.All[name] == nil {
			t.Errorf("posixtest has no %s any more: its exclusion can go", name)
		}
	}
	binary(t)
	for _, w := range widths {
		t.Run(w.name, func(t *testing.T) {
			for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
				if notOnFAT[name] != "" {
					continue
				}
				t.Run(name, func(t *testing.T) {
					img := mkfsFAT(t, w.size, w.args...)
					dir := mountImage(t, img, posixOptions[name]...)
					defer func() { // a test that skips itself would pass for nothing
						if t.Skipped() {
							t.Error("the test skipped itself: it is to run, or to be in notOnFAT")
						}
					}()
					posixtest.All[name](t, dir)
					umount(t, dir)
					fsck(t, img)
				})
			}
		})
	}
}
