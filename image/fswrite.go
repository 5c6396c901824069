package image

import (
	"errors"
	iofs "io/fs"
	"os"
	"path"
	"time"

	"fatvol/image/fat"
)

// Mkdir makes a directory. Of perm FAT keeps nothing.
func (f *FS) Mkdir(name string, perm iofs.FileMode) error {
	dir, base, err := f.findParent("mkdir", name)
	if err != nil {
		return err
	}
	defer dir.Release(1)
	n, err := f.v.Mkdir(dir, base, 0)
	if err != nil {
		return pathError("mkdir", name, err)
	}
	n.Release(1)
	return nil
}

// MkdirAll makes a directory with all those above it that are missing. It is no error if it is there.
func (f *FS) MkdirAll(name string, perm iofs.FileMode) error {
	info, err := f.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return pathError("mkdir", name, fat.ErrNotDir)
	case !isNotExist(err):
		return pathError("mkdir", name, unwrapPath(err))
	}
	if err := f.MkdirAll(path.Dir(name), perm); err != nil {
		return err
	}
	err = f.Mkdir(name, perm)
	if isExist(err) {
		if info, statErr := f.Stat(name); statErr == nil && info.IsDir() {
			return nil // somebody else has made it meanwhile
		}
	}
	return err
}

// Remove removes a file or an empty directory. A file that is open lives until it is closed.
func (f *FS) Remove(name string) error {
	dir, base, err := f.findParent("remove", name)
	if err != nil {
		return err
	}
	defer dir.Release(1)
	err = f.v.Unlink(dir, base)
	if errors.Is(err, fat.ErrIsDir) {
		err = f.v.Rmdir(dir, base)
	}
	return wrapPath("remove", name, err)
}

// RemoveAll removes a file, or a directory with all that is in it, as far as it can. It is no error if
// there is none. Of ".", everything goes but the root itself.
func (f *FS) RemoveAll(name string) error {
	info, err := f.Stat(name)
	if isNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		list, err := f.ReadDir(name)
		if err != nil {
			return err
		}
		var failed error
		for _, e := range list {
			failed = errors.Join(failed, f.RemoveAll(path.Join(name, e.Name())))
		}
		if failed != nil || name == "." {
			return failed
		}
	}
	err = f.Remove(name)
	if isNotExist(err) {
		return nil
	}
	return err
}

// Rename gives a file or directory another name, also in another directory. A file, or an empty directory,
// that has the new name is replaced: at every instant the medium has the old one there or the new one,
// whole. Another spelling of the same name changes how it is spelled.
func (f *FS) Rename(oldName, newName string) error {
	fail := func(err error) error {
		if p := new(iofs.PathError); errors.As(err, &p) {
			err = p.Err
		}
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: plainCause(err)}
	}
	oldDir, oldBase, err := f.findParent("rename", oldName)
	if err != nil {
		return fail(err)
	}
	defer oldDir.Release(1)
	newDir, newBase, err := f.findParent("rename", newName)
	if err != nil {
		return fail(err)
	}
	defer newDir.Release(1)
	if err := f.v.Rename(oldDir, oldBase, newDir, newBase, 0); err != nil {
		return fail(err)
	}
	return nil
}

// Chtimes sets the times of access and modification, rounded down to what FAT can hold: a day, and two
// seconds. A zero time leaves a stamp as it is.
func (f *FS) Chtimes(name string, accessed, modified time.Time) error {
	return f.change("chtimes", name, func(n *fat.Node) error {
		return n.SetTimes(nil, orNil(modified), orNil(accessed))
	})
}

// SetCreated sets the time of creation, rounded down to ten milliseconds.
func (f *FS) SetCreated(name string, created time.Time) error {
	return f.change("chtimes", name, func(n *fat.Node) error { return n.SetTimes(&created, nil, nil) })
}

// SetAttributes sets the read-only, hidden, system and archive attributes to those in set.
func (f *FS) SetAttributes(name string, set fat.Attributes) error {
	return f.change("set attributes", name, func(n *fat.Node) error { return setAttributes(n, set) })
}

func setAttributes(n *fat.Node, set fat.Attributes) error {
	a, err := n.Attr()
	if err != nil {
		return err
	}
	return n.SetAttributes(a.Attributes&^fat.AttrSettable | set&fat.AttrSettable)
}

func (f *FS) change(op, name string, fn func(*fat.Node) error) error {
	n, err := f.find(op, name)
	if err != nil {
		return err
	}
	defer n.Release(1)
	return wrapPath(op, name, fn(n))
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
