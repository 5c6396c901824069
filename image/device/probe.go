package device

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
)

// lostError is the type of errors that mean that an image is not there any more although the host
// reads and writes it without complaint. Who cannot import this package asks for the method.
type lostError string

func (e lostError) Error() string { return string(e) }

// Lost reports that the image, or the medium under it, is gone.
func (lostError) Lost() bool { return true }

// Errors of Probe. Both have a method Lost() bool that returns true.
var (
	// ErrDeleted is returned when the file has no name any more: it lives until it is closed, and all
	// that is written to it dies then.
	ErrDeleted error = lostError("the image was deleted")
	// ErrShrank is returned when the file is shorter than it was when it was opened.
	ErrShrank error = lostError("the image shrank")
)

// probeSize is the number of bytes that Probe reads: a multiple of every sector size in use.
const probeSize = 4096

// A prober is the part of a Host that looks past the host's caches.
type prober struct {
	links    uint64                  // names that the file had when it was opened
	direct   atomic.Pointer[os.File] // a second descriptor whose reads are not cached; nil until the first probe
	noDirect atomic.Bool             // the host refuses such a descriptor, or reads through it
	closed   atomic.Bool
	noNoWait atomic.Bool // the host, or the system, cannot say what is cached
	inMemory bool        // the host has no device that could make a read of what is cached wait

	noCachestat atomic.Bool // the system is too old for it
	residency   residency   // instead
}

// init takes down what the file is like.
func (p *prober) init(st os.FileInfo) {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		p.links = uint64(sys.Nlink)
	}
}

// Probe reads the first block from the medium itself, past the host's cache where the host has a way
// for that, and looks whether the file still has a name and its length. It blocks for as long as the
// medium takes to answer.
//
// A file that was deleted is ErrDeleted, a shorter one ErrShrank; io.ErrUnexpectedEOF is a first block
// that the host says is there and does not give. Other errors are the host's.
func (h *Host) Probe() error {
	n, err := h.readUncached(aligned(probeSize))
	if err == nil {
		err = h.probeFile()
	}
	if err == nil && int64(n) < min(h.size, probeSize) {
		err = fmt.Errorf("the file ends at %d, it had %d bytes: %w", n, h.size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return hostError(h.path, "probe", err)
	}
	return nil
}

// probeFile looks at the file, not at its contents.
func (h *Host) probeFile() error {
	if h.disk {
		return nil
	}
	st, err := h.f.Stat()
	if err != nil {
		return err
	}
	if st.Size() < h.size {
		return fmt.Errorf("%w from %d to %d bytes", ErrShrank, h.size, st.Size())
	}
	// Some hosts count no names at all, not even of a file that has one.
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Nlink == 0 && h.probe.links > 0 {
		return ErrDeleted
	}
	return nil
}

// readThrough reads from the start through a descriptor, once: a short count is the end of the file.
func readThrough(f *os.File, p []byte) (n int, err error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := rc.Control(func(fd uintptr) {
		for {
			if n, err = syscall.Pread(int(fd), p, 0); !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	if cerr != nil {
		return 0, os.ErrClosed
	}
	return max(n, 0), err
}

// release closes the second descriptor, and what was mapped. It waits for nobody who waits for the medium.
func (p *prober) release() {
	p.closed.Store(true)
	p.residency.close()
	if f := p.direct.Swap(nil); f != nil {
		f.Close()
	}
}

// keep makes f the second descriptor, unless another probe was quicker or the host was closed
// meanwhile, and returns the one to use; nil if there is none.
func (p *prober) keep(f *os.File) *os.File {
	if !p.direct.CompareAndSwap(nil, f) {
		f.Close()
		return p.direct.Load()
	}
	if p.closed.Load() {
		p.release()
		return nil
	}
	return f
}
