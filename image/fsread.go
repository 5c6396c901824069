package image

import (
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"slices"
	"strings"

	"fatvol/image/fat"
)

var (
	_ iofs.StatFS     = (*FS)(nil)
	_ iofs.ReadDirFS  = (*FS)(nil)
	_ iofs.ReadFileFS = (*FS)(nil)
	_ iofs.SubFS      = (*FS)(nil)
)

// Stat describes a file or directory. It implements fs.StatFS; Sys of the result is a *FileAttr.
func (f *FS) Stat(name string) (iofs.FileInfo, error) {
	n, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	defer n.Release(1)
	info, err := infoOf(n, name)
	return info, wrapPath("stat", name, err)
}

// ReadDir lists a directory, sorted by name. It implements fs.ReadDirFS.
func (f *FS) ReadDir(name string) ([]iofs.DirEntry, error) {
	n, err := f.find("readdir", name)
	if err != nil {
		return nil, err
	}
	defer n.Release(1)
	if !n.IsDir() {
		return nil, pathError("readdir", name, fat.ErrNotDir)
	}
	list := []iofs.DirEntry{}
	err = f.v.ReadDir(n, 0, func(e *fat.Entry) bool {
		list = append(list, &dirEntry{f, name, e.Name, e.IsDir})
		return true
	})
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	slices.SortFunc(list, func(a, b iofs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// ReadFile returns a file's contents. It implements fs.ReadFileFS. Memory grows with what is read, not
// with the size that a damaged volume claims.
func (f *FS) ReadFile(name string) ([]byte, error) {
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	a, err := file.n.Attr()
	if err != nil {
		return nil, pathError("read", name, err)
	}
	data := make([]byte, 0, min(a.Size, copyBuffer)+1)
	for {
		n, err := file.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return data, err
		}
		if len(data) == cap(data) {
			data = slices.Grow(data, min(len(data), int(max(0, a.Size-int64(len(data))))+1))
		}
	}
}

func isExist(err error) bool    { return errors.Is(err, iofs.ErrExist) }
func isNotExist(err error) bool { return errors.Is(err, iofs.ErrNotExist) }
