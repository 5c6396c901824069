package main

import (
	"io"
	iofs "io/fs"
	"path"
	"strings"
	"time"

	"fatvol/image"
	"fatvol/image/fat"
)

// A tree is a file system that the commands read and change: the volume in an image, the directory that
// one is mounted on, or the host.
type tree interface {
	iofs.StatFS
	iofs.ReadDirFS
	Mkdir(name string, perm iofs.FileMode) error
	Remove(name string) error
	Rename(oldName, newName string) error
	Chtimes(name string, accessed, modified time.Time) error
	// begin begins new contents for a file, of which size bytes are announced (0: nobody knows).
	begin(name string, perm iofs.FileMode, size int64) (draft, error)
}

// A draft is the new contents of a file while they are written: it takes the file's place when it is
// committed, and whatever fails before leaves the file as it was.
type draft interface {
	io.Writer
	// stamp gives the file times, and where its tree has them attributes, of what it is a copy of.
	stamp(of iofs.FileInfo) error
	Commit() error
	Discard() error
}

// A volumeTree is a tree that is a FAT volume.
type volumeTree interface {
	tree
	// describe returns what FAT knows of a file that Stat has described.
	describe(name string, info iofs.FileInfo) (fatInfo, error)
	SetAttributes(name string, set fat.Attributes) error
	Label() (string, error)
	SetLabel(label string) error
	Sync() error
}

// fatInfo is what FAT knows of a file beside its size. Times are zero where they cannot be known.
type fatInfo struct {
	attributes        fat.Attributes
	short             string
	created, accessed time.Time
}

// A location is a file or directory, or where one may come to be.
type location struct {
	tree   tree
	name   string // as tree has it
	prefix string // what stands before the name for users: "disk.img:2:", or nothing
}

// String is the location as a user would write it.
func (l location) String() string {
	name := l.name
	if l.prefix != "" {
		if name == "." {
			name = ""
		}
		name = "/" + name
	}
	return printable(l.prefix + name)
}

// child is what is called name in the directory l.
func (l location) child(name string) location {
	if l.name != "." {
		name = strings.TrimSuffix(l.name, "/") + "/" + name
	}
	l.name = name
	return l
}

// base is the last element of the name; empty where that is no name, as of the root of a volume, "." and "..".
func (l location) base() string {
	switch base := path.Base(l.name); base {
	case ".", "..", "/":
		return ""
	default:
		return base
	}
}

// onVolume returns the location's tree when that is a FAT volume.
func (l location) onVolume() (volumeTree, bool) {
	v, ok := l.tree.(volumeTree)
	return v, ok
}

// An imageTree is the volume in an image that this process has open.
type imageTree struct{ *image.FS }

func (t imageTree) describe(_ string, info iofs.FileInfo) (fatInfo, error) {
	a := info.Sys().(*image.FileAttr)
	return fatInfo{a.Attributes, a.ShortName, a.Created, a.Accessed}, nil
}

func (t imageTree) begin(name string, perm iofs.FileMode, size int64) (draft, error) {
	d, err := t.Draft(name, perm)
	if err != nil {
		return nil, err
	}
	if err := d.Reserve(size); err != nil {
		_ = d.Discard() // the volume is full, or worse: that is what there is to say
		return nil, err
	}
	return imageDraft{d}, nil
}

type imageDraft struct{ *image.Draft }

func (d imageDraft) stamp(of iofs.FileInfo) error {
	if a, ok := of.Sys().(*image.FileAttr); ok {
		if err := d.SetCreated(a.Created); err != nil {
			return err
		}
		if err := d.SetAttributes(a.Attributes); err != nil {
			return err
		}
	}
	return d.Chtimes(accessTime(of), of.ModTime())
}
