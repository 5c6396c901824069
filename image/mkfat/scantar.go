package mkfat

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"fatvol/image/fat"
)

// ErrNotTar is returned by ScanTar for bytes that are no tar archive.
var ErrNotTar = errors.New("not a tar archive")

// ScanTar makes a tree of a tar archive, in the order in which it is there; of several entries with one
// name the last one counts. It may be compressed with gzip, zstd, xz or bzip2. A hard link is stored as
// another copy of its file.
//
// A regular file that is not compressed is indexed only, and read again when the image is written. Of
// anything else, such as a pipe, the contents go to the spool.
func ScanTar(r io.Reader, spool *Spool, opt ScanOptions) (*Node, error) {
	s := tarScanner{opt: opt, spool: spool, byPath: map[string]*Node{}, links: map[*Node]string{}}
	s.root = &Node{Dir: true}
	s.byPath[""] = s.root
	if f, ok := r.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
			s.file = f
		}
	}
	in, done, err := s.open(r)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := s.scan(&endWatch{r: in}); err != nil {
		return nil, err
	}
	if s.file == nil {
		// What comes behind the end is the checksum of what was compressed, and filling that its writer wants
		// to be rid of.
		if _, err := io.Copy(io.Discard, in); err != nil {
			return nil, fmt.Errorf("tar archive: %w", err)
		}
	}
	if opt.Follow {
		l := tarLinks{s.links, s.byPath, map[*Node]*Node{}}
		l.resolve(s.root, nil)
	}
	return s.root, spool.flush()
}

type tarScanner struct {
	opt    ScanOptions
	spool  *Spool
	file   *os.File // the archive, where its contents can be read again
	root   *Node
	byPath map[string]*Node
	links  map[*Node]string // symbolic links to follow, and where they lead
}

// open finds out how the archive is compressed. done gives back what the decompressor holds.
func (s *tarScanner) open(r io.Reader) (in io.Reader, done func(), err error) {
	done = func() {}
	var head []byte
	if s.file != nil {
		head = make([]byte, 6)
		at, err := s.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, nil, err
		}
		n, err := s.file.ReadAt(head, at)
		if err != nil && err != io.EOF {
			return nil, nil, err
		}
		head = head[:n]
	} else {
		b := bufio.NewReaderSize(r, 1<<20)
		if head, err = b.Peek(6); err != nil && err != io.EOF {
			return nil, nil, err
		}
		r = b
	}
	if len(head) == 0 {
		return nil, nil, fmt.Errorf("%w: it is empty", ErrNotTar)
	}
	packed := s.file
	s.file = nil
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		in, err = gzip.NewReader(r)
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r); err == nil {
			in, done = z, z.Close
		}
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		in, err = xz.NewReader(r)
	case bytes.HasPrefix(head, []byte("BZh")):
		in = bzip2.NewReader(r)
	default:
		s.file = packed
		in = r
	}
	return in, done, err
}

// An endWatch remembers whether the block that was read last is zeros: the end of an archive. A program that ended
// too early must not pass for one that was done, and package tar takes any end between two entries for that of the
// archive.
type endWatch struct {
	r    io.Reader
	zero bool
}

// Read fills p, so that headers, and they alone between two entries, come as whole blocks.
func (e *endWatch) Read(p []byte) (int, error) {
	n, err := io.ReadFull(e.r, p)
	if err == io.ErrUnexpectedEOF && n > 0 {
		err = nil // the next call has it; without a byte, it is what a decompressor says of data that are cut off
	}
	if n > 0 {
		e.zero = n == tarBlock && len(bytes.Trim(p[:n], "\x00")) == 0
	}
	return n, err
}

// Seek lets package tar skip the contents of a file; where that cannot be done it reads them.
func (e *endWatch) Seek(offset int64, whence int) (int64, error) {
	if s, ok := e.r.(io.Seeker); ok {
		return s.Seek(offset, whence)
	}
	return 0, errors.ErrUnsupported
}

// tarBlock is the unit of archives, in bytes.
const tarBlock = 512

func (s *tarScanner) scan(in *endWatch) error {
	t := tar.NewReader(in)
	for first := true; ; first = false {
		in.zero = false
		h, err := t.Next()
		switch {
		case err == io.EOF && in.zero:
			return nil
		case err == io.EOF:
			return fmt.Errorf("tar archive: its end is missing: %w", io.ErrUnexpectedEOF)
		case first && (errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF)):
			return ErrNotTar
		case err != nil:
			return fmt.Errorf("tar archive: %w", err)
		}
		if err := s.entry(t, h); err != nil {
			return fmt.Errorf("tar archive: %s: %w", h.Name, err)
		}
	}
}

func (s *tarScanner) entry(t *tar.Reader, h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	n := &Node{ModTime: h.ModTime}
	at := cleanPath(h.Name)
	switch h.Typeflag {
	case tar.TypeDir:
		s.directory(at).ModTime = h.ModTime
		return nil
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		n.Size, n.ReadOnly = h.Size, isReadOnly(h.FileInfo().Mode())
		if n.Size > 0 && n.Size <= fat.MaxFileSize {
			if err := s.contents(t, h, n); err != nil {
				return err
			}
		}
	case tar.TypeLink:
		to := s.byPath[cleanPath(h.Linkname)]
		if to == nil || to.Dir {
			n.Refused = fmt.Errorf("hard link to %q, which is not before it in the archive", h.Linkname)
		} else {
			*n = *to
			if target, is := s.links[to]; is {
				s.links[n] = target
			}
		}
	case tar.TypeSymlink:
		n.Refused = errSymlink
		if s.opt.Follow {
			s.links[n] = h.Linkname
		}
	default:
		n.Refused = fmt.Errorf("%s: %w", kindName(h.FileInfo().Mode()), errSpecial)
	}
	if at == "" {
		return nil
	}
	s.add(at, n)
	return nil
}

// cleanPath is a path below the root of the archive, whatever it says.
func cleanPath(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// directory is the one at that path. It and those above it are made where the archive has not told of them.
func (s *tarScanner) directory(at string) *Node {
	if d := s.byPath[at]; d != nil && d.Dir {
		return d
	}
	s.add(at, &Node{Dir: true})
	return s.byPath[at]
}

// add puts a node into its directory, in the place of what had its name.
func (s *tarScanner) add(at string, n *Node) {
	up, name := path.Split(at)
	d := s.directory(strings.TrimSuffix(up, "/"))
	n.Name, n.parent = name, d
	if old := s.byPath[at]; old != nil && len(old.Children) == 0 {
		delete(s.links, old)
		if target, is := s.links[n]; is {
			delete(s.links, n)
			s.links[old] = target
		}
		*old = *n
		return
	}
	s.byPath[at] = n
	d.Children = append(d.Children, n)
}

// contents says where the bytes of an entry are.
func (s *tarScanner) contents(t *tar.Reader, h *tar.Header, n *Node) error {
	if s.file != nil && !isSparse(h) {
		// The reader does not read ahead: the bytes begin where it stands.
		off, err := s.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		n.Open = sectionOf(s.file, off, h.Size)
		return nil
	}
	open, err := s.spool.keep(t, h.Size)
	n.Open = open
	return err
}

// isSparse reports whether the bytes in the archive are not those of the file.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
