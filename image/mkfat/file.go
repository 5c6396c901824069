package mkfat

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fatvol/image/device"
	"fatvol/image/hostperm"
)

// WriteFile writes the image to a new file at path. It is made beside it under a name of its own, and gets
// its name when it is whole: whatever happens, there is the image, or what was there before. Of an
// interruption that leaves no time to clean up, a file remains whose name begins with a dot and that of the image.
//
// Where something is at path already, it is replaced if replace is set, by a file with its permissions, and otherwise
// the error wraps fs.ErrExist. A new image is in the host's cache when WriteFile returns; one that replaces
// another is on its medium.
func (p *Plan) WriteFile(ctx context.Context, path string, replace bool, progress func(n int64)) (err error) {
	var old fs.FileInfo
	perm := fs.FileMode(0o666)
	if replace {
		if old, err = os.Stat(path); err == nil {
			perm = 0o600 // until it is whole
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	tmp, err := createBeside(path, perm)
	if err != nil {
		return err
	}
	defer func() {
		cerr := tmp.Close()
		if err = errors.Join(err, cerr); err != nil {
			_ = os.Remove(tmp.Name()) // it may have its final name
		}
	}()
	if err := p.writeTo(ctx, tmp, replace, progress); err != nil {
		return err
	}
	if old != nil {
		if err := hostperm.Copy(tmp, old); err != nil {
			return err
		}
	}
	if replace {
		return os.Rename(tmp.Name(), path)
	}
	return renameNew(tmp.Name(), path)
}

// createBeside makes a file in the directory of path, with a name that says what it is for.
func createBeside(path string, perm fs.FileMode) (*os.File, error) {
	const longest = 200 // of the 255 bytes that a name can have
	base := filepath.Base(path)
	base = strings.ToValidUTF8(base[:min(len(base), longest)], "")
	name := fmt.Sprintf(".%s.fatvol-%s", base, rand.Text()[:8])
	return os.OpenFile(filepath.Join(filepath.Dir(path), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
}

func (p *Plan) writeTo(ctx context.Context, f *os.File, sync bool, progress func(n int64)) error {
	if err := f.Truncate(p.Size); err != nil {
		return fmt.Errorf("image of %s: %w", Bytes(p.Size), err)
	}
	host, err := device.OpenHost(f.Name(), true)
	if err != nil {
		return err
	}
	err = p.Write(ctx, host, true, progress)
	if err == nil && sync {
		err = host.Sync()
	}
	return errors.Join(err, host.Close())
}

// existing is the error of a name that is taken.
func existing(path string) error {
	return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
}

// renameUnlessThere is renameNew where the host has no such call.
func renameUnlessThere(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return existing(to)
	}
	return os.Rename(from, to)
}
