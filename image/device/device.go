// Package device is the seam between the FAT engine and whatever holds the bytes of a volume.
//
// The engine reads and writes a Device and nothing else; it knows no paths and no host file
// system. A host file, a section of it, a fault injector, the medium's gate and the
// replay log are all Devices that wrap one another.
//
// Error contract: a Device returns the cause of a failure wrapped with the operation and the
// offset. It never returns a short count without an error, never reports success for bytes that
// it did not transfer, and never retries.
package device

import (
	"errors"
	"fmt"
	"io"
)

// Errors of this package. All of them reach callers wrapped.
var (
	// ErrBounds is returned when an access touches a byte outside of [0, Size()).
	ErrBounds = errors.New("access outside of the device")
	// ErrReadOnly is returned when a device that was opened for reading only is written to.
	ErrReadOnly = errors.New("device is read-only")
)

// Device is a fixed-size, random-access array of bytes. All methods may be called concurrently.
type Device interface {
	// ReadAt fills p from the byte offset off. Unlike io.ReaderAt it never returns io.EOF
	// for a full read that ends at Size(): n == len(p) and err == nil go together.
	io.ReaderAt
	// WriteAt writes p at the byte offset off; n < len(p) implies an error.
	io.WriterAt
	// Sync returns once everything written before the call is on stable storage.
	Sync() error
	// Size is the length in bytes. It does not change while the device is open.
	Size() int64
}

// Zeroer is implemented by devices that can make a range read as zeros more cheaply than by
// writing zeros to it, for instance by punching a hole into the host file.
type Zeroer interface {
	// ZeroAt makes the n bytes at off read as zeros.
	ZeroAt(off, n int64) error
}

// Discarder is implemented by devices that can give back the storage under a range whose
// contents are no longer of interest. The range reads as anything afterwards.
type Discarder interface {
	// DiscardAt gives back the n bytes at off. A device that cannot returns errors.ErrUnsupported.
	DiscardAt(off, n int64) error
}

// Checker is implemented by devices that can vanish.
type Checker interface {
	// Check returns nil while the device is there, and otherwise why it is not. It costs an
	// atomic load: callers ask before each operation and never wait.
	Check() error
}

// Check asks d, if it is a Checker, whether it is there.
func Check(d Device) error {
	if c, ok := d.(Checker); ok {
		return c.Check()
	}
	return nil
}

// zeroChunk bounds the buffer of zeros that ZeroAt writes where a device cannot do better.
const zeroChunk = 1 << 18

var zeros [zeroChunk]byte

// ZeroAt makes the n bytes at off of d read as zeros, by the device's own means where it has
// some and by writing zeros otherwise.
func ZeroAt(d Device, off, n int64) error {
	if z, ok := d.(Zeroer); ok {
		return z.ZeroAt(off, n)
	}
	if err := CheckRange("zero", off, n, d.Size()); err != nil {
		return err
	}
	for n > 0 {
		m := min(n, zeroChunk)
		if _, err := d.WriteAt(zeros[:m], off); err != nil {
			return err
		}
		off += m
		n -= m
	}
	return nil
}

// DiscardAt gives back the storage under a range of d, or returns errors.ErrUnsupported.
func DiscardAt(d Device, off, n int64) error {
	if t, ok := d.(Discarder); ok {
		return t.DiscardAt(off, n)
	}
	return fmt.Errorf("discard: %w", errors.ErrUnsupported)
}

// CheckRange returns ErrBounds, with the numbers, unless [off, off+n) lies within [0, size).
func CheckRange(op string, off, n, size int64) error {
	if off < 0 || n < 0 || off > size || n > size-off {
		return fmt.Errorf("%s of %d bytes at offset %d, device has %d: %w", op, n, off, size, ErrBounds)
	}
	return nil
}
