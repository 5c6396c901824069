package image

import (
	"crypto/rand"
	"errors"
	iofs "io/fs"
	"os"
	"path"
	"time"

	"fatvol/image/fat"
)

// A Draft is the new contents of a file while they are written: under a name of its own beside the file,
// which stays as it is until Commit puts the draft in its place, in one step. What fails before leaves the
// old file whole. There must be room for both.
//
// A process that dies leaves at worst the draft, called ".fatvol-….tmp".
type Draft struct {
	*File
	target string
	done   bool
}

// Draft begins new contents for the file called name, which need not exist yet. It is an error now if it
// could not be put in its place: name is a directory, has the read-only attribute, or cannot be a name.
func (f *FS) Draft(name string, perm iofs.FileMode) (*Draft, error) {
	dir, base, err := f.findParent("write", name)
	if err != nil {
		return nil, err
	}
	defer dir.Release(1)
	old, _, err := f.v.Lookup(dir, base)
	switch {
	case err == nil:
		defer old.Release(1)
		err = replaceable(old)
	case isNotExist(err):
		err = f.v.CheckName(base)
	}
	if err != nil {
		return nil, pathError("write", name, err)
	}
	for {
		temp := path.Join(path.Dir(name), ".fatvol-"+rand.Text()+".tmp")
		file, err := f.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		if err == nil {
			return &Draft{File: file, target: name}, nil
		}
		if !isExist(err) {
			return nil, pathError("write", name, unwrapPath(err))
		}
	}
}

// replaceable returns why there can be no new contents for a node.
func replaceable(n *fat.Node) error {
	if n.IsDir() {
		return fat.ErrIsDir
	}
	a, err := n.Attr()
	if err == nil && a.Attributes&fat.AttrReadOnly != 0 {
		err = errReadOnlyFile
	}
	return err
}

// Reserve makes room for size bytes, in one piece where there is one, so that writing them cannot fail for
// lack of space. What of it is not written goes back when the draft is closed.
func (d *Draft) Reserve(size int64) error {
	if size <= 0 {
		return nil
	}
	return wrapPath("write", d.target, d.n.Allocate(0, size, true))
}

// Chtimes is FS.Chtimes of what is written. It is to come after the last write.
func (d *Draft) Chtimes(accessed, modified time.Time) error {
	return wrapPath("chtimes", d.target, d.n.SetTimes(nil, orNil(modified), orNil(accessed)))
}

// SetCreated is FS.SetCreated of what is written. A file that is replaced keeps its own.
func (d *Draft) SetCreated(created time.Time) error {
	return wrapPath("chtimes", d.target, d.n.SetTimes(&created, nil, nil))
}

// SetAttributes is FS.SetAttributes of what is written. Of a file that is replaced, hidden and system are
// kept as well.
func (d *Draft) SetAttributes(set fat.Attributes) error {
	return wrapPath("set attributes", d.target, setAttributes(d.n, set))
}

// Commit closes the draft and puts it in the place of the file. The attributes, the time of creation and
// the spelling of the name of a file that was there are kept. On an error the file is as it was.
func (d *Draft) Commit() error {
	if d.done {
		return pathError("write", d.target, iofs.ErrClosed)
	}
	if err := d.commit(); err != nil {
		return errors.Join(pathError("write", d.target, unwrapPath(err)), d.Discard())
	}
	d.done = true
	return nil
}

func (d *Draft) commit() error {
	target := d.target
	old, err := d.f.Stat(target)
	switch {
	case err == nil:
		was := old.Sys().(*FileAttr)
		if err := d.n.SetTimes(&was.Created, nil, nil); err != nil {
			return err
		}
		now, err := d.n.Attr()
		if err != nil {
			return err
		}
		keep := was.Attributes & (fat.AttrHidden | fat.AttrSystem)
		if err := setAttributes(d.n, now.Attributes|keep|fat.AttrArchive); err != nil {
			return err
		}
		target = path.Join(path.Dir(target), old.Name())
	case !isNotExist(err):
		return err
	}
	if err := d.File.Close(); err != nil {
		return err
	}
	return d.f.Rename(d.name, target)
}

// Discard gives the draft up, if it is not committed; the file stays as it is. It may be deferred.
func (d *Draft) Discard() error {
	if d.done {
		return nil
	}
	d.done = true
	err := d.File.Close()
	if errors.Is(err, iofs.ErrClosed) {
		err = nil
	}
	return errors.Join(err, d.f.Remove(d.name))
}

// WriteFile replaces a file by one with the given contents, or makes it: whole, or on an error not at all.
func (f *FS) WriteFile(name string, data []byte, perm iofs.FileMode) error {
	d, err := f.Draft(name, perm)
	if err != nil {
		return err
	}
	if _, err := d.Write(data); err != nil {
		return errors.Join(pathError("write", name, unwrapPath(err)), d.Discard())
	}
	return d.Commit()
}

// unwrapPath is the cause in an error that names an operation and a path of ours.
func unwrapPath(err error) error {
	if p := new(iofs.PathError); errors.As(err, &p) {
		return p.Err
	}
	if l := new(os.LinkError); errors.As(err, &l) {
		return l.Err
	}
	return err
}
