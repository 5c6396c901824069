package device

import "fmt"

// readOnly is a device that refuses every change.
type readOnly struct{ d Device }

// ReadOnly returns d without the means to change it: WriteAt, ZeroAt and DiscardAt return
// ErrReadOnly. Sync has nothing to do and succeeds.
func ReadOnly(d Device) Device {
	if r, ok := d.(*readOnly); ok {
		return r
	}
	return &readOnly{d}
}

func (r *readOnly) ReadAt(p []byte, off int64) (int, error) { return r.d.ReadAt(p, off) }
func (r *readOnly) Size() int64                             { return r.d.Size() }
func (r *readOnly) Sync() error                             { return nil }
func (r *readOnly) Check() error                            { return Check(r.d) }

func (r *readOnly) WriteAt(p []byte, off int64) (int, error) {
	return 0, readOnlyError("write", off, int64(len(p)))
}
func (r *readOnly) ZeroAt(off, n int64) error    { return readOnlyError("zero", off, n) }
func (r *readOnly) DiscardAt(off, n int64) error { return readOnlyError("discard", off, n) }

func readOnlyError(op string, off, n int64) error {
	return fmt.Errorf("%s of %d bytes at offset %d: %w", op, n, off, ErrReadOnly)
}
