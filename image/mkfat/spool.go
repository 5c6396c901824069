package mkfat

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// A Spool keeps what can be read only once until it is wanted: contents of files from a pipe or from a
// compressed archive. They are in a file without a name, which needs as much room as the image will.
type Spool struct {
	dir  string
	f    *os.File
	w    *bufio.Writer
	size int64
	// Progress, unless nil, is called with the number of bytes of each piece that is kept.
	Progress func(n int64)
}

// spoolPiece is how much is written at once.
const spoolPiece = 1 << 20

// NewSpool returns a spool whose file will be in dir. Close gives its room back.
func NewSpool(dir string) *Spool { return &Spool{dir: dir} }

// keep reads n bytes; open gives them again.
func (s *Spool) keep(r io.Reader, n int64) (open func() (Contents, error), err error) {
	if s.f == nil {
		if s.f, err = os.CreateTemp(s.dir, ".fatvol-spool-"); err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
		if err := os.Remove(s.f.Name()); err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
		s.w = bufio.NewWriterSize(s.f, spoolPiece)
	}
	off := s.size
	for s.size < off+n {
		m, err := io.CopyN(s.w, r, min(spoolPiece, off+n-s.size))
		s.size += m
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if s.Progress != nil {
			s.Progress(m)
		}
	}
	f := s.f
	return sectionOf(f, off, n), nil
}

// section is a part of a file that stays open.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }

// sectionOf opens the n bytes of f from off on, as often as it is wanted.
func sectionOf(f *os.File, off, n int64) func() (Contents, error) {
	return func() (Contents, error) { return section{io.NewSectionReader(f, off, n)}, nil }
}

func (s *Spool) flush() error {
	if s.w == nil {
		return nil
	}
	return s.w.Flush()
}

// Close removes what is kept.
func (s *Spool) Close() error {
	if s.f == nil {
		return nil
	}
	return s.f.Close()
}
