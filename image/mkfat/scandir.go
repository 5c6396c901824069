package mkfat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// maxListers bounds the directories that are listed side by side.
const maxListers = 8

// ScanDir makes a tree of what is in a directory of the host, in the order of names. A file with several
// names is stored under each of them. Nothing is read but names and attributes; the files are opened when the
// image is written.
func ScanDir(dir string, opt ScanOptions) (*Node, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Stat(dir, &st) }); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	s := dirScanner{follow: opt.Follow, listers: make(chan struct{}, maxListers-1)}
	if opt.Except != nil {
		if sys, ok := opt.Except.Sys().(*syscall.Stat_t); ok {
			s.except = fileID{uint64(sys.Dev), uint64(sys.Ino)}
		}
	}
	root := &Node{Dir: true}
	s.list(root, dir, []fileID{idOf(&st)})
	s.wg.Wait()
	return root, s.mu.err
}

// A dirScanner makes the tree with several goroutines, each of which lists a directory and those below it.
type dirScanner struct {
	follow  bool
	except  fileID
	listers chan struct{} // one for each goroutine besides the first
	wg      sync.WaitGroup

	mu struct {
		sync.Mutex
		err error // the first one
	}
}

// A fileID tells files of the host apart; the zero value is none.
type fileID struct{ dev, ino uint64 }

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), uint64(st.Ino)} }

func (s *dirScanner) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err == nil {
		s.mu.err = err
	}
}

func (s *dirScanner) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.err != nil
}

// list adds what is in the directory at path to d, and what is below it. above are the directories on the way
// there, with this one.
func (s *dirScanner) list(d *Node, path string, above []fileID) {
	if s.failed() {
		return
	}
	ids, err := s.entries(d, path, above)
	if err != nil {
		s.fail(err)
		return
	}
	for i, n := range d.Children {
		if !n.Dir {
			continue
		}
		below := func() {
			s.list(n, filepath.Join(path, n.Name), append(above[:len(above):len(above)], ids[i]))
		}
		select {
		case s.listers <- struct{}{}:
			s.wg.Go(func() {
				below()
				<-s.listers
			})
		default:
			below()
		}
	}
}

// entries adds what is in one directory, and returns which files they are.
func (s *dirScanner) entries(d *Node, path string, above []fileID) (ids []fileID, err error) {
	fd, err := openRaw(path, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	names, err := readNames(fd, path)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	nodes := make([]Node, len(names))
	d.Children = make([]*Node, 0, len(names))
	ids = make([]fileID, 0, len(names))
	var st unix.Stat_t
	for i, name := range names {
		if err := statAt(fd, path, name, unix.AT_SYMLINK_NOFOLLOW, &st); err != nil {
			return nil, err
		}
		if s.except != (fileID{}) && idOf(&st) == s.except {
			continue
		}
		n := &nodes[i]
		n.Name = name
		s.describe(n, fd, path, &st, above)
		d.Children = append(d.Children, n)
		ids = append(ids, idOf(&st))
	}
	return ids, nil
}

// describe says what is to be stored under a name of the directory fd at path, of which st says what it is; of
// a symbolic link that is followed, st becomes what it leads to.
func (s *dirScanner) describe(n *Node, fd int, path string, st *unix.Stat_t, above []fileID) {
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		if !s.follow {
			n.Refused = errSymlink
			return
		}
		if err := statAt(fd, path, n.Name, 0, st); err != nil {
			n.Refused = fmt.Errorf("%w: %w", errSymlink, err)
			return
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		n.Size, n.ModTime, n.ReadOnly = st.Size, time.Unix(st.Mtim.Unix()), isReadOnly(fs.FileMode(st.Mode).Perm())
		n.Open = func() (Contents, error) { return openFile(path + "/" + n.Name) }
	case unix.S_IFDIR:
		if slices.Contains(above, idOf(st)) {
			n.Refused = errLoop
			return
		}
		n.Dir, n.ModTime = true, time.Unix(st.Mtim.Unix())
	default:
		n.Refused = fmt.Errorf("%s: %w", kindName(modeType(uint32(st.Mode))), errSpecial)
	}
}

func statAt(fd int, path, name string, flags int, st *unix.Stat_t) error {
	if err := retry(func() error { return unix.Fstatat(fd, name, st, flags) }); err != nil {
		return &fs.PathError{Op: "stat", Path: filepath.Join(path, name), Err: err}
	}
	return nil
}

// readNames lists an open directory, without the dots.
func readNames(fd int, path string) (names []string, err error) {
	const size = 32 << 10
	buf := make([]byte, size)
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.ReadDirent(fd, buf)
			return err
		})
		switch {
		case err != nil:
			return nil, &fs.PathError{Op: "read directory", Path: path, Err: err}
		case n <= 0:
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// isReadOnly is the rule of Linux' vfat: a file that nobody may write to.
func isReadOnly(m fs.FileMode) bool { return m&0o222 == 0 }

// modeType is the type in a mode of the system, where it is neither file nor directory nor link.
func modeType(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return fs.ModeSocket
	case unix.S_IFBLK, unix.S_IFCHR:
		return fs.ModeDevice
	}
	return fs.ModeIrregular
}

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
