package watch

import (
	"errors"
	"io"
	"syscall"
)

// Host is an open image on a medium: what Medium guards. Any of its calls may block for ever.
type Host interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes what was written durable.
	Sync() error
	// Size is the length in bytes when it was opened.
	Size() int64
	// ZeroAt makes a range read as zeros.
	ZeroAt(off, n int64) error
	// DiscardAt gives back the storage of a range.
	DiscardAt(off, n int64) error
	// Probe reads a little from the medium itself, past every cache. It fails if the medium, or the
	// file, is not what it was: not there, shorter, or without a name.
	Probe() error
	// Close releases the descriptor. Calls under way end by themselves.
	Close() error
}

// lost are the errnos that a host returns when the medium under it is not there any more.
var lost = []syscall.Errno{
	syscall.EIO, syscall.ENXIO, syscall.ENODEV, syscall.ENOMEDIUM, syscall.ESTALE, syscall.ENOTCONN,
	syscall.EREMOTEIO, syscall.ESHUTDOWN, syscall.EBADF, syscall.ETIMEDOUT,
}

// meansLost reports whether an error of the host means that the medium is gone: one of the errnos
// above, or an image that ends before what is read.
func meansLost(err error) bool {
	for _, e := range lost {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errDeadline)
}
