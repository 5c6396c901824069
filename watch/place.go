package watch

import (
	"path/filepath"
	"strings"
)

// A Place is where an image is on its host: what detectors watch.
type Place struct {
	// Generation is the one whose image this is, or 0 while the medium is not there: then this is
	// where it was last.
	Generation uint64
	// Asked is Config.Path, made absolute.
	Asked string
	// Path leads to the image without symbolic links. "" where the host cannot say.
	Path string
	// Known: the fields below hold something.
	Known bool
	// Dev and Ino are the image's st_dev and st_ino. Rdev is its st_rdev if it is a block device.
	Dev, Ino, Rdev uint64
	// Mount identifies the mount through which the image was opened: Linux's mount id, or the
	// file system's id elsewhere. "" where it is not known.
	Mount string
}

// locate finds out where the image is that host has open. was is what was known before: as long as the
// path is the same, the host is not asked for more. It blocks as the host does.
func locate(host Host, was Place) Place {
	p := Place{Generation: was.Generation, Asked: was.Asked}
	if h, ok := host.(placer); ok {
		q, err := h.Place()
		if err != nil {
			return was
		}
		q.Generation, q.Asked = was.Generation, was.Asked
		return q
	}
	h, ok := host.(descriptor)
	if !ok {
		return was
	}
	rc, err := h.SyscallConn()
	if err != nil {
		return was
	}
	err = nil
	cerr := rc.Control(func(fd uintptr) { err = p.fill(int(fd), was) })
	if cerr != nil || err != nil {
		return was
	}
	return p
}

// absolute makes a path absolute without looking at anything but the working directory.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// isAbove reports whether the directory dir is path or leads to it.
func isAbove(dir, path string) bool {
	if dir == path {
		return true
	}
	if !strings.HasSuffix(dir, "/") {
		dir += "/"
	}
	return strings.HasPrefix(path, dir)
}

// holds reports whether something at dir can change what the image's path leads to.
func (p *Place) holds(dir string) bool {
	return p.Path != "" && isAbove(dir, p.Path) || isAbove(dir, p.Asked)
}
