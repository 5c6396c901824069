package image

import (
	iofs "io/fs"
	"path"
	"time"

	"fatvol/image/fat"
)

// FileAttr is what FAT knows of a file and io/fs does not. It is what Sys of a FileInfo returns, as a
// *FileAttr.
type FileAttr struct {
	fat.Attr
	ShortName string // the 8.3 name; empty for the root
}

// fileInfo implements fs.FileInfo.
type fileInfo struct {
	name string
	attr FileAttr
}

// infoOf describes a node that was reached by a name.
func infoOf(n *fat.Node, name string) (iofs.FileInfo, error) {
	a, err := n.Attr()
	if err != nil {
		return nil, err
	}
	long, short, err := n.Names()
	if err != nil {
		return nil, err
	}
	if long == "" { // the root, or removed
		long = path.Base(name)
	}
	return &fileInfo{long, FileAttr{a, short}}, nil
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.attr.Size }
func (i *fileInfo) ModTime() time.Time { return i.attr.Modified }
func (i *fileInfo) IsDir() bool        { return i.attr.IsDir }
func (i *fileInfo) Sys() any           { return &i.attr }
func (i *fileInfo) String() string     { return iofs.FormatFileInfo(i) }

// Mode tells directories from files, and what has the read-only attribute from what has not. FAT keeps
// no other permissions.
func (i *fileInfo) Mode() iofs.FileMode {
	switch {
	case i.attr.IsDir:
		return iofs.ModeDir | 0o755
	case i.attr.Attributes&fat.AttrReadOnly != 0:
		return 0o444
	}
	return 0o644
}

// dirEntry implements fs.DirEntry.
type dirEntry struct {
	f     *FS
	dir   string // where it was listed, as f names it
	name  string
	isDir bool
}

func (e *dirEntry) Name() string   { return e.name }
func (e *dirEntry) IsDir() bool    { return e.isDir }
func (e *dirEntry) String() string { return iofs.FormatDirEntry(e) }

func (e *dirEntry) Type() iofs.FileMode {
	if e.isDir {
		return iofs.ModeDir
	}
	return 0
}

// Info looks at what has the name now.
func (e *dirEntry) Info() (iofs.FileInfo, error) { return e.f.Stat(path.Join(e.dir, e.name)) }
