package fs

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

// TestPrune looks at many more files than the kernel is to know at once. Those that are open stay what they are,
// and all the others are there when they are looked at again.
func TestPrune(t *testing.T) {
	const most, files = 100, 1000
	m := mount(t, setup{size: 64 << 20, mkfs: []string{"-F", "32"}, tune: func(fs *fileSystem) { fs.nodes.max = most }})
	if !m.fs.prunes {
		t.Skip("needs FUSE_NOTIFY_PRUNE, of Linux 6.18")
	}
	dir := m.path("d")
	must(t, os.Mkdir(dir, 0o777))
	names := fill(t, dir, files)
	var open []*os.File
	for _, name := range names[:20] {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		_, err = f.WriteString(name)
		must(t, err)
		open = append(open, f)
	}
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
	for i, f := range open {
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
