package device

import "fmt"

// section is the window [off, off+n) of another device.
type section struct {
	d      Device
	off, n int64
}

// NewSection returns the n bytes at off of d as a device of their own. No access through it
// reaches a byte outside of the window: each one is checked, and refused with ErrBounds before
// d sees it. A window which does not lie within d is refused with ErrBounds too.
//
// Sync, ZeroAt, DiscardAt and Check are those of d; Sync covers all of d, not the window only.
func NewSection(d Device, off, n int64) (Device, error) {
	if err := CheckRange("section", off, n, d.Size()); err != nil {
		return nil, err
	}
	if off == 0 && n == d.Size() {
		return d, nil
	}
	return &section{d: d, off: off, n: n}, nil
}

func (s *section) Size() int64  { return s.n }
func (s *section) Sync() error  { return s.d.Sync() }
func (s *section) Check() error { return Check(s.d) }

func (s *section) ReadAt(p []byte, off int64) (int, error) {
	if err := s.check("read", off, int64(len(p))); err != nil {
		return 0, err
	}
	return s.d.ReadAt(p, s.off+off)
}

func (s *section) WriteAt(p []byte, off int64) (int, error) {
	if err := s.check("write", off, int64(len(p))); err != nil {
		return 0, err
	}
	return s.d.WriteAt(p, s.off+off)
}

func (s *section) ZeroAt(off, n int64) error {
	if err := s.check("zero", off, n); err != nil {
		return err
	}
	return ZeroAt(s.d, s.off+off, n)
}

func (s *section) DiscardAt(off, n int64) error {
	if err := s.check("discard", off, n); err != nil {
		return err
	}
	return DiscardAt(s.d, s.off+off, n)
}

// check is CheckRange against the window. That s.off+off cannot overflow follows from it: the
// window lies within a device whose size is an int64.
func (s *section) check(op string, off, n int64) error {
	if err := CheckRange(op, off, n, s.n); err != nil {
		return fmt.Errorf("section at offset %d: %w", s.off, err)
	}
	return nil
}
