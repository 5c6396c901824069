package integration

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"fatvol/image/fat/fattest"
)

// What the exerciser does with open files.

type modelFile struct {
	fd     int
	append bool
}

func (m *mountTarget) open(path string, op fattest.Op) error {
	flags := unix.O_RDWR | unix.O_CLOEXEC
	for _, f := range [...]struct{ op, open int }{{fattest.Create, unix.O_CREAT}, {fattest.Excl, unix.O_EXCL},
		{fattest.Trunc, unix.O_TRUNC}, {fattest.Append, unix.O_APPEND}, {fattest.Direct, unix.O_DIRECT}} {
		if op.Flags&f.op != 0 {
			flags |= f.open
		}
	}
	fd, err := unix.Open(path, flags, 0o666)
	if err != nil {
		return err
	}
	m.closeFile(op.Slot)
	m.files[op.Slot] = &modelFile{fd: fd, append: op.Flags&fattest.Append != 0}
	return nil
}

func (m *mountTarget) closeFile(slot int) (err error) {
	if f := m.files[slot]; f != nil {
		err = unix.Close(f.fd)
		delete(m.files, slot)
	}
	return err
}

func (m *mountTarget) onFile(f *modelFile, op fattest.Op) (res fattest.Result, err error) {
	mode := uint32(0)
	if op.Flags&fattest.KeepSize != 0 {
		mode = unix.FALLOC_FL_KEEP_SIZE
	}
	switch op.Kind {
	case fattest.OpClose:
		return res, m.closeFile(op.Slot)
	case fattest.OpRead:
		return f.read(op)
	case fattest.OpWrite:
		return f.write(op)
	case fattest.OpFtruncate:
		return res, unix.Ftruncate(f.fd, op.Len)
	case fattest.OpAllocate:
		return res, unix.Fallocate(f.fd, mode, op.Off, op.Len)
	case fattest.OpZero:
		return res, unix.Fallocate(f.fd, mode|unix.FALLOC_FL_ZERO_RANGE, op.Off, op.Len)
	case fattest.OpPunch:
		return res, unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, op.Off, op.Len)
	case fattest.OpCopy:
		g := m.files[op.Slot2]
		if g == nil {
			return res, errSlot
		}
		return f.copy(g, op)
	case fattest.OpFstat:
		res.Stat, err = statFile(f.fd)
		return res, err
	default: // OpFsync
		return res, unix.Fsync(f.fd)
	}
}

// copy copies no more than there was in the beginning: within one file, the end moves.
func (f *modelFile) copy(g *modelFile, op fattest.Op) (res fattest.Result, err error) {
	size, err := f.size()
	if err != nil {
		return res, err
	}
	length := min(op.Len, max(0, size-op.Off))
	return transfer(length, func(done int64) (int, error) {
		from, to, n := op.Off+done, op.Off2+done, length-done
		if done == 0 {
			n = op.Len // what is too much is the kernel's to find out
		}
		return unix.CopyFileRange(f.fd, &from, g.fd, &to, int(n), 0)
	})
}

func (f *modelFile) read(op fattest.Op) (res fattest.Result, err error) {
	if op.Flags&fattest.Mapped != 0 {
		return f.readMapped(op)
	}
	res.Data = make([]byte, op.Len)
	n, err := unix.Pread(f.fd, res.Data, op.Off)
	res.Data, res.N = res.Data[:max(n, 0)], int64(max(n, 0))
	return res, err
}

func (f *modelFile) write(op fattest.Op) (res fattest.Result, err error) {
	if op.Flags&fattest.Mapped != 0 && !f.append && op.Len > 0 {
		if size, err := f.size(); err != nil || op.Off+op.Len <= size {
			return f.writeMapped(op, err)
		}
	}
	data := op.Data()
	return transfer(op.Len, func(done int64) (int, error) { return unix.Pwrite(f.fd, data[done:], op.Off+done) })
}

// transfer goes on after a transfer that was cut short, as programs do, until an error says that there
// is no more; then what was transferred counts. RELEASE, which gives back the space of a file that was
// closed before, is not waited for by anybody: an ENOSPC counts only when it is said repeatedly.
func transfer(length int64, step func(done int64) (int, error)) (res fattest.Result, err error) {
	for refused := 0; ; {
		n, err := step(res.N)
		res.N += int64(max(n, 0))
		switch {
		case err != nil && res.N == 0:
			return res, err
		case errors.Is(err, syscall.ENOSPC):
			if refused++; refused == patienceWithSpace {
				return res, nil
			}
		case err != nil && !errors.Is(err, syscall.EFBIG):
			return res, fmt.Errorf("after %d bytes: %w", res.N, err)
		case err != nil, n == 0, res.N == length:
			return res, nil
		}
	}
}

const patienceWithSpace = 8

func (f *modelFile) size() (int64, error) {
	var st unix.Stat_t
	err := unix.Fstat(f.fd, &st)
	return st.Size, err
}

func (f *modelFile) readMapped(op fattest.Op) (res fattest.Result, err error) {
	size, err := f.size()
	n := min(op.Len, size-op.Off)
	if err != nil || n <= 0 {
		return res, err
	}
	err = f.mapped(op.Off, n, unix.PROT_READ, func(b []byte) error {
		res.Data = append(res.Data, b...)
		return nil
	})
	res.N = int64(len(res.Data))
	return res, err
}

// writeMapped ends with msync, so that the time at which the kernel writes back lies within the operation.
func (f *modelFile) writeMapped(op fattest.Op, err error) (fattest.Result, error) {
	if err != nil {
		return fattest.Result{}, err
	}
	if err := f.mapped(op.Off, op.Len, unix.PROT_READ|unix.PROT_WRITE, func(b []byte) error {
		copy(b, op.Data())
		return nil
	}); err != nil {
		return fattest.Result{}, err
	}
	return fattest.Result{N: op.Len}, nil
}

// mapped calls fn with a shared map of a range that lies within the file.
func (f *modelFile) mapped(off, n int64, prot int, fn func([]byte) error) (err error) {
	start := off &^ int64(os.Getpagesize()-1)
	b, err := unix.Mmap(f.fd, start, int(off+n-start), prot, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer unix.Munmap(b)
	// A page that cannot be read or written is a SIGBUS.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("mapped file: %v", p)
		}
	}()
	if err := fn(b[off-start:]); err != nil || prot&unix.PROT_WRITE == 0 {
		return err
	}
	return unix.Msync(b, unix.MS_SYNC)
}
