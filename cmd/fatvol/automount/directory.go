package automount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A directory is where mount points are. It can only be written to while we make or remove one, and mount
// points only until they are mounted on: a program that goes on writing to a path where nothing is mounted any
// more gets an error, instead of filling the memory that the runtime directory is made of. (Root does not.)
type directory struct{ path string }

const (
	modeOpen  = 0o700
	modeShut  = 0o500
	modeUnder = 0 // of a directory that is mounted on
)

// prepare makes the directory.
func (d *directory) prepare() error {
	if err := os.MkdirAll(d.path, modeOpen); err != nil {
		return err
	}
	info, err := os.Lstat(d.path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s: not a directory", d.path)
	}
	return os.Chmod(d.path, modeShut)
}

// make makes a mount point and returns it, open.
func (d *directory) make(name string) (f *os.File, err error) {
	err = d.change(func() (err error) {
		p := filepath.Join(d.path, name)
		if err = os.Mkdir(p, modeOpen); err == nil {
			f, err = os.Open(p)
		}
		return err
	})
	return f, err
}

// shut takes all permissions from a mount point, which is mounted on now, and closes it.
func shut(point *os.File) error { return errors.Join(point.Chmod(modeUnder), point.Close()) }

// remove removes a mount point. What is in one, which only root can have put there, is not touched.
func (d *directory) remove(name string) error {
	err := d.change(func() error { return os.Remove(filepath.Join(d.path, name)) })
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// change opens the directory for writing and has it changed. A lock lets others, in other processes too, wait.
func (d *directory) change(change func() error) error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return os.NewSyscallError("flock", err)
	}
	if err := f.Chmod(modeOpen); err != nil {
		return err
	}
	return errors.Join(change(), f.Chmod(modeShut))
}

// idle lists the directories in it, by full path, but for those in busy. It looks at none of them: a mount may
// hang.
func (d *directory) idle(busy func(path string) bool) (idle []string, err error) {
	f, err := os.Open(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	for _, name := range names {
		if p := filepath.Join(d.path, name); !busy(p) {
			idle = append(idle, p)
		}
	}
	return idle, err
}
