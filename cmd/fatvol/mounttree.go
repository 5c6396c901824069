package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"

	"golang.org/x/sys/unix"

	"fatvol/image/fat"
)

// A mountTree is a volume that is mounted by another process, reached through the directory.
type mountTree struct{ hostTree }

// The extended attributes by which a mount shows what FAT has; see package fs.
const (
	xattrAttributes = "user.fatvol.attributes"
	xattrShortName  = "user.fatvol.shortname"
	xattrLabel      = "user.fatvol.label"
)

func (t mountTree) xattr(name, attr string) (string, error) {
	var buf [1024]byte // more than any of them has
	n, err := unix.Getxattr(t.path(name), attr, buf[:])
	if err != nil {
		return "", &os.PathError{Op: "getxattr " + attr, Path: t.path(name), Err: err}
	}
	return string(buf[:n]), nil
}

func (t mountTree) describe(name string, info iofs.FileInfo) (d fatInfo, err error) {
	d.accessed = accessTime(info)
	if name == "." {
		d.attributes = fat.AttrDirectory
		return d, nil // the root has none of it
	}
	if d.short, err = t.xattr(name, xattrShortName); err != nil {
		return d, err
	}
	d.attributes, err = t.attributes(name)
	return d, err
}

func (t mountTree) attributes(name string) (fat.Attributes, error) {
	text, err := t.xattr(name, xattrAttributes)
	if err != nil {
		return 0, err
	}
	a, ok := fat.ParseAttributes(text)
	if !ok {
		return 0, fmt.Errorf("%s of %s: %q", xattrAttributes, t.path(name), text)
	}
	return a, nil
}

func (t mountTree) SetAttributes(name string, set fat.Attributes) error {
	if err := unix.Setxattr(t.path(name), xattrAttributes, []byte(set.String()), 0); err != nil {
		return &os.PathError{Op: "set attributes", Path: t.path(name), Err: err}
	}
	return nil
}

func (t mountTree) Label() (string, error) { return t.xattr(".", xattrLabel) }

// Sync has everything on the volume brought to the medium.
func (t mountTree) Sync() error {
	d, err := os.Open(t.root)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// begin keeps of a file that is replaced what the host knows nothing of.
func (t mountTree) begin(name string, perm iofs.FileMode, size int64) (draft, error) {
	d, err := t.hostTree.begin(name, perm, size)
	if err != nil {
		return nil, err
	}
	old, err := t.attributes(name)
	if errors.Is(err, os.ErrNotExist) {
		return d, nil
	}
	if err == nil && old&(fat.AttrHidden|fat.AttrSystem) != 0 {
		temp := d.(*hostDraft).Name()
		err = mountTree{}.SetAttributes(temp, old|fat.AttrArchive)
	}
	if err != nil {
		return nil, errors.Join(err, d.Discard())
	}
	return d, nil
}
