package main

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"strings"

	"fatvol/image/fat"
)

// A copier copies files and trees between volumes and the host, for cp and mv.
type copier struct {
	*job
	recursive, noClobber, follow, verbose bool

	progress *progress
	made     map[location]string // what this command has written: what stands there, under which name
	above    []iofs.FileInfo     // directories that are being copied, where links are followed
	buf      []byte
}

// copyBuffer is the size of the pieces in which files are copied, in bytes.
const copyBuffer = 1 << 20

// copy copies what is at src to dst, and reports whether all of it is there. What went wrong is said.
func (c *copier) copy(src, dst location) bool {
	info, err := src.tree.Stat(src.name)
	if err != nil {
		c.failAt(src, err)
		return false
	}
	return c.copyInfo(src, info, dst)
}

func (c *copier) copyInfo(src location, info iofs.FileInfo, dst location) bool {
	switch {
	case c.ctx.Err() != nil:
		return false
	case info.IsDir() && !c.recursive:
		c.failAt(src, errors.New("is a directory: -r copies it with all that is in it"))
		return false
	case info.IsDir():
		return c.copyDir(src, info, dst)
	case info.Mode()&(iofs.ModeDevice|iofs.ModeSocket|iofs.ModeNamedPipe|iofs.ModeIrregular) != 0 && len(c.above) > 0:
		c.failAt(src, errors.New("neither a file nor a directory: FAT cannot hold it"))
		return false
	}
	done, err := c.copyFile(src, info, dst)
	if err != nil {
		c.failAt(dst, err)
		return false
	}
	if done {
		c.say(src, dst)
	}
	return true
}

func (c *copier) say(src, dst location) {
	if c.verbose {
		fmt.Fprintf(c.out, "%s -> %s\n", src, dst)
	}
}

// copyFile copies one file; done is false where noClobber forbids.
func (c *copier) copyFile(src location, info iofs.FileInfo, dst location) (done bool, err error) {
	if err := c.justMade(dst); err != nil {
		return false, err
	}
	if c.noClobber && exists(dst) {
		return false, nil
	}
	if c.vols.isImage(dst) {
		return false, fmt.Errorf("is an image that is in use: did you mean %s:/?", dst)
	}
	if isSame(src, info, dst) {
		return false, errors.New("is the same file")
	}
	r, err := c.reader(src)
	if err != nil {
		return false, c.ofSource(src, err)
	}
	defer r.Close()
	size := info.Size()
	if !info.Mode().IsRegular() {
		size = 0 // a device, a pipe: nobody knows
	}
	if _, onFAT := dst.onVolume(); onFAT && size > fat.MaxFileSize {
		return false, fat.ErrTooBig
	}
	return true, c.write(src, r, info, dst, size)
}

// write makes dst a copy of what r has.
func (c *copier) write(src location, r io.Reader, info iofs.FileInfo, dst location, size int64) error {
	d, err := c.begin(dst, filePerm(info), size)
	if err != nil {
		return err
	}
	err = c.pump(d, r, src)
	if err == nil && info != nil && info.Mode().IsRegular() {
		err = d.stamp(info)
	}
	if err != nil {
		return errors.Join(err, d.Discard())
	}
	if err := d.Commit(); err != nil {
		return err
	}
	c.note(dst)
	return nil
}

// key is what a file that is there is known by: names that its tree takes for one have the same.
func (c *copier) key(l location) (key location, ok bool) {
	if _, is := l.tree.(streamTree); is {
		return key, false
	}
	info, err := l.tree.Stat(l.name)
	if err != nil || !info.Mode().IsRegular() {
		return key, false
	}
	dir, name := path.Dir(path.Clean(l.name)), info.Name()
	if _, onFAT := l.onVolume(); onFAT {
		parts := strings.Split(foldName(dir+"/"+name), "/")
		for i, p := range parts {
			if p != "." && p != ".." {
				parts[i] = strings.TrimRight(p, ". ")
			}
		}
		return location{tree: l.tree, name: strings.Join(parts, "/")}, true
	}
	return location{tree: l.tree, name: dir + "/" + name}, true
}

// note remembers that the command has written a file.
func (c *copier) note(l location) {
	if key, ok := c.key(l); ok {
		if c.made == nil {
			c.made = map[location]string{}
		}
		c.made[key] = l.String()
	}
}

// justMade refuses to replace what the command itself has written: two sources have one name there.
func (c *copier) justMade(l location) error {
	if key, ok := c.key(l); ok {
		if as, is := c.made[key]; is {
			return fmt.Errorf("would replace %s, which was written just before: both have one name there", as)
		}
	}
	return nil
}

// pump copies r to w until its end or an interrupt.
func (c *copier) pump(w io.Writer, r io.Reader, src location) error {
	if c.buf == nil {
		c.buf = make([]byte, copyBuffer)
	}
	for {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(c.buf)
		if n > 0 {
			if _, err := w.Write(c.buf[:n]); err != nil {
				return err
			}
			c.progress.add(int64(n))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return c.ofSource(src, err)
		}
	}
}

// ofSource names the source in an error that is going to be reported of the target.
func (c *copier) ofSource(src location, err error) error {
	return fmt.Errorf("read %s: %w", src, reason(err))
}

// copyDir copies a directory with all that is in it. It is listed before the copy is made, so that a copy
// into itself ends.
func (c *copier) copyDir(src location, info iofs.FileInfo, dst location) bool {
	if isWithin(src, info, dst) {
		c.failAt(src, fmt.Errorf("cannot be copied into itself, to %s", dst))
		return false
	}
	for _, a := range c.above {
		if c.follow && os.SameFile(a, info) {
			c.failAt(src, errors.New("a symbolic link leads back to here"))
			return false
		}
	}
	list, err := src.tree.ReadDir(src.name)
	if err != nil {
		c.failAt(src, err)
		return false
	}
	if err := makeDir(dst); err != nil {
		c.failAt(dst, err)
		return false
	}
	c.say(src, dst)
	c.above = append(c.above, info)
	whole := true
	for _, e := range list {
		whole = c.copyEntry(src.child(e.Name()), e, dst.child(e.Name())) && whole
	}
	c.above = c.above[:len(c.above)-1]
	// After all that is in it, which changes it. The root of a volume has no times.
	if src.prefix == "" || src.base() != "" {
		if err := dst.tree.Chtimes(dst.name, accessTime(info), info.ModTime()); err != nil && dst.base() != "" {
			c.failAt(dst, err)
			return false
		}
	}
	return whole && c.ctx.Err() == nil
}

// copyEntry copies one entry of a directory.
func (c *copier) copyEntry(src location, e iofs.DirEntry, dst location) bool {
	if e.Type()&iofs.ModeSymlink != 0 && !c.follow {
		c.failAt(src, errors.New("a symbolic link, which FAT cannot hold: -L copies what it leads to"))
		return false
	}
	if e.Type()&iofs.ModeSymlink != 0 {
		return c.copy(src, dst)
	}
	info, err := e.Info()
	if err != nil {
		c.failAt(src, err)
		return false
	}
	return c.copyInfo(src, info, dst)
}

// makeDir makes a directory, unless it is there.
func makeDir(l location) error {
	info, err := l.tree.Stat(l.name)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return errors.New("is a file, and a directory is to be copied there")
	}
	return l.tree.Mkdir(l.name, 0o777)
}

// measure is the number of bytes that a copy of l will have, as far as that can be seen.
func (c *copier) measure(l location) (total int64) {
	info, err := l.tree.Stat(l.name)
	if err != nil || c.ctx.Err() != nil {
		return 0
	}
	if !info.IsDir() {
		return info.Size()
	}
	list, _ := l.tree.ReadDir(l.name) // the copy will say what is wrong
	for _, e := range list {
		if e.IsDir() {
			total += c.measure(l.child(e.Name()))
		} else if info, err := e.Info(); err == nil {
			total += info.Size()
		}
	}
	return total
}

// filePerm is the mode of the copy of a file: write-protected as it is.
func filePerm(info iofs.FileInfo) iofs.FileMode {
	if info != nil && info.Mode().IsRegular() && info.Mode()&0o222 == 0 {
		return 0o444
	}
	return 0o666
}

func exists(l location) bool {
	_, err := l.tree.Stat(l.name)
	return err == nil
}

func isNotExist(err error) bool { return errors.Is(err, iofs.ErrNotExist) }
