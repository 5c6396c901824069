//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// content is what a store holds before a row begins.
type content struct {
	file int64 // bytes of a file
	dir  int   // files in a directory
	tree bool  // what untar makes
	huge bool  // 32 GiB, sparse
}

const (
	imageSize     = 2 << 30
	hugeImageSize = 32 << 30
	clusterSize   = 4096

	fileName = "file.bin"
	dirName  = "directory"
	treeName = "tree"
)

// entryName is the name of the i-th file of a directory. It takes two slots, so that 30 000 fit, and an alias
// that begins as those of all others do.
func entryName(i int) string { return fmt.Sprintf("file-%06d", i) }

// count is a name with a number.
func count(name string, n int) string {
	if name[len(name)-1] == ',' {
		return name + " " + strconv.Itoa(n)
	}
	return name + "-" + strconv.Itoa(n)
}

// fill makes the content below dir.
func (c content) fill(dir, archive string) error {
	if c.file > 0 {
		if err := writeFile(filepath.Join(dir, fileName), c.file); err != nil {
			return err
		}
	}
	if c.dir > 0 {
		sub := filepath.Join(dir, dirName)
		if err := os.Mkdir(sub, 0o777); err != nil {
			return err
		}
		for i := range c.dir {
			if err := touch(filepath.Join(sub, entryName(i))); err != nil {
				return err
			}
		}
	}
	if c.tree {
		return untar(dir, archive)
	}
	return nil
}

func touch(name string) error {
	fd, err := unix.Open(name, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o666)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return unix.Close(fd)
}

// block is what files are filled with: nothing that any layer could make short.
var block = func() []byte {
	p := aligned(1 << 20)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(p)
	return p
}()

// aligned returns n bytes as O_DIRECT wants them.
func aligned(n int) []byte {
	p, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(err) // no memory
	}
	return p
}

func writeFile(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for off := int64(0); off < size; off += int64(len(block)) {
		if _, err := f.Write(block[:min(size-off, int64(len(block)))]); err != nil {
			f.Close()
			return err
		}
	}
	return f.Close()
}

// makeArchive makes what untar unpacks: files files in a tree, of sizes as those of sources are.
func makeArchive(files int) ([]byte, error) {
	const perDir, mean = 30, 41_000_000 / 3000
	rng := rand.New(rand.NewPCG(7, 7))
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	stamp := time.Unix(1_700_000_000, 0)
	for i := range files {
		if i%perDir == 0 {
			name := fmt.Sprintf("%s/module%03d/", treeName, i/perDir)
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: stamp}); err != nil {
				return nil, err
			}
		}
		name := fmt.Sprintf("%s/module%03d/source file %04d.go", treeName, i/perDir, i)
		size := min(int64(rng.ExpFloat64()*mean), int64(len(block)))
		if err := w.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644, ModTime: stamp}); err != nil {
			return nil, err
		}
		if _, err := w.Write(block[:size]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// untar unpacks the archive, a file: through a pipe, tar would write what the pipe happens to bring.
func untar(dir, archive string) error {
	err := runQuiet(exec.Command("tar", "-x", "--no-same-owner", "-f", archive, "-C", dir))
	if err != nil {
		return fmt.Errorf("%w: %w", errTar, err)
	}
	return nil
}

// errTar is what untar returns when tar was not content with something.
var errTar = errors.New("tar")

func runQuiet(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Path, err, bytes.TrimSpace(out))
	}
	return nil
}

// A storeKey says which stores are the same.
type storeKey struct {
	image, disk bool
	content     content
}

// newStore makes a store with the row's content for the system: an image, or a directory. What several runs
// can use is made once. done removes what they cannot.
func (b *bench) newStore(s *system, r *row) (path string, done func(), err error) {
	key := storeKey{s.image, r.disk, r.content}
	proto := b.stores[key]
	if proto == "" {
		if proto, err = b.makeStore(key); err != nil {
			return "", nil, fmt.Errorf("make a store for %s: %w", r.name, err)
		}
		b.stores[key] = proto
	}
	if !r.changes {
		return proto, func() {}, nil
	}
	path = proto + ".run"
	if s.image {
		err = copySparse(path, proto)
	} else {
		err = runQuiet(exec.Command("cp", "-r", proto, path))
	}
	if err == nil && r.disk {
		unix.Sync() // what was prepared is not to be written back while the row runs
	}
	return path, func() { os.RemoveAll(path) }, err
}

func (b *bench) makeStore(key storeKey) (path string, err error) {
	base := b.memory
	if key.disk {
		base = b.disk
	}
	b.made++
	path = filepath.Join(base, fmt.Sprintf("store%d", b.made))
	if key.image {
		return path, b.makeImage(path, key.content)
	}
	return path, errors.Join(os.Mkdir(path, 0o777), key.content.fill(path, b.archive))
}

// keepStores removes all stores that the row cannot use: they are large.
func (b *bench) keepStores(r *row) {
	for key, path := range b.stores {
		if key.disk != r.disk || key.content != r.content {
			os.RemoveAll(path)
			delete(b.stores, key)
		}
	}
}

// makeImage formats an image and, with fatvol, fills it.
func (b *bench) makeImage(path string, c content) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	size := int64(imageSize)
	if c.huge {
		size = hugeImageSize
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	if err := runQuiet(exec.Command("mkfs.fat", "-F", "32", "-s", strconv.Itoa(clusterSize/512), path)); err != nil {
		return err
	}
	if c == (content{}) || c.huge {
		return nil
	}
	dir, err := os.MkdirTemp(b.work, "fill")
	if err != nil {
		return err
	}
	s, err := fatvol()(b, path, dir)
	if err != nil {
		return err
	}
	return errors.Join(c.fill(dir, b.archive), s.stop(), os.Remove(dir))
}

// copySparse copies a file without its holes.
func copySparse(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	size, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Truncate(size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		start, err := in.Seek(at, unix.SEEK_DATA)
		if err != nil {
			break // only a hole is left
		}
		end, err := in.Seek(start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, start), io.NewSectionReader(in, start, end-start)); err != nil {
			return err
		}
		at = end
	}
	return nil
}
