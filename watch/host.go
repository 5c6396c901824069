package watch

import (
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Host is an open image on a medium: what Medium guards. Any of its calls may block for ever.
type Host interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes what was written durable.
	Sync() error
	// Size is the length in bytes when it was opened. It does not block.
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

// What a Host may be able to do besides.
type (
	// noWaiter reads what takes no waiting for the medium, and returns false for what would. It never
	// blocks: it is called without a deadline.
	noWaiter interface {
		ReadNoWait(p []byte, off int64) (done bool, err error)
	}
	// readOnlyTeller knows whether the host takes writes now.
	readOnlyTeller interface{ HostReadOnly() (bool, error) }
	// roomTeller knows how many bytes the host has room for, besides what it holds.
	roomTeller interface{ HostRoom() (int64, error) }
	// writableTeller knows whether the image was opened for writing. It does not block.
	writableTeller interface{ Writable() bool }
	// descriptor lets Medium find out where the image is; see Place.
	descriptor interface {
		SyscallConn() (syscall.RawConn, error)
	}
	// placer says where it is itself.
	placer interface{ Place() (Place, error) }
)

// meaning is what an error of the host says of the medium.
type meaning uint8

const (
	// harmless: the medium is there, the call failed for reasons of its own.
	harmless meaning = iota
	// doubtful: media that go fail so, and others too: a bad sector is an EIO as well. A probe tells.
	doubtful
	// lost: the medium is not there, or not what it was.
	lost
)

// meanings of the errnos of hosts. What is not here is harmless.
var meanings = map[syscall.Errno]meaning{
	syscall.ENXIO:     lost,
	syscall.ENODEV:    lost,
	enomedium:         lost,
	syscall.ESTALE:    lost,
	syscall.ENOTCONN:  lost,
	syscall.ESHUTDOWN: lost,
	syscall.EBADF:     lost,

	syscall.EIO:          doubtful,
	eremoteio:            doubtful,
	syscall.ETIMEDOUT:    doubtful,
	syscall.ENOLINK:      doubtful, // of a disk that its controller does not reach any more
	syscall.EHOSTDOWN:    doubtful,
	syscall.EHOSTUNREACH: doubtful,
	syscall.ENETDOWN:     doubtful,
	syscall.ENETUNREACH:  doubtful,
	syscall.ENETRESET:    doubtful,
	syscall.ECONNABORTED: doubtful,
	syscall.ECONNREFUSED: doubtful,
	syscall.ECONNRESET:   doubtful,
	syscall.EPIPE:        doubtful,
	syscall.EPROTO:       doubtful,
	// Hosts turn read-only when the device under them fails, and when their user wants it.
	syscall.EROFS: doubtful,
}

// meaningOf says what an error of a call of the host means.
func meaningOf(err error) meaning {
	var teller interface{ Lost() bool }
	switch {
	case errors.Is(err, errDeadline), errors.Is(err, io.ErrUnexpectedEOF):
		return lost
	case errors.As(err, &teller) && teller.Lost():
		return lost
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return meanings[errno]
	}
	return harmless
}

// readOnlyError is what writes return while the host takes none.
type readOnlyError struct{ op string }

func (e readOnlyError) Error() string {
	return fmt.Sprintf("%s: the host is read-only: %v", e.op, syscall.EROFS)
}

func (readOnlyError) Unwrap() error { return syscall.EROFS }
