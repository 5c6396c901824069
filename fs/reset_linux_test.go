package fs

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"fatvol/image/fat"
)

// After the volume was changed elsewhere, names that the kernel knew lead to what is there now, also where
// it cannot be told to forget names; what is open is of another time.
func TestNamesAfterReset(t *testing.T) {
	for _, c := range []struct {
		name string
		tune func(*fileSystem)
	}{
		{"with epochs", nil},
		{"without epochs", func(fs *fileSystem) { fs.useEpochs = false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mount(t, setup{tune: c.tune, noisy: true, fat: fat.Options{CommitDelay: time.Millisecond}})
			must(t, os.MkdirAll(m.path("a/b"), 0o777))
			write(t, m.path("a/b/f"), "content")
			file, err := os.Open(m.path("a/b/f"))
			must(t, err)
			defer file.Close()
			dir, err := os.Open(m.path("a"))
			must(t, err)
			defer dir.Close()
			eventually(t, "everything is on the medium", func() bool { return !m.vol.Pending() })

			must(t, m.vol.Reset(m.dev))
			m.InvalidateAll()
			if _, err := file.ReadAt(make([]byte, 7), 0); !errors.Is(err, syscall.EIO) {
				t.Errorf("read of what was open: %v", err)
			}
			if _, err := dir.ReadDir(1); !errors.Is(err, syscall.EIO) {
				t.Errorf("listing of what was open: %v", err)
			}
			for name, do := range map[string]func(path string) error{
				"stat":     func(p string) error { _, err := os.Stat(p); return err },
				"access":   func(p string) error { return syscall.Access(p, 4) },
				"read":     func(p string) error { _, err := os.ReadFile(p); return err },
				"chmod":    func(p string) error { return os.Chmod(p, 0o777) },
				"truncate": func(p string) error { return os.Truncate(p, 3) },
				"rename":   func(p string) error { return os.Rename(p, p) },
			} {
				if err := do(m.path("a/b/f")); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			must(t, os.WriteFile(m.path("a/b/new"), nil, 0o666))
			must(t, os.Rename(m.path("a/b/f"), m.path("a/g")))
			if list, err := os.ReadDir(m.path("a")); err != nil || len(list) != 2 {
				t.Errorf("list: %v %v", list, err)
			}
			must(t, os.Remove(m.path("a/b/new")))
			must(t, os.Remove(m.path("a/b")))
		})
	}
}

// TestCloseDuringReset: a file is closed while the volume is taken up anew.
func TestCloseDuringReset(t *testing.T) {
	m := mount(t, setup{noisy: true, fat: fat.Options{CommitDelay: time.Millisecond}})
	for range 30 {
		f, err := os.Create(m.path("f"))
		must(t, err)
		_, err = f.Write(make([]byte, 5000))
		must(t, err)
		must(t, f.Sync())
		eventually(t, "everything is on the medium", func() bool { return !m.vol.Pending() })
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			f.Close() // which may be stale
		}()
		must(t, m.vol.Reset(m.dev))
		m.InvalidateAll()
		<-closed
		must(t, os.Remove(m.path("f")))
	}
}
