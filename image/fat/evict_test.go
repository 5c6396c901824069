package fat_test

import (
	"fmt"
	"runtime"
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

// Of files that nobody knows any more nothing is left, also where their directories are still in use.
func TestForgottenFiles(t *testing.T) {
	const dirs, files = 32, 1000
	v, _ := open(t, layouts[0], fat.Options{CacheBytes: 1})
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var in []*fat.Node
	for d := range dirs {
		dir, err := v.Mkdir(v.Root(), fmt.Sprint(d), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Release(1)
		in = append(in, dir)
	}
	before := heap()
	for _, dir := range in {
		var known []*fat.Node
		for f := range files {
			n, err := v.Create(dir, fmt.Sprint(f), 0)
			if err != nil {
				t.Fatal(err)
			}
			known = append(known, n)
		}
		if err := v.Sync(); err != nil {
			t.Fatal(err)
		}
		for _, n := range known {
			n.Release(1)
		}
	}
	// The device, in memory as well, has the slots.
	if left := heap() - before - dirs*files*fat.DirSlot; left > dirs*files*16 {
		t.Errorf("%d bytes are left of %d files", left, dirs*files)
	}
}
