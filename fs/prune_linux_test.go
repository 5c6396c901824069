package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPrune looks at many more files than the kernel is to know at once, by both ways to have it forget some. Those
// that are open stay what they are, and all the others are there when they are looked at again.
func TestPrune(t *testing.T) {
	t.Run("nodes", func(t *testing.T) { testPrune(t, true) })
	t.Run("names", func(t *testing.T) { testPrune(t, false) })
}

func testPrune(t *testing.T, usePrune bool) {
	const most, files = 100, 1000
	m := mount(t, setup{size: 64 << 20, mkfs: []string{"-F", "32"}, tune: func(fs *fileSystem) {
		fs.nodes.max, fs.usePrune = most, usePrune
	}})
	if usePrune && !m.fs.prunes {
		t.Skip("needs FUSE_NOTIFY_PRUNE, of Linux 6.18")
	}
	dir := m.path("d")
	must(t, os.Mkdir(dir, 0o777))
	names := fill(t, dir, files)
	eventually(t, "the kernel has been asked", func() bool { return !m.fs.pruning.Load() })
	m.fs.nodes.fresh.Store(0) // nothing is asked while they are opened
	var open []*os.File
	for _, name := range names[:20] {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		_, err = f.WriteString(name)
		must(t, err)
		open = append(open, f)
	}
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	open = append(open, d)
	for range 3 {
		for _, name := range names {
			_, err := os.Stat(filepath.Join(dir, name))
			must(t, err)
		}
		eventually(t, "the kernel forgets", func() bool {
			os.Stat(filepath.Join(dir, names[files-1])) // one more may be what it takes
			return m.fs.nodes.count.Load() <= 3*most
		})
	}
	for _, f := range open {
		// As /proc shows it, what lost its name would be "(deleted)".
		if at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); at != f.Name() || err != nil {
			t.Errorf("%s is open as %q, %v", f.Name(), at, err)
		}
	}
	for i, f := range open[:20] {
		buf := make([]byte, 100)
		n, err := f.ReadAt(buf, 0)
		if string(buf[:n]) != names[i] {
			t.Errorf("%s: reads %q, %v", names[i], buf[:n], err)
		}
	}
}

// TestGiveBack has the kernel forget most of many files, as it does where they are removed.
func TestGiveBack(t *testing.T) {
	const many = 400
	m := mount(t, setup{size: 64 << 20, mkfs: []string{"-F", "32"}, tune: func(fs *fileSystem) { fs.nodes.max = many }})
	dir := m.path("d")
	must(t, os.Mkdir(dir, 0o777))
	names := fill(t, dir, many)
	if most := m.fs.nodes.most.Load(); most < many/pruneShare {
		t.Fatalf("at most %d nodes, of %d files", most, many)
	}
	var before debug.GCStats
	debug.ReadGCStats(&before)
	for _, name := range names {
		must(t, os.Remove(filepath.Join(dir, name)))
	}
	eventually(t, "memory is collected", func() bool {
		var now debug.GCStats
		debug.ReadGCStats(&now)
		return m.fs.nodes.most.Load() <= many/pruneShare && now.NumGC > before.NumGC
	})
}

// TestPruneCovered: what is mounted on a file stays, however many others are looked at.
func TestPruneCovered(t *testing.T) {
	const most, files = 100, 400
	m := mount(t, setup{size: 64 << 20, mkfs: []string{"-F", "32"}, tune: func(fs *fileSystem) {
		fs.nodes.max, fs.usePrune = most, false
	}})
	if !privileged() {
		t.Skip("needs the right to mount")
	}
	below := m.path("below")
	write(t, below, "below")
	other := t.TempDir() + "/other"
	write(t, other, "other")
	must(t, unix.Mount(other, below, "", unix.MS_BIND, ""))
	defer unix.Unmount(below, unix.MNT_DETACH)
	dir := m.path("d")
	must(t, os.Mkdir(dir, 0o777))
	fill(t, dir, files)
	eventually(t, "the kernel has been asked", func() bool { return m.fs.nodes.fresh.Load() < files && !m.fs.pruning.Load() })
	if got, err := os.ReadFile(below); string(got) != "other" || err != nil {
		t.Errorf("what is mounted has gone: %q, %v", got, err)
	}
	if n := m.fs.nodes.count.Load(); n < files {
		t.Errorf("%d nodes are left of %d files: names were dropped", n, files)
	}
}
