package fat_test

import (
	"fmt"
	"testing"

	"fatvol/image/fat"
)

// Directories that are removed, and those that nobody knows any more, are forgotten, however many come and go, and also
// while the cache has room for all that are left.
func TestForgottenDirs(t *testing.T) {
	v, _ := open(t, layouts[0], fat.Options{})
	list := func(n *fat.Node) {
		t.Helper()
		if err := v.ReadDir(n, 0, func(*fat.Entry) bool { return true }); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := v.Mkdir(v.Root(), "kept", 0)
	if err != nil {
		t.Fatal(err)
	}
	kept.Release(1)
	for i := range 3000 {
		name := fmt.Sprintf("directory %d", i)
		n, err := v.Mkdir(v.Root(), name, 0)
		if err != nil {
			t.Fatal(err)
		}
		list(n)
		if err := v.Rmdir(v.Root(), name); err != nil {
			t.Fatal(err)
		}
		n.Release(1)
		if n, _, err = v.Lookup(v.Root(), "kept"); err != nil {
			t.Fatal(err)
		}
		list(n)
		n.Release(1)
		if i%100 == 0 {
			if err := v.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Twice those that are in memory, and some.
	if n := v.QueuedDirs(); n > 200 {
		t.Errorf("%d directories are remembered", n)
	}
}
