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

var caseTests = []caseTest{
	{
		name: "create, stat otherwise, unlink by a third spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			stats(t, p("FOO"), p("Foo"), p("foo"))
			must(t, os.Remove(p("foo")))
		},
		absent: []string{"Foo", "FOO", "foo"},
	},
	{
		name: "a name that was absent by every spelling is there by every spelling once created",
		steps: func(t *testing.T, p func(string) string) {
			gone(t, p("Foo"), p("FOO"), p("foo"))
			write(t, p("Foo"), "1")
		},
		there:  map[string]string{"Foo": "1", "FOO": "1", "foo": "1"},
		listed: []string{"Foo"},
	},
	{
		name: "unlink otherwise after a listing with attributes",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			list(t, p("."))
			stats(t, p("Foo"))
			must(t, os.Remove(p("FOO")))
		},
		absent: []string{"Foo", "FOO"},
	},
	{
		name: "unlink otherwise, create the listed spelling anew",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "old")
			stats(t, p("Foo"))
			must(t, os.Remove(p("foo")))
			write(t, p("Foo"), "new!")
		},
		there:  map[string]string{"Foo": "new!", "foo": "new!", "FOO": "new!"},
		listed: []string{"Foo"},
	},
	{
		name: "unlink otherwise, create another spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "old")
			stats(t, p("Foo"), p("FOO"))
			must(t, os.Remove(p("FOO")))
			write(t, p("fOO"), "new")
		},
		there:  map[string]string{"Foo": "new", "fOO": "new"},
		listed: []string{"fOO"},
	},
	{
		name: "unlink otherwise while it is open",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			f, err := os.OpenFile(p("Foo"), os.O_RDWR, 0)
			must(t, err)
			t.Cleanup(func() { f.Close() })
			must(t, os.Remove(p("foo")))
			if _, err := f.WriteString("still"); err != nil {
				t.Error(err)
			}
			fi, err := f.Stat()
			must(t, err)
			if fi.Size() != 5 {
				t.Errorf("the open file has %d bytes, want 5", fi.Size())
			}
		},
		absent: []string{"Foo", "foo"},
	},
	{
		name: "exclusive create fails by every spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			for _, n := range []string{"Foo", "foo", "FOO"} {
				_, err := os.OpenFile(p(n), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
				wantErrno(t, n, err, unix.EEXIST)
			}
			wantErrno(t, "mkdir", os.Mkdir(p("fOo"), 0o777), unix.EEXIST)
		},
		there:  map[string]string{"Foo": "1"},
		listed: []string{"Foo"},
	},
	{
		name: "truncating open by another spelling hits the same file",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "long content")
			stats(t, p("Foo"))
			write(t, p("FOO"), "short")
		},
		there:  map[string]string{"Foo": "short", "FOO": "short"},
		listed: []string{"Foo"},
	},
	{
		name: "rename away by another spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			stats(t, p("Foo"), p("foo"))
			must(t, os.Rename(p("foo"), p("Bar")))
		},
		there:  map[string]string{"Bar": "1", "bar": "1"},
		absent: []string{"Foo", "foo", "FOO"},
		listed: []string{"Bar"},
	},
	{
		name: "rename onto another spelling of an existing file",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "victim")
			write(t, p("Bar"), "1")
			stats(t, p("Foo"), p("Bar"))
			must(t, os.Rename(p("Bar"), p("FOO")))
		},
		there:  map[string]string{"Foo": "1", "FOO": "1", "foo": "1"},
		absent: []string{"Bar", "bar"},
	},
	{
		name: "rename onto another spelling, then unlink by the first",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "victim")
			write(t, p("Bar"), "1")
			stats(t, p("Foo"), p("Bar"))
			must(t, os.Rename(p("Bar"), p("FOO")))
			stats(t, p("FOO"))
			must(t, os.Remove(p("Foo")))
		},
		absent: []string{"Foo", "FOO", "Bar"},
	},
	{
		name: "rename onto a victim that is open",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "victim")
			write(t, p("Bar"), "1")
			f, err := os.Open(p("Foo"))
			must(t, err)
			t.Cleanup(func() { f.Close() })
			must(t, os.Rename(p("Bar"), p("foo")))
			b := make([]byte, 10)
			if n, _ := f.Read(b); string(b[:n]) != "victim" {
				t.Errorf("the open victim reads %q", b[:n])
			}
		},
		there:  map[string]string{"Foo": "1", "foo": "1"},
		absent: []string{"Bar"},
	},
	{
		name: "exchange by other spellings",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "foo")
			write(t, p("Bar"), "bar")
			stats(t, p("Foo"), p("Bar"))
			must(t, unix.Renameat2(unix.AT_FDCWD, p("FOO"), unix.AT_FDCWD, p("BAR"), unix.RENAME_EXCHANGE))
		},
		there:  map[string]string{"Foo": "bar", "FOO": "bar", "Bar": "foo", "BAR": "foo"},
		listed: []string{"Bar", "Foo"},
	},
	{
		name: "noreplace fails on another spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "foo")
			write(t, p("Bar"), "bar")
			err := unix.Renameat2(unix.AT_FDCWD, p("Bar"), unix.AT_FDCWD, p("FOO"), unix.RENAME_NOREPLACE)
			wantErrno(t, "rename", err, unix.EEXIST)
		},
		there: map[string]string{"Foo": "foo", "Bar": "bar"},
	},
	{
		name: "directory removed by another spelling",
		steps: func(t *testing.T, p func(string) string) {
			must(t, os.Mkdir(p("Dir"), 0o777))
			stats(t, p("Dir"), p("DIR"), p("Dir"))
			must(t, os.Remove(p("dir")))
		},
		absent: []string{"Dir", "DIR", "dir"},
	},
	{
		name: "directory renamed by another spelling, with things in it",
		steps: func(t *testing.T, p func(string) string) {
			must(t, os.Mkdir(p("Dir"), 0o777))
			write(t, p("Dir/File"), "1")
			stats(t, p("Dir/File"), p("DIR/FILE"), p("Dir"))
			must(t, os.Rename(p("dir"), p("Other")))
		},
		there:  map[string]string{"Other": "/", "OTHER": "/", "Other/File": "1", "other/file": "1"},
		absent: []string{"Dir", "DIR", "dir", "Dir/File"},
		listed: []string{"Other"},
	},
	{
		name: "directory recreated",
		steps: func(t *testing.T, p func(string) string) {
			must(t, os.Mkdir(p("Dir"), 0o777))
			write(t, p("Dir/File"), "1")
			stats(t, p("DIR/file"))
			must(t, os.RemoveAll(p("DIR")))
			must(t, os.Mkdir(p("dir"), 0o777))
		},
		there:  map[string]string{"dir": "/", "Dir": "/"},
		absent: []string{"Dir/File", "dir/file"},
		listed: []string{"dir"},
	},
	{
		name: "8.3 alias of a long name",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("A rather long name.text"), "1")
			stats(t, p("A rather long name.text"), p("ARATHE~1.TEX"))
			must(t, os.Remove(p("ARATHE~1.TEX")))
		},
		absent: []string{"A rather long name.text", "ARATHE~1.TEX"},
	},
	{
		name: "decomposed and composed forms of a name",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("cafe\u0301"), "1")
			stats(t, p("caf\u00e9"), p("cafe\u0301"), p("CAF\u00c9"))
			must(t, os.Remove(p("cafe\u0301")))
		},
		absent: []string{"caf\u00e9", "cafe\u0301"},
	},
	{
		name: "renamed to a decomposed name, removed by the composed one",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			stats(t, p("Foo"))
			must(t, os.Rename(p("Foo"), p("cafe\u0301")))
			stats(t, p("cafe\u0301"), p("caf\u00e9"))
			must(t, os.Remove(p("caf\u00e9")))
		},
		absent: []string{"caf\u00e9", "cafe\u0301", "Foo"},
	},
	{
		name: "created by a decomposed name, renamed by the composed one",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("cafe\u0301"), "1")
			must(t, os.Rename(p("caf\u00e9"), p("Tea")))
		},
		there:  map[string]string{"Tea": "1"},
		absent: []string{"caf\u00e9", "cafe\u0301"},
		listed: []string{"Tea"},
	},
	{
		name: "renamed between directories by other spellings",
		steps: func(t *testing.T, p func(string) string) {
			must(t, os.Mkdir(p("A"), 0o777))
			must(t, os.Mkdir(p("B"), 0o777))
			write(t, p("A/Foo"), "1")
			write(t, p("B/Foo"), "2")
			stats(t, p("A/Foo"), p("B/Foo"))
			must(t, os.Rename(p("a/FOO"), p("b/FOO")))
		},
		there:  map[string]string{"B/Foo": "1", "b/FOO": "1", "B/foo": "1"},
		absent: []string{"A/Foo", "a/foo", "A/FOO"},
	},
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
