package fs

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnlinkedButOpen(t *testing.T) {
	m := mount(t, setup{})
	f := create(t, m.path("f"), "before")
	must(t, os.Remove(m.path("f")))
	write(t, m.path("f"), "another")
	_, err := f.WriteString(" and after")
	must(t, err)
	m.InvalidateAll()
	b := make([]byte, 100)
	n, _ := f.ReadAt(b, 0)
	if string(b[:n]) != "before and after" {
		t.Errorf("read %q", b[:n])
	}
	var st unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &st))
	if st.Nlink != 0 || st.Size != 16 {
		t.Errorf("nlink %d size %d", st.Nlink, st.Size)
	}
	must(t, f.Truncate(3))
	must(t, f.Sync())
	must(t, f.Close())
	wantContent(t, m.path("f"), "another")
}

// A descriptor that only names a file keeps it, as on any Unix file system.
func TestUnlinkedAndNotOpen(t *testing.T) {
	m := mount(t, setup{})
	write(t, m.path("f"), "content")
	fd, err := unix.Open(m.path("f"), unix.O_PATH, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, os.Remove(m.path("f")))
	name := "/proc/self/fd/" + itoa(fd)
	m.InvalidateAll()
	wantContent(t, name, "content")
	must(t, os.Truncate(name, 3))
	wantContent(t, name, "con")

	// Only when there is no room, it is given up. That is no damage.
	if m.fs.nodes.pins.Load() != 1 {
		t.Error("nothing keeps the file")
	}
	m.fs.nodes.dropPins()
	m.InvalidateAll() // on a goroutine of its own
	deadline := time.Now().Add(10 * time.Second)
	for {
		f, err := os.Open(name)
		if errors.Is(err, unix.ESTALE) {
			break
		}
		if err == nil {
			f.Close()
			m.fs.nodes.dropPins()
			m.InvalidateAll()
		}
		if time.Now().After(deadline) {
			t.Fatalf("open: %v", err)
		}
	}
	if err := os.Truncate(name, 0); !errors.Is(err, unix.ESTALE) {
		t.Errorf("truncate: %v", err)
	}
	write(t, m.path("g"), "the volume is fine")
}

// What was looked up by several spellings is freed when it is removed by any of them: the kernel keeps a name
// for each, and its inode with them, for as long as it likes.
func TestRespelledIsFreed(t *testing.T) {
	for name, tune := range map[string]func(*fileSystem){
		"as it comes": nil,
		"no prune":    func(fs *fileSystem) { fs.usePrune = false },
		"no epochs":   func(fs *fileSystem) { fs.useEpochs = false },
	} {
		t.Run(name, func(t *testing.T) {
			m := mount(t, setup{tune: tune})
			free := func() uint64 {
				var st unix.Statfs_t
				must(t, unix.Statfs(m.path(), &st))
				return st.Bfree
			}
			removeOpen := func(name string) error {
				f, err := os.Open(m.path("Listed name"))
				must(t, err)
				must(t, os.Remove(m.path(name)))
				return f.Close()
			}
			for how, remove := range map[string]func() error{
				"listed, open": func() error { return removeOpen("Listed name") },
				"other, open":  func() error { return removeOpen("LISTED NAME") },
				"listed":       func() error { return os.Remove(m.path("Listed name")) },
				"other":        func() error { return os.Remove(m.path("LISTED NAME")) },
				"replaced":     func() error { return os.Rename(m.path("new"), m.path("Listed name")) },
			} {
				write(t, m.path("new"), "")
				before := free()
				must(t, os.WriteFile(m.path("Listed name"), make([]byte, 100_000), 0o666))
				for _, spelling := range []string{"LISTED NAME", "listed name", "Listed name"} {
					_, err := os.Stat(m.path(spelling))
					must(t, err)
				}
				must(t, remove())
				eventually(t, "the space of what was removed is free: "+how, func() bool { return free() == before })
				os.Remove(m.path("Listed name"))
			}
		})
	}
}
