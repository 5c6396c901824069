//go:build linux

package vm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// An initramfs is the guest's root: a cpio archive of the format "newc" (Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst), not compressed, since the guest would
// take longer to unpack it than QEMU to load it.
type initramfs struct {
	w     *bufio.Writer
	at    int64
	inode int
	known map[string]bool
	err   error // the first one; later writes do nothing
}

const (
	modeDir     = 0o040755
	modeSymlink = 0o120777
	modeFile    = 0o100644
	modeProgram = 0o100755
	modeDevice  = 0o020600
)

func newInitramfs(w io.Writer) *initramfs {
	return &initramfs{w: bufio.NewWriter(w), known: map[string]bool{}}
}

// entry writes one entry, and the directories above it.
func (c *initramfs) entry(path string, mode int, data []byte) {
	path = strings.Trim(path, "/")
	if path == "" || path == "." || c.known[path] {
		return
	}
	c.directory(filepath.Dir(path))
	c.known[path] = true
	c.raw(path, mode, 0, 0, data)
}

func (c *initramfs) directory(path string)            { c.entry(path, modeDir, nil) }
func (c *initramfs) file(path string, data []byte)    { c.entry(path, modeFile, data) }
func (c *initramfs) program(path string, data []byte) { c.entry(path, modeProgram, data) }
func (c *initramfs) symlink(path, target string)      { c.entry(path, modeSymlink, []byte(target)) }
func (c *initramfs) device(path string, major, minor uint) {
	c.directory(filepath.Dir(path))
	c.raw(path, modeDevice, major, minor, nil)
}

func (c *initramfs) raw(path string, mode int, major, minor uint, data []byte) {
	c.inode++
	header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(path)+1, 0)
	c.write([]byte(header))
	c.write(append([]byte(path), 0))
	c.pad()
	c.write(data)
	c.pad()
}

func (c *initramfs) write(p []byte) {
	if c.err == nil {
		var n int
		n, c.err = c.w.Write(p)
		c.at += int64(n)
	}
}

func (c *initramfs) pad() { c.write(make([]byte, -c.at&3)) }

// close ends the archive and returns the first error of all writes.
func (c *initramfs) close() error {
	c.raw("TRAILER!!!", 0, 0, 0, nil)
	return errors.Join(c.err, c.w.Flush())
}

// copyFile copies a file of this machine to the same path in the guest, or to another one.
func (c *initramfs) copyFile(from, to string) {
	data, err := os.ReadFile(from)
	if err != nil {
		c.err = errors.Join(c.err, err)
		return
	}
	c.program(to, data)
}

// copyProgram copies a program of this machine, under all its names, and the libraries that it needs.
func (c *initramfs) copyProgram(name string) {
	path, err := exec.LookPath(name)
	if err != nil {
		c.err = errors.Join(c.err, fmt.Errorf("%w; .ci/install-deps installs it", err))
		return
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		c.err = errors.Join(c.err, err)
		return
	}
	c.copyFile(real, real)
	if target := "/bin/" + name; target != real {
		c.symlink(target, real)
	}
	for _, library := range libraries(real) {
		c.copyFile(library, library)
	}
}

// libraries are the shared libraries of a program and its loader. A static program has none.
func libraries(path string) (files []string) {
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		return nil
	}
	// "name => /path (address)" or "/path (address)"
	for line := range bytes.Lines(out) {
		for _, field := range strings.Fields(string(line)) {
			if strings.HasPrefix(field, "/") && !slices.Contains(files, field) {
				files = append(files, field)
				break
			}
		}
	}
	return files
}
