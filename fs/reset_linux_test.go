package fs

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
		// Closing gives clusters back, and where that comes first it has to reach the medium.
		eventually(t, "the volume is taken up anew", func() bool {
			err := m.vol.Reset(m.dev)
			if !errors.Is(err, fat.ErrUnsettled) {
				must(t, err)
			}
			return err == nil
		})
		m.InvalidateAll()
		<-closed
		must(t, os.Remove(m.path("f")))
	}
}

// TestMadeAfterRemovedElsewhere: names that were removed while the medium was elsewhere can be made anew at once. The kernel,
// which knew them, does not answer by itself that they exist.
func TestMadeAfterRemovedElsewhere(t *testing.T) {
	for name, tune := range map[string]func(*fileSystem){"epochs": nil, "no epochs": func(fs *fileSystem) { fs.useEpochs = false }} {
		t.Run(name, func(t *testing.T) {
			m := mount(t, setup{tune: tune, noisy: true, fat: fat.Options{CommitDelay: time.Millisecond}})
			for _, dir := range []string{"directory", "parent"} {
				must(t, os.Mkdir(m.path(dir), 0o777))
			}
			for _, file := range []string{"file", "target", "source"} {
				write(t, m.path(file), "content of "+file)
			}
			list(t, m.dir)
			eventually(t, "everything is on the medium", func() bool { return !m.vol.Pending() })

			elsewhere, err := fat.Open(m.dev, fat.Options{})
			must(t, err)
			root := elsewhere.Root()
			must(t, errors.Join(elsewhere.Rmdir(root, "directory"), elsewhere.Rmdir(root, "parent"),
				elsewhere.Unlink(root, "file"), elsewhere.Unlink(root, "target"), elsewhere.Close()))
			must(t, m.vol.Reset(m.dev))
			m.InvalidateAll()

			for what, do := range map[string]func() error{
				"mkdir":    func() error { return os.Mkdir(m.path("directory"), 0o777) },
				"mkdir -p": func() error { return os.MkdirAll(m.path("parent/child"), 0o777) },
				"create": func() error {
					f, err := os.OpenFile(m.path("file"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
					if err == nil {
						err = f.Close()
					}
					return err
				},
				"rename": func() error {
					return unix.Renameat2(unix.AT_FDCWD, m.path("source"), unix.AT_FDCWD, m.path("target"), unix.RENAME_NOREPLACE)
				},
			} {
				if err := do(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			wantContent(t, m.path("target"), "content of source")
		})
	}
}

// TestWindowAfterReset: a file that was open for appending before the volume was taken up anew is closed afterwards. That does
// not give away the clusters that the volume keeps by now for the next append to another file.
func TestWindowAfterReset(t *testing.T) {
	const cluster = 2048
	m := mount(t, setup{noisy: true, size: 4 << 20, mkfs: []string{"-F", "12", "-s", "4"}, fat: fat.Options{CommitDelay: time.Millisecond}})
	appendTo := func(f *os.File, c byte, n int) {
		t.Helper()
		_, err := f.Write(bytes.Repeat([]byte{c}, n))
		must(t, err)
	}
	// appended makes a file for which the volume keeps clusters: the second append finds out that there are more.
	appended := func(name string, c byte) *os.File {
		t.Helper()
		f, err := os.Create(m.path(name))
		must(t, err)
		t.Cleanup(func() { f.Close() })
		appendTo(f, c, cluster)
		appendTo(f, c, cluster)
		return f
	}
	before := appended("before", 'x')
	must(t, before.Sync())
	eventually(t, "everything is on the medium", func() bool { return !m.vol.Pending() })
	must(t, m.vol.Reset(m.dev))
	m.InvalidateAll()

	after := appended("after", 'a') // has a window where the other had one
	before.Close()                  // which may be stale
	eventually(t, "the stale handle is released", func() bool {
		for _, h := range m.fs.handles.all() {
			if h.n.Stale() {
				return false
			}
		}
		return true
	})

	// Another file gets nearly all that is left.
	const spared = 8
	s, err := m.vol.Stat()
	must(t, err)
	other, err := os.Create(m.path("other"))
	must(t, err)
	for left := (int(s.Free) - spared) * cluster; left > 0; left -= 64 << 10 {
		appendTo(other, 'o', min(64<<10, left))
	}
	must(t, other.Close())
	appendTo(after, 'a', spared/2*cluster)
	must(t, after.Sync())
	m.InvalidateAll() // no answers from the page cache
	got, err := os.ReadFile(m.path("other"))
	must(t, err)
	if i := bytes.IndexByte(got, 'a'); i >= 0 {
		t.Errorf("at %d of %d bytes, the other file has what was appended to the one", i, len(got))
	}
}
