package fat_test

import (
	"fmt"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// engineTree is a volume that is open in this process, for workloads.
type engineTree struct{ v *fat.Volume }

type engineFile struct{ *fat.Node }

func (f engineFile) Append(p []byte) error {
	n, _, err := f.Node.Append(p)
	if err == nil && n != len(p) {
		err = fmt.Errorf("append: %d of %d bytes", n, len(p))
	}
	return err
}

func (f engineFile) Close() error {
	f.Release(1)
	return nil
}

// in calls fn with the directory in which a path's last component is, and that.
func (t engineTree) in(path string, fn func(dir *fat.Node, name string) error) error {
	dir, name, err := split(t.v, path)
	if err != nil {
		return err
	}
	defer release(dir)
	return fn(dir, name)
}

func (t engineTree) Create(path string) (f fattest.TreeFile, err error) {
	err = t.in(path, func(dir *fat.Node, name string) error {
		n, err := t.v.Create(dir, name, 0)
		f = engineFile{n}
		return err
	})
	return f, err
}

func (t engineTree) Open(path string) (fattest.TreeFile, error) {
	n, err := walk(t.v, path)
	return engineFile{n}, err
}

func (t engineTree) Mkdir(path string) error {
	return t.in(path, func(dir *fat.Node, name string) error {
		n, err := t.v.Mkdir(dir, name, 0)
		release(n)
		return err
	})
}

func (t engineTree) Rmdir(path string) error { return t.in(path, t.v.Rmdir) }

func (t engineTree) Unlink(path string) error { return t.in(path, t.v.Unlink) }

func (t engineTree) Rename(from, to string, flags int) error {
	return t.in(from, func(fd *fat.Node, fn string) error {
		return t.in(to, func(td *fat.Node, tn string) error { return t.v.Rename(fd, fn, td, tn, renameFlags(flags)) })
	})
}

func (t engineTree) Sync() error { return t.v.Sync() }
