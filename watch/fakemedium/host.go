package fakemedium

import (
	"os"
	"sync/atomic"
	"syscall"

	"fatvol/watch"
)

// A host is an open image.
type host struct {
	slot     *Slot
	mount    *mount
	size     int64
	writable bool
	closed   atomic.Bool
}

var _ watch.Host = (*host)(nil)

func (h *host) enter(op string, off, n int64) error {
	if h.closed.Load() {
		return os.ErrClosed
	}
	return h.slot.enter(Call{Op: op, Off: off, Len: n})
}

func (h *host) enterChange(op string, off, n int64) error {
	if err := h.enter(op, off, n); err != nil {
		return err
	}
	if !h.writable || h.slot.isReadOnly() {
		return syscall.EROFS
	}
	return nil
}

// Size implements watch.Host.
func (h *host) Size() int64 { return h.size }

// Writable tells whether the image was opened for writing.
func (h *host) Writable() bool { return h.writable }

// HostReadOnly tells whether the host is mounted read-only.
func (h *host) HostReadOnly() (bool, error) { return h.slot.isReadOnly(), nil }

// HostRoom reports a host with much room.
func (h *host) HostRoom() (int64, error) { return 1 << 40, h.enter("statfs", 0, 0) }

func (h *host) ReadAt(p []byte, off int64) (int, error) {
	if err := h.enter("read", off, int64(len(p))); err != nil {
		return 0, err
	}
	if err := h.mount.access(p, off, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (h *host) WriteAt(p []byte, off int64) (int, error) {
	if err := h.enterChange("write", off, int64(len(p))); err != nil {
		return 0, err
	}
	if err := h.mount.access(p, off, true); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (h *host) Sync() error {
	if err := h.enter("sync", 0, 0); err != nil {
		return err
	}
	if h.slot.isReadOnly() {
		return nil // says so, and has written nothing: real ones do
	}
	return h.mount.sync()
}

func (h *host) Probe() error {
	if err := h.enter("probe", 0, 0); err != nil {
		return err
	}
	return h.mount.probe(h.size)
}

func (h *host) ZeroAt(off, n int64) error {
	if err := h.enterChange("zero", off, n); err != nil {
		return err
	}
	return h.mount.access(make([]byte, n), off, true)
}

func (h *host) DiscardAt(off, n int64) error { return h.enterChange("discard", off, n) }

func (h *host) Close() error {
	if h.closed.Swap(true) {
		return os.ErrClosed
	}
	err := h.slot.enter(Call{Op: "close"})
	h.slot.closed()
	return err
}
