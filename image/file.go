package image

import (
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"sync"

	"fatvol/image/fat"
)

// A File is an open file or directory of a FS. It implements fs.ReadDirFile, and of package io what
// *os.File does. All methods may be called concurrently; those that use the offset take turns.
//
// A file that is removed while it is open lives until it is closed.
type File struct {
	f    *FS
	name string
	flag int
	n    *fat.Node
	h    *fat.Handle // nil for a directory

	mu     sync.Mutex // guards what follows; taken before locks of the volume
	off    int64
	cookie uint64 // of a directory: where ReadDir goes on
	closed bool
}

var (
	_ iofs.ReadDirFile = (*File)(nil)
	_ io.ReadSeeker    = (*File)(nil)
	_ io.ReaderAt      = (*File)(nil)
	_ io.WriterAt      = (*File)(nil)
	_ io.WriterTo      = (*File)(nil)
	_ io.ReaderFrom    = (*File)(nil)
)

// copyBuffer is the size in bytes of the pieces in which whole files are copied: large enough that a call
// costs nothing beside its bytes.
const copyBuffer = 1 << 20

// Open opens a file or directory for reading. It implements fs.FS.
func (f *FS) Open(name string) (iofs.File, error) {
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// Create makes a file, or empties the one that is there, and opens it for reading and writing.
func (f *FS) Create(name string) (*File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile opens a file as the flags of package os say. A new file has the read-only attribute if perm lets
// nobody write; FAT keeps nothing else of it. A file with that attribute is not opened for writing.
func (f *FS) OpenFile(name string, flag int, perm iofs.FileMode) (*File, error) {
	n, created, err := f.openNode(name, flag, perm)
	if err != nil {
		return nil, err
	}
	file := &File{f: f, name: name, flag: flag, n: n}
	if err := file.begin(created); err != nil {
		n.Release(1)
		return nil, pathError("open", name, err)
	}
	return file, nil
}

// openNode finds or makes what OpenFile opens.
func (f *FS) openNode(name string, flag int, perm iofs.FileMode) (n *fat.Node, created bool, err error) {
	if flag&os.O_CREATE == 0 {
		n, err := f.find("open", name)
		return n, false, err
	}
	dir, base, err := f.findParent("open", name)
	if err != nil {
		return nil, false, err
	}
	defer dir.Release(1)
	var attr fat.Attributes
	if perm&0o222 == 0 {
		attr = fat.AttrReadOnly
	}
	// Somebody else may make it, or remove it, between one call and the next.
	for {
		n, err := f.v.Create(dir, base, attr)
		if err == nil || flag&os.O_EXCL != 0 || !isExist(err) {
			return n, true, wrapPath("open", name, err)
		}
		n, _, err = f.v.Lookup(dir, base)
		if err == nil || !isNotExist(err) {
			return n, false, wrapPath("open", name, err)
		}
	}
}

// begin opens the node; created says that the call has made it, so that it may be written to even if it is
// to be read-only later, as with open(2).
func (file *File) begin(created bool) error {
	writes := file.writes() || file.flag&os.O_TRUNC != 0
	if file.n.IsDir() {
		if writes || file.flag&os.O_CREATE != 0 {
			return fat.ErrIsDir
		}
		return nil
	}
	if writes && !created {
		if file.f.v.ReadOnly() {
			return fat.ErrReadOnly
		}
		a, err := file.n.Attr()
		if err != nil {
			return err
		}
		if a.Attributes&fat.AttrReadOnly != 0 {
			return errReadOnlyFile
		}
	}
	h, err := file.n.Open()
	if err != nil {
		return err
	}
	if file.flag&os.O_TRUNC != 0 {
		if err := file.n.Truncate(0); err != nil {
			h.Close()
			return err
		}
	}
	file.h = h
	return nil
}

// errReadOnlyFile is returned when a file with the read-only attribute is to be changed.
var errReadOnlyFile = fmt.Errorf("has the read-only attribute: %w", iofs.ErrPermission)

func (file *File) writes() bool { return file.flag&(os.O_WRONLY|os.O_RDWR) != 0 }

// Name is the name that the file was opened by.
func (file *File) Name() string { return file.name }

// Stat describes the file.
func (file *File) Stat() (iofs.FileInfo, error) {
	if err := file.usable("stat"); err != nil {
		return nil, err
	}
	info, err := infoOf(file.n, file.name)
	return info, wrapPath("stat", file.name, err)
}

// Close closes the file. Its error is a failure to write in the background since the file was opened;
// nil does not mean that all is on the medium, for that is Sync.
func (file *File) Close() error {
	file.mu.Lock()
	defer file.mu.Unlock()
	if file.closed {
		return pathError("close", file.name, iofs.ErrClosed)
	}
	file.closed = true
	var err error
	if file.h != nil {
		if file.writes() {
			err = file.h.Flush()
		}
		file.h.Close()
	}
	file.n.Release(1)
	return wrapPath("close", file.name, err)
}

// Sync makes the data and the directory entry durable.
func (file *File) Sync() error {
	if err := file.usable("sync"); err != nil {
		return err
	}
	if file.h == nil {
		return wrapPath("sync", file.name, file.n.Sync())
	}
	return wrapPath("sync", file.name, file.h.Sync())
}

// usable returns why nothing can be done with the file any more.
func (file *File) usable(op string) error {
	file.mu.Lock()
	defer file.mu.Unlock()
	return file.usableLocked(op)
}

func (file *File) usableLocked(op string) error {
	if file.closed {
		return pathError(op, file.name, iofs.ErrClosed)
	}
	return nil
}

// ReadDir returns the next count entries of a directory in the order in which they are stored, or all that
// are left where count is not positive. It implements fs.ReadDirFile.
func (file *File) ReadDir(count int) ([]iofs.DirEntry, error) {
	file.mu.Lock()
	defer file.mu.Unlock()
	if err := file.usableLocked("readdir"); err != nil {
		return nil, err
	}
	var list []iofs.DirEntry
	err := file.f.v.ReadDir(file.n, file.cookie, func(e *fat.Entry) bool {
		list = append(list, &dirEntry{file.f, file.name, e.Name, e.IsDir})
		file.cookie = e.Cookie
		return count <= 0 || len(list) < count
	})
	switch {
	case err != nil:
		return list, pathError("readdir", file.name, err)
	case count > 0 && len(list) == 0:
		return nil, io.EOF
	}
	return list, nil
}

func wrapPath(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return pathError(op, name, err)
}
