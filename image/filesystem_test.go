package image_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"fatvol/image"
	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

var layouts = []fattest.Layout{
	{Width: 12, Clusters: 2000}, {Width: 16, Clusters: 5000}, {Width: 32, Clusters: 66000},
}

// newFS is an empty file system; it is closed, and its volume checked, at the end of the test.
func newFS(t testing.TB, l fattest.Layout) (*image.FS, *device.Mem) {
	t.Helper()
	mem := fattest.Formatted(t, l)
	f, err := image.NewFS(mem, fat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil && !errors.Is(err, fat.ErrClosed) {
			t.Errorf("close: %v", err)
		}
		r, err := fattest.Check(mem)
		if err == nil {
			err = r.Err()
		}
		if err != nil {
			t.Errorf("check: %v", err)
		}
	})
	return f, mem
}

// contents are files whose names and sizes are of every kind.
func contents() map[string][]byte {
	return map[string][]byte{
		"README.TXT":                       []byte("short name\n"),
		"empty":                            {},
		"a rather long name with spaces.x": bytes.Repeat([]byte("0123456789abcdef"), 1000),
		"dir/lower.txt":                    []byte("x"),
		"dir/ÄÖÜ ß – 日本語.dat":              bytes.Repeat([]byte{7}, 513),
		"dir/😀/deep/down/file[1]":          []byte("brackets"),
		"dir/.hidden":                      []byte("dot"),
		"trailing ~1/NAME~1.TXT":           []byte("tilde"),
	}
}

func fill(t testing.TB, f *image.FS, files map[string][]byte) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := f.MkdirAll(path.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := f.WriteFile(name, files[name], 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFS(t *testing.T) {
	for _, l := range layouts {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			f, mem := newFS(t, l)
			files := contents()
			if err := f.Mkdir("nothing in it", 0o777); err != nil {
				t.Fatal(err)
			}
			fill(t, f, files)
			if err := f.SetAttributes("README.TXT", fat.AttrReadOnly); err != nil {
				t.Fatal(err)
			}
			names := slices.Collect(maps.Keys(files))
			if err := fstest.TestFS(f, append(names, "nothing in it")...); err != nil {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			// The same from the medium, by the engine and by the checker's own decoder.
			again, err := image.NewFS(mem, fat.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if err := fstest.TestFS(again, names...); err != nil {
				t.Error(err)
			}
			sameContents(t, mem, files)
		})
	}
}

// sameContents compares a volume with what it should hold.
func sameContents(t *testing.T, mem fattest.Source, files map[string][]byte) {
	t.Helper()
	r, err := fattest.Check(mem)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range r.Files {
		if file.IsDir {
			continue
		}
		seen++
		got, err := file.Contents()
		if want, ok := files[file.Path]; err != nil || !ok || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes (%v), expected %d", file.Path, len(got), err, len(want))
		}
	}
	if seen != len(files) {
		t.Errorf("%d files on the volume, expected %d", seen, len(files))
	}
}

func TestSub(t *testing.T) {
	f, _ := newFS(t, layouts[0])
	fill(t, f, contents())
	sub, err := iofs.Sub(f, "DIR")
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(sub, "lower.txt", "😀/deep/down/file[1]"); err != nil {
		t.Error(err)
	}
	w := sub.(*image.FS)
	if err := w.WriteFile("new", []byte("new"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := f.ReadFile("dir/new"); string(got) != "new" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := w.Stat("nothing"); err == nil || err.Error() != "stat nothing: file does not exist" {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stat("dir/new"); err != nil {
		t.Errorf("after the close of a sub: %v", err)
	}
	if _, err := f.Sub("README.TXT"); !errors.Is(err, fat.ErrNotDir) {
		t.Errorf("sub of a file: %v", err)
	}
}

// TestNamesInAnySpelling: case, alias, and what is shown for them.
func TestNamesInAnySpelling(t *testing.T) {
	f, _ := newFS(t, layouts[1])
	if err := f.WriteFile("A long Name.text", []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a LONG name.TEXT", "ALONGN~1.TEX", "A long Name.text"} {
		info, err := f.Stat(name)
		if err != nil || info.Name() != "A long Name.text" {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	info, err := f.Stat("a long name.text")
	if err != nil {
		t.Fatal(err)
	}
	if a := info.Sys().(*image.FileAttr); a.ShortName != "ALONGN~1.TEX" || a.Attributes != fat.AttrArchive {
		t.Errorf("%+v", a)
	}
	if err := f.WriteFile("A LONG NAME.TEXT", []byte("new"), 0o666); err != nil {
		t.Fatal(err)
	}
	if list, err := f.ReadDir("."); err != nil || len(list) != 1 || list[0].Name() != "A long Name.text" {
		t.Errorf("a file that is replaced keeps its spelling: %v, %v", list, err)
	}
	if err := f.Rename("a long name.text", "A LONG NAME.TEXT"); err != nil {
		t.Fatal(err)
	}
	if list, err := f.ReadDir("."); err != nil || len(list) != 1 || list[0].Name() != "A LONG NAME.TEXT" {
		t.Errorf("after a rename to another spelling: %v, %v", list, err)
	}
}

// TestErrors: causes can be told apart, and messages say what and which.
func TestErrors(t *testing.T) {
	f, _ := newFS(t, layouts[0])
	fill(t, f, map[string][]byte{"file": []byte("contents"), "dir/below": nil, "locked": []byte("kept")})
	if err := f.SetAttributes("locked", fat.AttrReadOnly); err != nil {
		t.Fatal(err)
	}
	open := func(name string, flag int) func() error {
		return func() error {
			file, err := f.OpenFile(name, flag, 0o666)
			if err == nil {
				file.Close()
			}
			return err
		}
	}
	file, err := f.OpenFile("file", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		do   func() error
		want error
		text string
	}{
		{"open nothing", open("nothing", os.O_RDONLY), iofs.ErrNotExist, "open nothing: file does not exist"},
		{"open below nothing", open("no/thing", os.O_RDWR|os.O_CREATE), iofs.ErrNotExist, "open no/thing: file does not exist"},
		{"open below a file", open("file/x", os.O_RDONLY), fat.ErrNotDir, "open file/x: not a directory"},
		{"create below a file", open("file/x", os.O_RDWR|os.O_CREATE), fat.ErrNotDir, "open file/x: not a directory"},
		{"create what is there", open("FILE", os.O_RDWR|os.O_CREATE|os.O_EXCL), iofs.ErrExist, "open FILE: file already exists"},
		{"create a directory", open("dir", os.O_RDWR|os.O_CREATE), fat.ErrIsDir, "open dir: is a directory"},
		{"create the root", open(".", os.O_RDWR|os.O_CREATE), iofs.ErrInvalid, "open .: invalid argument"},
		{"create by a bad path", open("../x", os.O_RDWR|os.O_CREATE), iofs.ErrInvalid, "open ../x: invalid argument"},
		{"write to a directory", open("dir", os.O_RDWR), fat.ErrIsDir, "open dir: is a directory"},
		{"write what is read-only", open("locked", os.O_RDWR), iofs.ErrPermission, "open locked: has the read-only attribute: permission denied"},
		{"replace what is read-only", func() error { return f.WriteFile("locked", nil, 0o666) }, iofs.ErrPermission, "write locked: has the read-only attribute: permission denied"},
		{"replace a directory", func() error { return f.WriteFile("dir", nil, 0o666) }, fat.ErrIsDir, "write dir: is a directory"},
		{"write an impossible name", func() error { return f.WriteFile("a?b", nil, 0o666) }, fat.ErrName, ""},
		{"write too long a name", func() error { return f.WriteFile(strings.Repeat("x", 256), nil, 0o666) }, fat.ErrNameTooLong, ""},
		{"mkdir again", func() error { return f.Mkdir("DIR", 0o777) }, iofs.ErrExist, "mkdir DIR: file already exists"},
		{"mkdir the root", func() error { return f.Mkdir(".", 0o777) }, iofs.ErrInvalid, ""},
		{"mkdir over a file", func() error { return f.MkdirAll("file/sub", 0o777) }, fat.ErrNotDir, "mkdir file/sub: not a directory"},
		{"remove nothing", func() error { return f.Remove("nothing") }, iofs.ErrNotExist, "remove nothing: file does not exist"},
		{"remove what is full", func() error { return f.Remove("dir") }, fat.ErrNotEmpty, "remove dir: directory not empty"},
		{"remove the root", func() error { return f.Remove(".") }, iofs.ErrInvalid, ""},
		{"rename nothing", func() error { return f.Rename("nothing", "x") }, iofs.ErrNotExist, "rename nothing x: "},
		{"rename into itself", func() error { return f.Rename("dir", "dir/x") }, fat.ErrLoop, ""},
		{"list a file", func() error { _, err := f.ReadDir("file"); return err }, fat.ErrNotDir, "readdir file: not a directory"},
		{"write what was opened to read", func() error { _, err := file.Write([]byte("x")); return err }, iofs.ErrPermission, ""},
		{"seek before the start", func() error { _, err := file.Seek(-1, io.SeekStart); return err }, iofs.ErrInvalid, ""},
		{"grow beyond what FAT has", func() error {
			w, err := f.Create("big")
			if err != nil {
				return err
			}
			defer f.Remove("big")
			defer w.Close()
			_, err = w.WriteAt([]byte("x"), fat.MaxFileSize)
			return err
		}, fat.ErrTooBig, "write big: file too large for FAT"},
	} {
		err := c.do()
		if !errors.Is(err, c.want) || !strings.HasPrefix(fmt.Sprint(err), c.text) {
			t.Errorf("%s: %v, expected %v (%s)", c.name, err, c.want, c.text)
		}
	}
	if err := f.RemoveAll("nothing/at/all"); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Stat(); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("stat after close: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stat("file"); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("stat after the end: %v", err)
	}
}

// TestFileIsOneOfOS does to a file of an image and to one of the system the same.
func TestFileIsOneOfOS(t *testing.T) {
	f, _ := newFS(t, layouts[1])
	type anyFile interface {
		io.ReadWriteSeeker
		io.ReaderAt
		io.WriterAt
		io.StringWriter
		Truncate(int64) error
		Close() error
	}
	type withString struct {
		*image.File
		io.StringWriter
	}
	run := func(open func(name string, flag int) (anyFile, error)) (log []string) {
		say := func(what string, n any, err error) {
			end := errors.Is(err, io.EOF)
			log = append(log, fmt.Sprintf("%s: %v %t %t", what, n, err == nil, end))
		}
		w, err := open("file", os.O_RDWR|os.O_CREATE)
		say("open", 0, err)
		n, err := w.WriteString("hello world")
		say("write", n, err)
		off, err := w.Seek(-5, io.SeekEnd)
		say("seek", off, err)
		buf := make([]byte, 20)
		n, err = w.Read(buf)
		say("read", string(buf[:n]), err)
		n, err = w.Read(buf)
		say("read at the end", n, err)
		n, err = w.ReadAt(buf, 6)
		say("read at", string(buf[:n]), err)
		n, err = w.WriteAt([]byte("W"), 6)
		say("write at", n, err)
		say("truncate", 0, w.Truncate(3000))
		off, err = w.Seek(0, io.SeekCurrent)
		say("where", off, err)
		say("close", 0, w.Close())
		say("close again", 0, w.Close())
		a, err := open("file", os.O_WRONLY|os.O_APPEND)
		say("open to append", 0, err)
		n, err = a.WriteString("!")
		say("append", n, err)
		_, err = a.WriteAt([]byte("x"), 0)
		say("write at, appending", 0, err)
		_, err = a.Read(buf)
		say("read what is for writing", 0, err)
		say("close", 0, a.Close())
		r, err := open("file", os.O_RDONLY)
		say("open to read", 0, err)
		all, err := io.ReadAll(r)
		say("all", string(all), err)
		_, err = r.Seek(2, io.SeekStart)
		say("seek", 0, err)
		var b bytes.Buffer
		m, err := io.Copy(&b, r)
		say("copy", fmt.Sprint(m, b.Len()), err)
		say("truncate what is for reading", 0, r.Truncate(0))
		say("close", 0, r.Close())
		return log
	}
	dir := t.TempDir()
	want := run(func(name string, flag int) (anyFile, error) { return os.OpenFile(path.Join(dir, name), flag, 0o666) })
	got := run(func(name string, flag int) (anyFile, error) {
		file, err := f.OpenFile(name, flag, 0o666)
		return withString{file, stringWriter{file}}, err
	})
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

type stringWriter struct{ w io.Writer }

func (s stringWriter) WriteString(text string) (int, error) { return io.WriteString(s.w, text) }

func TestTimesAndAttributes(t *testing.T) {
	f, mem := newFS(t, layouts[2])
	fill(t, f, map[string][]byte{"dir/file": []byte("x")})
	mod := time.Date(2001, 2, 3, 4, 5, 7, 0, time.Local)
	made := time.Date(1999, 12, 31, 23, 59, 59, 0, time.Local)
	if err := errors.Join(
		f.Chtimes("dir/file", time.Time{}, mod),
		f.SetCreated("dir/file", made),
		f.SetAttributes("dir/file", fat.AttrHidden|fat.AttrSystem|fat.AttrDirectory),
		f.SetLabel("A LABEL"),
	); err != nil {
		t.Fatal(err)
	}
	// New contents come with times of their own, and with the rest of the old file.
	if err := f.WriteFile("dir/file", []byte("new"), 0o666); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat("dir/file")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Chtimes("dir", mod, mod); err != nil {
		t.Fatal(err)
	}
	a := info.Sys().(*image.FileAttr)
	if !a.Created.Equal(made) || a.Attributes != fat.AttrHidden|fat.AttrSystem|fat.AttrArchive || info.ModTime().Year() == 2001 {
		t.Errorf("%+v", a)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := image.NewFS(mem, fat.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if info, err := again.Stat("dir"); err != nil || !info.ModTime().Before(mod) || mod.Sub(info.ModTime()) >= 2*time.Second {
		t.Errorf("%v, %v", info, err)
	}
	if label, err := again.Label(); label != "A LABEL" || err != nil {
		t.Errorf("label %q, %v", label, err)
	}
	if err := again.WriteFile("x", nil, 0o666); !errors.Is(err, fat.ErrReadOnly) || !again.ReadOnly() {
		t.Errorf("write: %v", err)
	}
}

// TestDraft: the old file is there until the new one is, and nothing is left of what is given up.
func TestDraft(t *testing.T) {
	f, _ := newFS(t, layouts[0])
	fill(t, f, map[string][]byte{"file": []byte("old")})
	d, err := f.Draft("file", 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(d, strings.NewReader("new contents")); err != nil {
		t.Fatal(err)
	}
	if got, _ := f.ReadFile("file"); string(got) != "old" {
		t.Errorf("before the commit: %q", got)
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := d.Discard(); err != nil {
		t.Errorf("discard after commit: %v", err)
	}
	if err := d.Commit(); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("commit again: %v", err)
	}
	for _, fail := range []func(d *image.Draft) error{
		(*image.Draft).Discard,
		func(d *image.Draft) error { // what does not fit
			_, err := d.ReadFrom(io.LimitReader(zeros{}, 2<<20))
			if !errors.Is(err, fat.ErrNoSpace) {
				return fmt.Errorf("too much for the volume: %w", err)
			}
			return d.Discard()
		},
		func(d *image.Draft) error { // what is closed can still be given up
			return errors.Join(d.Close(), d.Discard())
		},
	} {
		if d, err = f.Draft("file", 0o666); err != nil {
			t.Fatal(err)
		}
		if err := fail(d); err != nil {
			t.Error(err)
		}
	}
	list, err := f.ReadDir(".")
	if got, _ := f.ReadFile("file"); err != nil || len(list) != 1 || string(got) != "new contents" {
		t.Errorf("%v, %v, %q", list, err, got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestConcurrentUse: many users of one file system, and of one file; the race detector watches.
func TestConcurrentUse(t *testing.T) {
	f, _ := newFS(t, layouts[1])
	fill(t, f, map[string][]byte{"shared": bytes.Repeat([]byte("s"), 3000)})
	shared, err := f.OpenFile("shared", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			dir := fmt.Sprintf("dir %d", i)
			data := bytes.Repeat([]byte{byte(i)}, 700*i)
			err := f.Mkdir(dir, 0o777)
			for round := range 20 {
				name := path.Join(dir, fmt.Sprint("file ", round%3))
				err = errors.Join(err, f.WriteFile(name, data, 0o666), f.WriteFile("everybody's", data, 0o666))
				got, readErr := f.ReadFile(name)
				if err = errors.Join(err, readErr); err == nil && !bytes.Equal(got, data) {
					err = fmt.Errorf("%s: %d bytes read, %d written", name, len(got), len(data))
				}
				var b [100]byte
				_, readErr = shared.Read(b[:])
				_, seekErr := shared.Seek(int64(round), io.SeekStart)
				_, listErr := f.ReadDir(".")
				err = errors.Join(err, readErr, seekErr, listErr, f.Rename(name, name+" moved"))
			}
			if err = errors.Join(err, f.RemoveAll(dir)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := f.ReadDir("."); err != nil || len(list) != 2 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// TestOpenImage: the file system of an image on the host, with what Open adds.
func TestOpenImage(t *testing.T) {
	mem := fattest.Formatted(t, layouts[1])
	file := path.Join(t.TempDir(), "disk.img")
	raw := make([]byte, mem.Size())
	if _, err := mem.ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := image.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WriteFile("file", []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := image.Open(file, image.ReadOnly()); !errors.Is(err, image.ErrLocked) {
		t.Errorf("a second time: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("close again: %v", err)
	}
	a, err := image.Open(file, image.ReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := image.Open(file, image.ReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got, err := b.ReadFile("FILE"); string(got) != "x" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := image.Open(file, image.ReadOnly(), image.InPartition("2")); !errors.Is(err, image.ErrNoPartition) {
		t.Errorf("partition 2: %v", err)
	}
	if err := os.WriteFile(file+".txt", make([]byte, 10000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := image.Open(file + ".txt"); !errors.Is(err, image.ErrNoVolume) && !errors.Is(err, syscall.EINVAL) {
		t.Errorf("no image: %v", err)
	}
}
