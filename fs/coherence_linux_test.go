package fs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/image/fat"
)

// A caseTest is a few steps on a fresh directory, and what is there by which spelling afterwards.
// What is absent must be so by any of the spellings that the steps used.
type caseTest struct {
	name   string
	steps  func(t *testing.T, p func(string) string)
	there  map[string]string // spelling → content; "/" for a directory
	absent []string
	listed []string // what a listing shows
}

// stats looks names up, so that the kernel holds what it can.
func stats(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := os.Stat(n); err != nil {
			t.Error(err)
		}
	}
}

func gone(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := os.Lstat(n); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want that it does not exist", n, err)
		}
	}
}

func list(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if _, err := e.Info(); err != nil {
			t.Error(err)
		}
		names = append(names, e.Name())
	}
	return names
}

func TestCase(t *testing.T) {
	for _, k := range []struct {
		name string
		tune func(*fileSystem)
		// settle is how long the kernel may need to hear of it: without epochs, the notification
		// follows the reply.
		settle time.Duration
	}{
		{"epochs", nil, 0},
		{"no prune", func(fs *fileSystem) { fs.usePrune = false }, 0},
		{"no epochs", func(fs *fileSystem) { fs.useEpochs = false }, 5 * time.Second},
	} {
		t.Run(k.name, func(t *testing.T) {
			m := mount(t, setup{tune: k.tune})
			for i, c := range caseTests {
				t.Run(c.name, func(t *testing.T) {
					dir := m.path(string(rune('a' + i)))
					must(t, os.Mkdir(dir, 0o777))
					c.steps(t, func(name string) string { return filepath.Join(dir, name) })
					c.check(t, dir, k.settle)
				})
			}
		})
	}
}

func (c *caseTest) check(t *testing.T, dir string, settle time.Duration) {
	for end := time.Now().Add(settle); ; {
		err := c.wrong(dir)
		if err == nil {
			break
		}
		if !time.Now().Before(end) {
			t.Error(err)
			break
		}
	}
	if c.listed == nil {
		return
	}
	if got := list(t, dir); !slices.Equal(got, c.listed) {
		t.Errorf("listing %q, want %q", got, c.listed)
	}
}

// wrong says what is not as it should be. It asks in each of the ways that the kernel may answer from
// its cache: stat, open, and access.
func (c *caseTest) wrong(dir string) error {
	for _, name := range c.absent {
		p := filepath.Join(dir, name)
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(errors.New("stat of absent "+name), err)
		}
		if f, err := os.Open(p); !errors.Is(err, fs.ErrNotExist) {
			f.Close()
			return errors.Join(errors.New("open of absent "+name), err)
		}
		if err := unix.Access(p, unix.R_OK); err != unix.ENOENT {
			return errors.Join(errors.New("access of absent "+name), err)
		}
	}
	for name, want := range c.there {
		p := filepath.Join(dir, name)
		fi, err := os.Stat(p)
		if err != nil {
			return err
		}
		if fi.IsDir() != (want == "/") {
			return errors.New(name + " is of the wrong type")
		}
		if want == "/" {
			continue
		}
		if b, err := os.ReadFile(p); err != nil || string(b) != want {
			return errors.Join(errors.New(name+" reads "+string(b)+", want "+want), err)
		}
	}
	return nil
}

// In the order that finds stale entries most easily: each step asks only once, and at once.
func TestCaseOpenAtOnceAfterUnlink(t *testing.T) {
	m := mount(t, setup{})
	for range 200 {
		write(t, m.path("Foo"), "1")
		stats(t, m.path("Foo"))
		must(t, os.Remove(m.path("FOO")))
		if _, err := os.Open(m.path("Foo")); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("open of the listed spelling right after: %v", err)
		}
		write(t, m.path("Foo"), "2")
		stats(t, m.path("Foo"))
		must(t, os.Rename(m.path("FOO"), m.path("Bar")))
		if _, err := os.Stat(m.path("Foo")); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("stat of the listed spelling right after: %v", err)
		}
		must(t, os.Remove(m.path("bar")))
	}
}

// What is removed by another spelling frees its space, though the kernel holds the listed one.
func TestCaseFreesSpace(t *testing.T) {
	m := mount(t, setup{})
	before, err := m.vol.Stat()
	must(t, err)
	for range 20 {
		must(t, os.WriteFile(m.path("Foo"), pattern(1, 100_000), 0o666))
		list(t, m.dir)
		m.released(t)
		must(t, os.Remove(m.path("foo")))
		must(t, os.WriteFile(m.path("Bar"), pattern(1, 100_000), 0o666))
		write(t, m.path("new"), "")
		list(t, m.dir)
		m.released(t)
		must(t, os.Rename(m.path("new"), m.path("bar")))
	}
	must(t, os.Remove(m.path("Bar")))
	eventually(t, "the kernel forgets what is gone", func() bool {
		after, err := m.vol.Stat()
		must(t, err)
		return after.Free == before.Free
	})
}

// A mount inside of ours survives, and names are right all the same.
func TestCaseKeepsMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := mount(t, setup{})
	must(t, os.MkdirAll(m.path("Dir/in"), 0o777))
	must(t, unix.Mount("tmpfs", m.path("Dir/in"), "tmpfs", 0, ""))
	defer unix.Unmount(m.path("Dir/in"), 0)
	write(t, m.path("Dir/in/x"), "of another file system")
	for range 50 {
		write(t, m.path("Foo"), "1")
		stats(t, m.path("Foo"))
		m.released(t)
		must(t, os.Remove(m.path("FOO")))
		gone(t, m.path("Foo"), m.path("FOO"))
		wantContent(t, m.path("Dir/in/x"), "of another file system")
	}
}

// The working directory of a process survives files going by other spellings.
func TestCaseKeepsWorkingDirectory(t *testing.T) {
	m := mount(t, setup{})
	must(t, os.Mkdir(m.path("Dir"), 0o777))
	fd, err := unix.Open(m.path("Dir"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	write(t, m.path("Dir/Foo"), "1")
	stats(t, m.path("Dir/Foo"))
	must(t, os.Rename(m.path("Dir/FOO"), m.path("Dir/Bar")))
	stats(t, m.path("Dir"))
	var st unix.Stat_t
	must(t, unix.Fstatat(fd, "Bar", &st, 0))
	where, err := os.Readlink(filepath.Join("/proc/self/fd", itoa(fd)))
	must(t, err)
	if where != m.path("Dir") {
		t.Errorf("the open directory is %q to the kernel", where)
	}
}

// Names that differ in case only, which check=strict allows, are two files also where case does not matter: what is done to
// the name that a listing shows is done to that file.
func TestCaseOfTwoFiles(t *testing.T) {
	dev := newDevice(t, 32<<20, "-F", "16")
	strict, err := fat.Open(dev, fat.Options{Names: fat.NameOptions{Check: fat.CheckStrict}})
	must(t, err)
	names := []string{"foo long name", "Foo Long Name", "FOO LONG NAME"}
	for _, name := range names {
		n, err := strict.Create(strict.Root(), name, 0)
		must(t, err)
		_, err = n.WriteAt([]byte(name), 0)
		must(t, err)
		n.Release(1)
	}
	must(t, strict.Close())

	m := mount(t, setup{dev: dev})
	for _, name := range names {
		wantContent(t, m.path(name), name)
	}
	m.InvalidateAll()
	for _, name := range list(t, m.dir) {
		wantContent(t, m.path(name), name)
	}
	must(t, os.Rename(m.path(names[1]), m.path("other")))
	wantContent(t, m.path("other"), names[1])
	must(t, os.Remove(m.path(names[2])))
	m.InvalidateAll()
	wantContent(t, m.path("other"), names[1])
	wantContent(t, m.path(names[0]), names[0])
	if left := list(t, m.dir); len(left) != 2 {
		t.Errorf("%q are left", left)
	}
}
