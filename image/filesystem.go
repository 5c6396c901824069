package image

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// FS is the FAT volume of an image as a file system of package io/fs, with the other half, which
// writes, beside it. It needs no mount. All methods may be called concurrently.
//
// Names are as io/fs has them: "." is the root, elements are separated by slashes, none is "..", and
// there is no slash at either end. They are found in any case of letters, as 8.3 aliases too, and
// infos and listings show them as they are stored. Errors are *fs.PathError, of Rename *os.LinkError,
// around errors of package fat.
//
// What a call has changed is on the medium when Sync or Close has returned nil, and about a second
// later otherwise; at every instant the volume is sound.
type FS struct {
	v     *fat.Volume
	dir   string // names are relative to it
	image *Image // closed with the file system; nil where there is none, or it is somebody else's
	sub   bool   // made by Sub
}

// An Option is a choice for Open.
type Option func(*settings)

type settings struct {
	open OpenOptions
	fat  fat.Options
}

// ReadOnly has nothing written to the image, and shares it with other readers.
func ReadOnly() Option { return func(s *settings) { s.open.ReadOnly = true } }

// InPartition chooses among the volumes of an image: by number, label, name or UUID. See
// Layout.Choose.
func InPartition(choice string) Option { return func(s *settings) { s.open.Partition = choice } }

// WithOpenOptions says everything about which volume to open, and how.
func WithOpenOptions(opt OpenOptions) Option { return func(s *settings) { s.open = opt } }

// WithEngineOptions says everything about the engine, such as code page and clock. That the image is
// read-only, and how its boot sector is read, is for WithOpenOptions to say.
func WithEngineOptions(opt fat.Options) Option { return func(s *settings) { s.fat = opt } }

// Open opens the image at path, keeps everybody else away from it until Close, and returns the file
// system on the FAT volume inside: the only one there is, or the one that InPartition chooses. An
// image that may not be written to is opened for reading only; ReadOnly tells.
//
// Its errors are those of OpenVolume and fat.Open.
func Open(path string, opts ...Option) (*FS, error) {
	var s settings
	for _, o := range opts {
		o(&s)
	}
	im, err := OpenVolume(path, s.open)
	if err != nil {
		return nil, err
	}
	s.fat.ReadOnly = s.fat.ReadOnly || im.ReadOnly()
	s.fat.Geometry = s.open.Geometry
	f, err := NewFS(im.Device(), s.fat)
	if err != nil {
		im.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.image = im
	return f, nil
}

// NewFS is the file system on a device that is exactly a volume: the Device of a Volume, or memory.
// Close leaves the device open.
func NewFS(dev device.Device, opt fat.Options) (*FS, error) {
	v, err := fat.Open(dev, opt)
	if err != nil {
		return nil, err
	}
	return &FS{v: v, dir: "."}, nil
}

// Close writes what is left, marks the volume clean and closes the image, whatever the error: that says
// what may not be on the medium. Whoever wants to try again calls Sync before. Files that are open give
// ErrClosed then. Close of what Sub returned does nothing.
func (f *FS) Close() error {
	if f.sub {
		return nil
	}
	err := f.v.Close()
	if errors.Is(err, fat.ErrClosed) {
		return err
	}
	if f.image != nil {
		err = errors.Join(err, f.image.Close())
	}
	return err
}

// Sync returns once everything that was done before is on stable storage.
func (f *FS) Sync() error { return f.v.Sync() }

// Image is the image that Open has opened, nil after NewFS.
func (f *FS) Image() *Image { return f.image }

// ReadOnly reports whether changes are refused: by choice, because the image may not be written to, or
// because damage was found.
func (f *FS) ReadOnly() bool { return f.v.ReadOnly() }

// Label is the volume's label, empty when there is none.
func (f *FS) Label() (string, error) { return f.v.Label() }

// SetLabel sets the label, of at most 11 bytes in the volume's code page; an empty one removes it.
func (f *FS) SetLabel(label string) error { return f.v.SetLabel(label) }

// Serial is the volume's serial number, 0 when it has none.
func (f *FS) Serial() uint32 { return f.v.Serial() }

// Space is the state of the volume's space.
func (f *FS) Space() (fat.Stat, error) { return f.v.Stat() }

// Sub is the file system below the directory dir, with the other half as well. It implements
// fs.SubFS; the result is a *FS.
func (f *FS) Sub(dir string) (iofs.FS, error) {
	n, err := f.find("sub", dir)
	if err != nil {
		return nil, err
	}
	defer n.Release(1)
	if !n.IsDir() {
		return nil, pathError("sub", dir, fat.ErrNotDir)
	}
	return &FS{v: f.v, dir: path.Join(f.dir, dir), image: f.image, sub: true}, nil
}

// find returns the node that a name means, with a reference.
func (f *FS) find(op, name string) (*fat.Node, error) {
	if err := validPath(name); err != nil {
		return nil, pathError(op, name, err)
	}
	n, err := f.walk(path.Join(f.dir, name))
	if err != nil {
		return nil, pathError(op, name, err)
	}
	return n, nil
}

// findParent returns the directory that holds what a name means, with a reference, and the last element
// of the name. The root is in none.
func (f *FS) findParent(op, name string) (dir *fat.Node, base string, err error) {
	if err = validPath(name); err == nil && name == "." {
		err = iofs.ErrInvalid
	}
	if err != nil {
		return nil, "", pathError(op, name, err)
	}
	if dir, err = f.walk(path.Join(f.dir, path.Dir(name))); err != nil {
		return nil, "", pathError(op, name, err)
	}
	if !dir.IsDir() {
		dir.Release(1)
		return nil, "", pathError(op, name, fat.ErrNotDir)
	}
	return dir, path.Base(name), nil
}

// validPath is fs.ValidPath as an error, which tells what people cannot see of a name.
func validPath(name string) error {
	switch {
	case iofs.ValidPath(name):
		return nil
	case !utf8.ValidString(name):
		return fmt.Errorf("the name is not valid UTF-8: %w", iofs.ErrInvalid)
	}
	return iofs.ErrInvalid
}

// walk returns the node at a path from the volume's root, with a reference.
func (f *FS) walk(full string) (*fat.Node, error) {
	n := f.v.Root()
	if full == "." {
		return n, nil
	}
	for elem := range strings.SplitSeq(full, "/") {
		next, _, err := f.v.Lookup(n, elem)
		n.Release(1)
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

// pathError names the operation and the name.
func pathError(op, name string, err error) error {
	return &iofs.PathError{Op: op, Path: name, Err: plainCause(err)}
}

// plainCause is the cause alone where it is one of those that say it all.
func plainCause(err error) error {
	for _, plain := range []error{
		fat.ErrNotExist, fat.ErrExist, fat.ErrClosed, fat.ErrNotDir, fat.ErrIsDir, fat.ErrNotEmpty,
		fat.ErrNoSpace, fat.ErrTooBig, fat.ErrReadOnly, fat.ErrLoop,
	} {
		if errors.Is(err, plain) {
			return plain
		}
	}
	return err
}
