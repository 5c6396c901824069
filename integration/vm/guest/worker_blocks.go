//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"fatvol/integration/vm/guestapi"
)

func directFlag(w guestapi.Work) int {
	if w.Direct {
		return unix.O_DIRECT
	}
	return 0
}

// alignedBuffer is a buffer of n bytes at an address that O_DIRECT takes.
func alignedBuffer(n int) []byte {
	const align = 4096
	p := make([]byte, n+align)
	skip := align - int(uintptr(unsafe.Pointer(&p[0]))%align)
	return p[skip : skip+n]
}

// dropCached makes the kernel forget its clean pages of a file.
func dropCached(f *os.File, w guestapi.Work) {
	if w.Uncached {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
}

// full turns a count that is too small into errShort.
func full(n, want int, err error) error {
	if errors.Is(err, io.EOF) || err == nil && n != want {
		return fmt.Errorf("%w: %d of %d bytes", errShort, n, want)
	}
	return err
}

// pread and pwrite are the plain calls: those of package os go on after a short one.
func pread(f *os.File, p []byte, off int64) (n int, err error) {
	for {
		if n, err = syscall.Pread(int(f.Fd()), p, off); err != syscall.EINTR {
			return n, err
		}
	}
}

func pwrite(f *os.File, p []byte, off int64) (n int, err error) {
	for {
		if n, err = syscall.Pwrite(int(f.Fd()), p, off); err != syscall.EINTR {
			return n, err
		}
	}
}

// checkUnchanged checks a block that Prepare wrote and nobody writes.
func checkUnchanged(p []byte, w guestapi.Work, slot int) error {
	version, err := guestapi.CheckBlock(p, w.File, uint64(slot))
	if err != nil || version != 1 {
		return fmt.Errorf("%w: version %d (%w)", errWrong, version, err)
	}
	return nil
}

// readUnchanged reads and checks a block that Prepare wrote and nobody writes. A read may end before a page
// that cannot be read (pread(2)): what it has must be right, and reading on must say why it ended there. The
// end of the file, or the rest after all, is errShort.
func readUnchanged(f *os.File, p []byte, w guestapi.Work, slot int, off int64) error {
	n, err := pread(f, p, off)
	if err == nil && n >= guestapi.MinBlock && n < len(p) {
		if err := checkUnchanged(p[:n], w, slot); err != nil {
			return err
		}
		if _, err := pread(f, p[n:], off+int64(n)); err != nil {
			return err
		}
	}
	if err := full(n, len(p), err); err != nil {
		return err
	}
	return checkUnchanged(p, w, slot)
}

func startReader(r *recorder) (round func(int), end func(), err error) {
	w := r.work
	f, err := openWork(w, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	buf := alignedBuffer(w.Block)
	return func(int) {
		slot := rand.IntN(w.Slots)
		dropCached(f, w)
		r.do(guestapi.OpRead, slot, func() error {
			return readUnchanged(f, buf, w, slot, int64(slot)*int64(w.Block))
		})
	}, func() { f.Close() }, nil
}

func startMmapReader(r *recorder) (round func(int), end func(), err error) {
	w := r.work
	f, err := openWork(w, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, w.Slots*w.Block, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	buf := make([]byte, w.Block)
	return func(int) {
		slot := rand.IntN(w.Slots)
		block := mapped[slot*w.Block:][:w.Block]
		if w.Uncached {
			_ = unix.Madvise(mapped, unix.MADV_DONTNEED)
			dropCached(f, w)
		}
		r.do(guestapi.OpMmapRead, slot, func() error {
			if err := load(buf, block); err != nil {
				return err
			}
			return checkUnchanged(buf, w, slot)
		})
	}, func() { unix.Munmap(mapped); f.Close() }, nil
}

// load copies from a mapping. A SIGBUS on the way is errFault.
func load(dst, src []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errFault
		}
	}()
	copy(dst, src)
	return nil
}

func startWriter(r *recorder) (round func(int), end func(), err error) {
	w := r.work
	f, acks, err := openAcked(w, func() (*os.File, error) { return openWork(w, os.O_RDWR) })
	if err != nil {
		return nil, nil, err
	}
	r.ledger = make(guestapi.Ledger, w.Slots)
	for slot := range r.ledger {
		r.ledger[slot] = guestapi.LedgerSlot{Acked: 1, Synced: 1}
	}
	buf := alignedBuffer(w.Block)
	unsynced := map[int]bool{}
	return func(n int) {
		slot := n % w.Slots
		at := &r.ledger[slot]
		version := at.Acked + 1
		guestapi.FillBlock(buf, w.File, uint64(slot), version)
		ok := r.do(guestapi.OpWrite, slot, func() error {
			n, err := pwrite(f, buf, int64(slot)*int64(w.Block))
			return full(n, len(buf), err)
		})
		if !ok {
			at.Tried = version
		} else {
			at.Acked, at.Tried = version, 0
			unsynced[slot] = true
		}
		if w.FsyncEvery > 0 && n%w.FsyncEvery == w.FsyncEvery-1 && r.do(guestapi.OpFsync, slot, f.Sync) {
			for slot := range unsynced {
				r.ledger[slot].Synced = r.ledger[slot].Acked
			}
			clear(unsynced)
			acks.write(w, r.ledger)
		}
	}, func() { r.do(guestapi.OpClose, 0, f.Close); acks.close() }, nil
}
