package automount

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"fatvol/image"
	"fatvol/image/device"
)

// A Volume is a FAT volume in an image.
type Volume struct {
	Partition int    `json:"partition"` // its number; 0 is the whole image
	Label     string `json:"label"`
	Kind      string `json:"kind"` // FAT12, FAT16 or FAT32
	Serial    string `json:"serial"`
}

// A Found is a file whose name is that of an image.
type Found struct {
	Path    string   `json:"path"` // below the medium's mount point
	Volumes []Volume `json:"volumes"`
	Refused string   `json:"refused"` // why it is not mounted; "" if it is
}

// has reports whether a volume with the serial number is in it.
func (f *Found) has(serial string) bool {
	return slices.ContainsFunc(f.Volumes, func(v Volume) bool { return v.Serial == serial })
}

// A Search is what was found on a medium.
type Search struct {
	Files []Found  `json:"files"`
	Notes []string `json:"notes"` // what was not looked at
	Seen  int      `json:"seen"`  // names
}

// search looks for images on the file system whose root is dir. It follows no symbolic link, and leaves that
// file system nowhere. The level that is nearest to the top comes first.
func search(ctx context.Context, dir string, cfg Images) (*Search, error) {
	root, err := openRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	w := &walk{ctx: ctx, root: root, cfg: cfg, result: &Search{Files: []Found{}}}
	level := []string{"."}
	for depth := 1; depth <= cfg.Depth && len(level) > 0; depth++ {
		var below []string
		for _, folder := range level {
			more, err := w.folder(folder)
			if errors.Is(err, errEnough) || ctx.Err() != nil {
				w.note("the search ended early, after %d names (entries, time)", w.result.Seen)
				return w.result, nil
			}
			if folder == "." && err != nil {
				return nil, err
			}
			if err != nil {
				w.note("%s: %v", folder, err)
				continue
			}
			below = append(below, more...)
		}
		level = below
	}
	if len(level) > 0 {
		w.note("%d folders below level %d were not searched (depth)", len(level), cfg.Depth)
	}
	return w.result, nil
}

// A rootDir opens what is below a folder, and nothing else.
type rootDir interface {
	// Open opens the file or folder for reading. It does not wait for the other end of a FIFO.
	Open(name string) (*os.File, error)
	Close() error
}

// errEnough ends a search that has looked at as much as it may.
var errEnough = errors.New("enough")

type walk struct {
	ctx    context.Context
	root   rootDir
	cfg    Images
	result *Search
}

// maxNotes bounds what is told of a medium that is damaged all over.
const maxNotes = 50

func (w *walk) note(format string, args ...any) {
	if len(w.result.Notes) < maxNotes {
		w.result.Notes = append(w.result.Notes, fmt.Sprintf(format, args...))
	}
}

// folder looks at the files of one folder, and returns the folders in it.
func (w *walk) folder(name string) (below []string, err error) {
	entries, err := w.list(name)
	if err != nil && len(entries) == 0 {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if w.ctx.Err() != nil {
			return below, w.ctx.Err()
		}
		p := path.Join(name, e.Name())
		switch {
		case e.IsDir() && !strings.HasPrefix(e.Name(), "."):
			below = append(below, p)
		case matching(w.cfg.Patterns, strings.ToLower(e.Name())) == "":
		case e.Type()&fs.ModeSymlink != 0:
			w.add(Found{Path: p, Refused: "a symbolic link, which is never followed"})
		case e.Type()&^fs.ModeIrregular != 0:
			w.add(Found{Path: p, Refused: "not a regular file"})
		default:
			w.add(w.file(p))
		}
	}
	return below, err
}

// list reads the names in a folder, as many as may still be looked at.
func (w *walk) list(name string) ([]fs.DirEntry, error) {
	f, err := w.root.Open(name)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	left := w.cfg.Entries - w.result.Seen
	if left <= 0 {
		return nil, errEnough
	}
	entries, err := f.ReadDir(left)
	w.result.Seen += len(entries)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil && len(entries) == left {
		err = errEnough
	}
	return entries, reason(err)
}

func (w *walk) add(f Found) {
	n := 0
	for _, other := range w.result.Files {
		if other.Refused == "" {
			n++
		}
	}
	if f.Refused == "" && n >= w.cfg.AtMost {
		f.Refused = fmt.Sprintf("the medium has more than %d images (at-most)", w.cfg.AtMost)
	}
	w.result.Files = append(w.result.Files, f)
}

// file looks into a file.
func (w *walk) file(name string) (found Found) {
	found.Path = name
	f, err := w.root.Open(name)
	if err != nil {
		found.Refused = reason(err).Error()
		return found
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		found.Refused = reason(err).Error()
	case !info.Mode().IsRegular():
		found.Refused = "not a regular file"
	case info.Size() < w.cfg.MinSize:
		found.Refused = fmt.Sprintf("%d bytes, fewer than %d (min-size)", info.Size(), w.cfg.MinSize)
	case w.cfg.MaxSize > 0 && info.Size() > w.cfg.MaxSize:
		found.Refused = fmt.Sprintf("%d bytes, more than %d (max-size)", info.Size(), w.cfg.MaxSize)
	default:
		found.Volumes, found.Refused = volumes(f, info.Size())
	}
	if len(found.Volumes) > 1 && w.cfg.Several == "skip" {
		found.Refused = fmt.Sprintf("%d FAT volumes (several = \"skip\")", len(found.Volumes))
	}
	return found
}

// volumes are the FAT volumes in an open image, or why there is none.
func volumes(f *os.File, size int64) (list []Volume, refused string) {
	layout, err := image.Scan(readDevice{f, size})
	if err != nil {
		return nil, reason(err).Error()
	}
	refused = "no FAT volume"
	for _, p := range layout.Partitions {
		switch c := p.Content; {
		case p.Extended:
		case c.IsFAT() && c.Err == nil && p.Err == nil:
			list = append(list, Volume{p.Number, c.Label, c.Kind, c.Serial()})
		case c.Err != nil:
			refused = c.Err.Error()
		case p.Err != nil:
			refused = p.Err.Error()
		case len(layout.Partitions) == 1 && c.Kind != "":
			refused = fmt.Sprintf("no FAT volume (%s)", c.Kind)
		}
	}
	if len(list) > 0 {
		refused = ""
	}
	return list, refused
}

// readDevice is a file that is only read.
type readDevice struct {
	f    *os.File
	size int64
}

func (d readDevice) Size() int64                              { return d.size }
func (d readDevice) Sync() error                              { return nil }
func (d readDevice) WriteAt(p []byte, off int64) (int, error) { return 0, device.ErrReadOnly }
func (d readDevice) ReadAt(p []byte, off int64) (int, error) {
	if err := device.CheckRange("read", off, int64(len(p)), d.size); err != nil {
		return 0, err
	}
	n, err := d.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // it became shorter
	}
	return n, err
}

// reason is the cause in an error that names a path which the message around it has said.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
