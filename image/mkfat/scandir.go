package mkfat

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ScanOptions say what becomes of what is no file or directory.
type ScanOptions struct {
	// Follow stores what symbolic links lead to; otherwise they are refused.
	Follow bool
	// Except, unless nil, is a file that is left out: the image itself, where it lies in the tree.
	Except os.FileInfo
}

var (
	errSymlink = errors.New("symbolic link")
	errLoop    = errors.New("symbolic link to a directory that it is in")
	errSpecial = errors.New("no file and no directory")
)

// ScanDir makes a tree of what is in a directory of the host, in the order of names. A file with several
// names is stored under each of them. Nothing is read but names and attributes; the files are opened when the
// image is written.
func ScanDir(dir string, opt ScanOptions) (*Node, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	s := dirScanner{opt: opt}
	root := &Node{Dir: true}
	return root, s.list(root, dir, []os.FileInfo{st})
}

type dirScanner struct{ opt ScanOptions }

// list adds what is in the directory at path to d. above are the directories on the way there.
func (s *dirScanner) list(d *Node, path string, above []os.FileInfo) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	d.Children = make([]*Node, 0, len(entries))
	for _, e := range entries {
		below := filepath.Join(path, e.Name())
		st, err := e.Info()
		if err != nil {
			return err
		}
		if s.opt.Except != nil && os.SameFile(st, s.opt.Except) {
			continue
		}
		n, err := s.node(below, st, above)
		if err != nil {
			return err
		}
		n.Name = e.Name()
		d.Children = append(d.Children, n)
	}
	return nil
}

func (s *dirScanner) node(path string, st os.FileInfo, above []os.FileInfo) (*Node, error) {
	if st.Mode()&fs.ModeSymlink != 0 {
		to, err := os.Stat(path)
		switch {
		case !s.opt.Follow:
			return &Node{Refused: errSymlink}, nil
		case err != nil:
			return &Node{Refused: fmt.Errorf("%w: %w", errSymlink, err)}, nil
		}
		st = to
	}
	switch {
	case st.Mode().IsRegular():
		return &Node{
			Size: st.Size(), ModTime: st.ModTime(), ReadOnly: isReadOnly(st.Mode()),
			Open: func() (io.ReadCloser, error) { return openFile(path) },
		}, nil
	case !st.IsDir():
		return &Node{Refused: fmt.Errorf("%s: %w", kindName(st.Mode()), errSpecial)}, nil
	}
	for _, up := range above {
		if os.SameFile(up, st) {
			return &Node{Refused: errLoop}, nil
		}
	}
	n := &Node{Dir: true, ModTime: st.ModTime()}
	return n, s.list(n, path, append(above[:len(above):len(above)], st))
}

// isReadOnly is the rule of Linux' vfat: a file that nobody may write to.
func isReadOnly(m fs.FileMode) bool { return m&0o222 == 0 }

func kindName(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "FIFO"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// IsSymlink reports whether the reason for a refusal is that something is a symbolic link.
func IsSymlink(err error) bool { return errors.Is(err, errSymlink) }
