package fs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// A gate is a device that can vanish, as the medium's does.
type gate struct {
	device.Device
	err   atomic.Pointer[error] // what every call returns
	write atomic.Pointer[error] // what WriteAt returns
	left  atomic.Int64          // calls until it goes with EIO; it does not where that is 0
}

func (g *gate) Check() error {
	if g.left.Load() > 0 && g.left.Add(-1) == 0 {
		g.err.Store(hostError(unix.EIO))
	}
	if p := g.err.Load(); p != nil {
		return *p
	}
	return nil
}

func (g *gate) ReadAt(p []byte, off int64) (int, error) {
	if err := g.Check(); err != nil {
		return 0, err
	}
	return g.Device.ReadAt(p, off)
}

func (g *gate) WriteAt(p []byte, off int64) (int, error) {
	if err := g.Check(); err != nil {
		return 0, err
	}
	if p := g.write.Load(); p != nil {
		return 0, *p
	}
	return g.Device.WriteAt(p, off)
}

func (g *gate) Sync() error {
	if err := g.Check(); err != nil {
		return err
	}
	return g.Device.Sync()
}

func hostError(errno syscall.Errno) *error {
	err := error(&os.PathError{Op: "pread", Path: "disk.img", Err: errno})
	return &err
}

// While the device is gone, whatever is asked gets EIO: never ENOENT, never a short listing, nothing out
// of the kernel's memory. The root's extended attributes and unmounting work. When it is back, all is
// as before.
func TestGone(t *testing.T) {
	mem := newDevice(t, 32<<20, "-F", "16")
	g := &gate{Device: mem}
	m := mount(t, setup{dev: g, noisy: true, fs: Options{
		State: func() map[string]string { return map[string]string{"state": "gone"} },
	}})
	must(t, os.Mkdir(m.path("d"), 0o777))
	write(t, m.path("d/f"), "content")
	open := create(t, m.path("d/open"), "content")
	list(t, m.path("d"))
	must(t, open.Sync())

	// The errnos of a dead stick must not reach anybody, whatever they are.
	for _, errno := range []syscall.Errno{unix.EIO, unix.ENODEV, unix.ENOENT, unix.ENOSYS, unix.EINTR, unix.ESTALE} {
		g.err.Store(hostError(errno))
		m.InvalidateAll()
		for what, do := range map[string]func() error{
			"stat":              func() error { _, err := os.Stat(m.path("d/f")); return err },
			"stat of an absent": func() error { _, err := os.Stat(m.path("d/absent")); return err },
			"stat of the root":  func() error { _, err := os.Stat(m.dir); return err },
			"open":              func() error { _, err := os.Open(m.path("d/f")); return err },
			"readdir":           func() error { _, err := os.ReadDir(m.path("d")); return err },
			"create":            func() error { _, err := os.Create(m.path("d/new")); return err },
			"mkdir":             func() error { return os.Mkdir(m.path("new"), 0o777) },
			"unlink":            func() error { return unix.Unlink(m.path("d/f")) },
			"rmdir":             func() error { return unix.Rmdir(m.path("d")) },
			"rename":            func() error { return unix.Rename(m.path("d/f"), m.path("d/g")) },
			"truncate":          func() error { return unix.Truncate(m.path("d/f"), 0) },
			"chmod":             func() error { return unix.Chmod(m.path("d/f"), 0o555) },
			"access of a file":  func() error { return unix.Access(m.path("d/f"), unix.R_OK) },
			"access of a dir":   func() error { return unix.Access(m.path("d"), unix.X_OK) },
			"access of root":    func() error { return unix.Access(m.dir, unix.W_OK) },
			"statfs":            func() error { return unix.Statfs(m.dir, new(unix.Statfs_t)) },
			"read":              func() error { _, err := open.ReadAt(make([]byte, 10), 0); return err },
			"write":             func() error { _, err := open.WriteAt([]byte("x"), 0); return err },
			"fsync":             func() error { return open.Sync() },
			"fallocate":         func() error { return unix.Fallocate(int(open.Fd()), 0, 0, 100_000) },
		} {
			wantErrno(t, what+" with "+errno.Error(), do(), unix.EIO)
		}
		b := make([]byte, 10)
		if n, err := unix.Getxattr(m.dir, "user.fatvol.state", b); err != nil || string(b[:n]) != "gone" {
			t.Errorf("state of the root: %q %v", b[:n], err)
		}
		if n, err := unix.Listxattr(m.dir, make([]byte, 1000)); n == 0 || err != nil {
			t.Errorf("attributes of the root: %d %v", n, err)
		}
	}
	g.err.Store(nil)
	wantContent(t, m.path("d/f"), "content")
	wantContent(t, m.path("d/open"), "content")
	if names := list(t, m.path("d")); len(names) != 2 {
		t.Errorf("%q, want 2 names", names)
	}
	must(t, os.Remove(m.path("d/f")))
}

// The device goes at each moment of an operation. What gives EIO has not happened, and what has happened does
// not give EIO: also where the device goes between the change and the answer.
func TestGoneMeanwhile(t *testing.T) {
	g := &gate{Device: newDevice(t, 32<<20, "-F", "16")}
	m := mount(t, setup{dev: g, noisy: true, fat: fat.Options{CommitDelay: -1}})
	attr := func(name string) fs.FileInfo {
		st, err := os.Stat(m.path(name))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		must(t, err)
		return st
	}
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.Local)
	for _, op := range []struct {
		what string
		do   func() error
		done func() bool
	}{
		{"create", func() error {
			f, err := os.Create(m.path("new"))
			f.Close()
			return err
		}, func() bool { return attr("new") != nil }},
		{"create under an odd name", func() error {
			f, err := os.Create(m.path("ne\u0301w"))
			f.Close()
			return err
		}, func() bool { return attr("n\u00e9w") != nil }},
		{"mknod", func() error { return unix.Mknod(m.path("new"), unix.S_IFREG|0o666, 0) }, func() bool { return attr("new") != nil }},
		{"mkdir", func() error { return os.Mkdir(m.path("new"), 0o777) }, func() bool { return attr("new") != nil }},
		{"truncate", func() error { return os.Truncate(m.path("f"), 3) }, func() bool { return attr("f").Size() == 3 }},
		{"open with O_TRUNC", func() error {
			f, err := os.OpenFile(m.path("f"), os.O_RDWR|os.O_TRUNC, 0)
			f.Close()
			return err
		}, func() bool { return attr("f").Size() == 0 }},
		{"utimes", func() error { return os.Chtimes(m.path("f"), old, old) }, func() bool { return attr("f").ModTime().Equal(old) }},
		{"chmod", func() error { return os.Chmod(m.path("f"), 0o555) }, func() bool { return attr("f").Mode()&0o222 == 0 }},
		{"unlink", func() error { return unix.Unlink(m.path("f")) }, func() bool { return attr("f") == nil }},
		{"rename", func() error { return os.Rename(m.path("f"), m.path("new")) }, func() bool { return attr("new") != nil && attr("f") == nil }},
	} {
		for k := int64(1); ; k++ {
			write(t, m.path("f"), "content")
			m.InvalidateAll()
			g.left.Store(k)
			err := op.do()
			went := g.err.Swap(nil) != nil
			g.left.Store(0)
			m.InvalidateAll()
			if err != nil {
				wantErrno(t, op.what, err, unix.EIO)
			}
			if done := op.done(); done != (err == nil) {
				t.Errorf("%s, and the device goes with its call %d: %v, and done: %v", op.what, k, err, done)
			}
			for _, name := range []string{"f", "new", "n\u00e9w"} {
				if os.Remove(m.path(name)) != nil {
					os.Chmod(m.path(name), 0o777)
					os.Remove(m.path(name))
				}
			}
			if !went {
				break
			}
		}
	}
}

// A full host is a full volume to an application; anything else is EIO.
func TestHostErrno(t *testing.T) {
	for _, c := range []struct{ host, want syscall.Errno }{
		{unix.ENOSPC, unix.ENOSPC},
		{unix.EROFS, unix.EROFS},
		{unix.EDQUOT, unix.EIO},
		{unix.EPERM, unix.EIO},
	} {
		g := &gate{Device: newDevice(t, 4<<20, "-F", "12")}
		m := mount(t, setup{dev: g, noisy: true})
		f := create(t, m.path("f"), "x")
		must(t, f.Sync())
		g.write.Store(hostError(c.host))
		_, err := f.WriteAt(pattern(1, 1<<20), 0)
		if err == nil {
			err = f.Sync()
		}
		wantErrno(t, "host says "+c.host.Error(), err, c.want)
		g.write.Store(nil)
	}
}

func TestUnmountWhileGone(t *testing.T) {
	g := &gate{Device: newDevice(t, 4<<20, "-F", "12")}
	m := mount(t, setup{dev: g, noisy: true})
	f := create(t, m.path("f"), "x")
	g.err.Store(hostError(unix.ENODEV))
	f.Close()
	eventually(t, "unmount", func() bool { return m.Unmount() == nil })
	m.Wait()
	m.once.Do(func() {})
	if err := m.vol.Close(); err == nil {
		t.Error("the volume closed without an error, though nothing could be written")
	}
}

// A bug in one request is not the end of all.
func TestPanicIsAnError(t *testing.T) {
	var armed atomic.Bool
	m := mount(t, setup{noisy: true, fs: Options{State: func() map[string]string {
		if armed.Load() {
			panic("a bug")
		}
		return nil
	}}})
	armed.Store(true)
	_, err := unix.Listxattr(m.dir, make([]byte, 100))
	wantErrno(t, "a request that panics", err, unix.EIO)
	armed.Store(false)
	write(t, m.path("f"), "going on")
	wantContent(t, m.path("f"), "going on")
	if log := m.log.String(); !strings.Contains(log, "a bug") || !strings.Contains(log, "gone_linux_test.go") {
		t.Errorf("the log does not say where:\n%s", log)
	}
}

// The kernel's memory of names and contents is gone after InvalidateAll, whatever it holds.
func TestInvalidateAll(t *testing.T) {
	for _, epochs := range []bool{true, false} {
		m := mount(t, setup{tune: func(fs *fileSystem) { fs.useEpochs = epochs }})
		must(t, os.Mkdir(m.path("d"), 0o777))
		for _, name := range []string{"a", "b", "d/c"} {
			write(t, m.path(name), "old")
			wantContent(t, m.path(name), "old")
		}
		// Behind the kernel's back.
		n, _, err := m.vol.Lookup(m.vol.Root(), "a")
		must(t, err)
		_, err = n.WriteAt([]byte("new!"), 0)
		must(t, err)
		n.Release(1)
		m.InvalidateAll()
		wantContent(t, m.path("a"), "new!")
		if size := size(t, m.path("a")); size != 4 {
			t.Errorf("size %d, want 4", size)
		}
		if epochs {
			must(t, m.vol.Unlink(m.vol.Root(), "b"))
			m.InvalidateAll()
			if _, err := os.Stat(m.path("b")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("stat of what is gone: %v", err)
			}
		}
		if names := list(t, m.path("d")); len(names) != 1 || filepath.Base(names[0]) != "c" {
			t.Error(names)
		}
	}
}
