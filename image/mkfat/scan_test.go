package mkfat

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// archive makes a tar archive of the headers; contents are the name of each file, as often as it takes.
func archive(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(contents(file(h.Name, int(h.Size)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var tarSample = []tar.Header{
	{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: testTime},
	{Name: "./dir/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: testTime},
	{Name: "dir/file", Size: 100000, Typeflag: tar.TypeReg, ModTime: testTime},
	{Name: "no directory entry/x", Size: 10, Typeflag: tar.TypeReg, ModTime: testTime},
	{Name: "hard", Linkname: "./dir/file", Typeflag: tar.TypeLink},
	{Name: "../outside", Size: 3, Typeflag: tar.TypeReg, ModTime: testTime},
	{Name: "twice", Size: 5, Typeflag: tar.TypeReg}, {Name: "twice", Size: 7, Typeflag: tar.TypeReg, Mode: 0o444},
}

func checkSample(t *testing.T, root *Node) {
	t.Helper()
	_, _, r := build(t, root, Options{Size: 16 << 20})
	for path, size := range map[string]int64{"dir/file": 100000, "no directory entry/x": 10, "hard": 100000, "outside": 3, "twice": 7} {
		f := r.Find(path)
		if f == nil || f.Size != size {
			t.Errorf("%q: %+v", path, f)
			continue
		}
		name := path
		switch path {
		case "hard":
			name = "dir/file"
		case "outside":
			name = "../outside"
		}
		if got, err := f.Contents(); err != nil || !bytes.Equal(got, contents(file(name, int(size)))) {
			t.Errorf("%q has other contents: %v", path, err)
		}
	}
	if len(r.Files) != 7 {
		t.Errorf("%d files and directories", len(r.Files))
	}
	if f := r.Find("twice"); f != nil && f.Attr&1 == 0 {
		t.Error("a file that nobody may write to is not read-only")
	}
}

// archiveFile is an open file with the contents.
func archiveFile(t *testing.T, data []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestScanTar(t *testing.T) {
	plain := archive(t, tarSample...)
	pack := map[string]func(w io.Writer) (io.WriteCloser, error){
		"tar.gz":  func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"tar.zst": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
		"tar.xz":  func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
		"tar":     nil,
	}
	for ext, packer := range pack {
		data := plain
		if packer != nil {
			var b bytes.Buffer
			w, err := packer(&b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(plain); err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			data = b.Bytes()
		}
		f := archiveFile(t, data)
		for name, r := range map[string]io.Reader{"file": f, "stream": bytes.NewReader(data)} {
			t.Run(ext+" "+name, func(t *testing.T) {
				spool := NewSpool(t.TempDir())
				defer spool.Close()
				root, err := ScanTar(r, spool, ScanOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if indexed := spool.size == 0; indexed != (ext == "tar" && name == "file") {
					t.Errorf("%d bytes were spooled", spool.size)
				}
				checkSample(t, root)
			})
		}
		// Cut anywhere, it is an error.
		for cut := 0; cut < len(data)-2*tarBlock; cut += 1 + len(data)/40 {
			spool := NewSpool(t.TempDir())
			if _, err := ScanTar(bytes.NewReader(data[:cut]), spool, ScanOptions{}); err == nil {
				t.Errorf("%s cut at %d is a tree", ext, cut)
			}
			spool.Close()
		}
	}
}

func TestScanTarOfPrograms(t *testing.T) {
	needTools(t, "tar")
	dir := t.TempDir()
	long := strings.Repeat("long-", 30)
	sparse := filepath.Join(dir, "sparse")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, long), []byte("long"), 0o644), os.WriteFile(sparse, []byte("begin"), 0o644), os.Truncate(sparse, 1<<20)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--format=gnu"}, {"--format=gnu", "-S"}, {"--format=pax", "-S"}, {"--format=pax"}, {"--format=ustar"}} {
		path := filepath.Join(t.TempDir(), "a.tar")
		if out, err := exec.Command("tar", append(args, "-C", dir, "-cf", path, ".")...).CombinedOutput(); err != nil {
			if args[0] == "--format=ustar" {
				continue // it has no long names
			}
			t.Fatalf("tar: %v\n%s", err, out)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		spool := NewSpool(t.TempDir())
		defer spool.Close()
		root, err := ScanTar(f, spool, ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, _, r := build(t, root, Options{Size: 16 << 20})
		if f := r.Find("sparse"); f == nil || f.Size != 1<<20 {
			t.Errorf("%q: %+v", args, f)
		} else if b, err := f.Contents(); err != nil || string(b[:6]) != "begin\x00" {
			t.Errorf("%q: %q, %v", args, b[:6], err)
		}
		if r.Find(long) == nil || len(r.Files) != 2 {
			t.Errorf("%q: %d files", args, len(r.Files))
		}
	}
}

func TestScanTarLinks(t *testing.T) {
	data := archive(t,
		tar.Header{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o755}, tar.Header{Name: "dir/f", Size: 9, Typeflag: tar.TypeReg},
		tar.Header{Name: "dir/up", Linkname: "../top", Typeflag: tar.TypeSymlink}, tar.Header{Name: "top", Size: 4, Typeflag: tar.TypeReg},
		tar.Header{Name: "all", Linkname: "dir", Typeflag: tar.TypeSymlink}, tar.Header{Name: "dir/loop", Linkname: ".", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "a", Linkname: "b", Typeflag: tar.TypeSymlink}, tar.Header{Name: "b", Linkname: "a", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "out", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}, tar.Header{Name: "out2", Linkname: "../../x", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "none", Linkname: "missing", Typeflag: tar.TypeSymlink}, tar.Header{Name: "fifo", Typeflag: tar.TypeFifo},
		tar.Header{Name: "hard", Linkname: "later", Typeflag: tar.TypeLink})
	for follow, want := range map[bool]struct{ refused, stored int }{false: {10, 3}, true: {9, 7}} {
		spool := NewSpool(t.TempDir())
		defer spool.Close()
		root, err := ScanTar(bytes.NewReader(data), spool, ScanOptions{Follow: follow})
		if err != nil {
			t.Fatal(err)
		}
		p, _, r := build(t, root, Options{Size: 16 << 20, Skip: true})
		if len(r.Files) != want.stored || len(p.Skipped) != want.refused {
			t.Errorf("follow %v: %d stored, left out: %v", follow, len(r.Files), p.Skipped)
			for _, f := range r.Files {
				t.Log(f.Path)
			}
		}
		if follow && (r.Find("all/f") == nil || r.Find("all/up") == nil || r.Find("dir/up").Size != 4) {
			t.Error("links were not followed")
		}
	}
}

func TestScanDir(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.Mkdir(in("sub"), 0o755), os.WriteFile(in("sub/file"), []byte("contents"), 0o444), os.Symlink("sub", in("link")), os.Symlink("..", in("sub/loop")),
		os.Symlink("none", in("dangling")), os.WriteFile(in("image"), []byte("x"), 0o644), os.Link(in("sub/file"), in("hard"))); err != nil {
		t.Fatal(err)
	}
	except, err := os.Stat(in("image"))
	if err != nil {
		t.Fatal(err)
	}
	for follow, want := range map[bool]struct{ refused, stored int }{false: {3, 3}, true: {3, 5}} {
		root, err := ScanDir(dir, ScanOptions{Follow: follow, Except: except})
		if err != nil {
			t.Fatal(err)
		}
		p, _, r := build(t, root, Options{Skip: true})
		if len(r.Files) != want.stored || len(p.Skipped) != want.refused {
			t.Errorf("follow %v: %d stored, left out: %v", follow, len(r.Files), p.Skipped)
		}
		for _, s := range p.Skipped {
			if !IsSymlink(s.Err) && !errors.Is(s.Err, errLoop) {
				t.Errorf("%+v", s)
			}
		}
		if f := r.Find("hard"); f == nil || f.Size != 8 || f.Attr&1 == 0 {
			t.Errorf("%+v", f)
		}
	}
}
