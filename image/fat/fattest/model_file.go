package fattest

import (
	"slices"
	"syscall"
	"time"
)

// handleOp is what an operation on an open file may give.
func (m *Model) handleOp(op Op) *want {
	h := m.slots[op.Slot]
	if h == nil {
		return fails(syscall.EBADF)
	}
	n := h.n
	switch op.Kind {
	case OpClose:
		return &want{ok: true, apply: func(Result, time.Time, time.Time) { m.closeSlot(op.Slot) }}
	case OpRead:
		return m.read(n, op)
	case OpWrite:
		off := op.Off
		if h.append {
			off = n.size
		}
		w := m.write(n, off, op.Data())
		if op.Flags&Mapped != 0 {
			n.wasRead()
		}
		if h.direct && m.DirectWhole {
			m.allOrNothing(w, n, op.Len)
		}
		return w
	case OpFtruncate:
		return m.truncate(n, op.Len)
	case OpAllocate, OpZero, OpPunch:
		return m.allocate(n, op)
	case OpCopy:
		return m.copy(n, op)
	case OpFstat:
		return &want{ok: true, check: func(got Result) error { return m.checkStat(n, got.Stat) }}
	default: // OpFsync
		return &want{ok: true}
	}
}

func (m *Model) read(n *node, op Op) *want {
	p := make([]byte, max(0, min(op.Len, n.size-op.Off)))
	n.data.read(p, op.Off)
	return &want{ok: true, res: Result{N: int64(len(p)), Data: p}, check: func(got Result) error {
		return n.compare(got.Data, op.Off)
	},
		apply: func(Result, time.Time, time.Time) { n.wasRead() }}
}

// write is also what a copy does to its destination.
func (m *Model) write(n *node, off int64, data []byte) *want {
	if len(data) == 0 {
		return &want{ok: true, errs: []syscall.Errno{syscall.EFBIG}, apply: func(_ Result, lo, hi time.Time) { n.mayTouch(lo, hi) }}
	}
	if off >= maxFile {
		return fails(syscall.EFBIG)
	}
	data = data[:min(int64(len(data)), maxFile-off)]
	after := func(written int64) int64 { return m.clusters(max(n.size, off+written)) }
	return &want{ok: true, res: Result{N: int64(len(data))},
		need: after(int64(len(data))) - m.clusters(n.size),
		left: func(written int64) int64 { return after(int64(len(data))) - after(written) },
		apply: func(got Result, lo, hi time.Time) {
			n.data.write(data[:got.N], off)
			n.unsure.zero(off, got.N)
			n.size = max(n.size, off+got.N)
			n.touch(lo, hi)
			n.attr |= attrArchive
			n.attrMask |= attrArchive
		}}
}

// allOrNothing makes a write of length bytes to n one that is not cut short. When it fails, the kernel
// truncates the file to the size that it has, which may count as a change.
func (m *Model) allOrNothing(w *want, n *node, length int64) {
	if w.ok && w.res.N < length {
		*w = *fails(syscall.EFBIG)
	}
	w.left = nil
	w.failed = func(lo, hi time.Time) {
		n.mayTouch(lo, hi)
		n.attrMask &^= attrArchive
	}
}

// resize cuts or grows a file; what grows is zero.
func (m *Model) resize(n *node, size int64) {
	if size < n.size {
		n.data.zero(size, n.size-size)
		n.unsure.zero(size, n.size-size)
	}
	n.size = size
}

func (m *Model) truncatePath(op Op) *want {
	_, _, n, err := m.find(op.Path)
	switch {
	case n == nil:
		return missing(op.Path, err)
	case n.dir:
		return fails(syscall.EISDIR)
	}
	return m.truncate(n, op.Len)
}

func (m *Model) truncate(n *node, size int64) *want {
	switch {
	case size < 0:
		return fails(syscall.EINVAL)
	case size > maxFile:
		return fails(syscall.EFBIG)
	}
	return &want{ok: true, need: m.clusters(size) - m.clusters(n.size), apply: func(_ Result, lo, hi time.Time) {
		if size == n.size {
			n.mayTouch(lo, hi)
		} else {
			n.touch(lo, hi)
		}
		n.attrMask &^= attrArchive
		m.resize(n, size)
	}}
}

func (m *Model) allocate(n *node, op Op) *want {
	end := op.Off + op.Len
	grows := op.Kind != OpPunch && op.Flags&KeepSize == 0
	switch {
	case op.Off < 0 || op.Len <= 0:
		return fails(syscall.EINVAL)
	case end > maxFile && op.Kind != OpAllocate && !grows:
		// Nothing would grow: to refuse is right as well.
		return &want{ok: true, errs: []syscall.Errno{syscall.EFBIG}, apply: m.zeroed(n, op, false)}
	case end > maxFile:
		return fails(syscall.EFBIG)
	}
	w := &want{ok: true, apply: m.zeroed(n, op, grows)}
	if op.Kind != OpPunch {
		w.need = max(0, m.clusters(end)-m.clusters(n.size))
	}
	return w
}

// zeroed is the effect of OpAllocate, OpZero and OpPunch.
func (m *Model) zeroed(n *node, op Op, grows bool) func(Result, time.Time, time.Time) {
	return func(_ Result, lo, hi time.Time) {
		if op.Kind != OpAllocate {
			n.data.zero(op.Off, op.Len)
			n.unsure.zero(op.Off, op.Len)
		}
		if grows {
			n.size = max(n.size, op.Off+op.Len)
		}
		n.kept = true
		n.mayTouch(lo, hi)
		n.attrMask &^= attrArchive
	}
}

func (m *Model) copy(src *node, op Op) *want {
	h := m.slots[op.Slot2]
	if h == nil || h.append {
		return fails(syscall.EBADF)
	}
	dst := h.n
	n := max(0, min(op.Len, src.size-op.Off))
	overlaps := func(n int64) bool { return src == dst && op.Off < op.Off2+n && op.Off2 < op.Off+n }
	if overlaps(n) {
		return fails(syscall.EINVAL)
	}
	p := make([]byte, n)
	src.data.read(p, op.Off)
	mask := make([]byte, n)
	src.unsure.read(mask, op.Off)
	src.wasRead() // also when there is no space for what was read
	w := m.write(dst, op.Off2, p)
	if overlaps(op.Len) {
		w.errs = append(w.errs, syscall.EINVAL)
	}
	if slices.Contains(mask, 1) {
		apply := w.apply
		w.apply = func(got Result, lo, hi time.Time) {
			apply(got, lo, hi)
			dst.unsure.write(mask[:got.N], op.Off2)
		}
	}
	return w
}
