package integration

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"fatvol/image/fat/fattest"
)

// mountTree is a mounted volume, for workloads.
type mountTree struct{ dir string }

type mountFile struct{ *os.File }

func (f mountFile) Append(p []byte) error {
	n, err := f.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

func (m mountTree) at(path string) string { return filepath.Join(m.dir, path) }

func (m mountTree) open(path string, flags int) (fattest.TreeFile, error) {
	f, err := os.OpenFile(m.at(path), os.O_RDWR|os.O_APPEND|flags, 0o666)
	return mountFile{f}, err
}

func (m mountTree) Create(path string) (fattest.TreeFile, error) {
	return m.open(path, os.O_CREATE|os.O_EXCL)
}

func (m mountTree) Open(path string) (fattest.TreeFile, error) { return m.open(path, 0) }

func (m mountTree) Mkdir(path string) error { return os.Mkdir(m.at(path), 0o777) }

func (m mountTree) Rmdir(path string) error { return syscall.Rmdir(m.at(path)) }

func (m mountTree) Unlink(path string) error { return syscall.Unlink(m.at(path)) }

func (m mountTree) Rename(from, to string, flags int) error {
	return unix.Renameat2(unix.AT_FDCWD, m.at(from), unix.AT_FDCWD, m.at(to), renameFlags(flags))
}

// Sync is fsync of the root directory.
func (m mountTree) Sync() error {
	d, err := os.Open(m.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
