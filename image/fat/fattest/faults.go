package fattest

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// Faulty is a target under which operations of the device fail.
type Faulty interface {
	Target
	// Arm lets the failures begin.
	Arm()
	// Injected is the number of device operations that have failed.
	Injected() int64
	// Heal ends the failures.
	Heal()
}

// ReplayFaulty runs operations on a target, after others before whose device has not begun to fail,
// and compares with the model as Replay does. An operation may fail with EIO when the device failed, and then nothing has
// happened, but that bytes it was to overwrite may be old or new; so may those be that a write which was cut short was to
// overwrite further on. Once the device works again, everything goes on: the volume is synced, closed and checked.
//
// noticed reports whether any operation failed. An error that nobody was told of is a failure of
// its own, when the caller says so.
func ReplayFaulty(cfg Config, before, ops []Op) (injected int64, noticed bool, err error) {
	r, err := newRunner(cfg)
	if err != nil {
		return 0, false, err
	}
	defer r.t.Close()
	t, ok := r.t.(Faulty)
	if !ok {
		return 0, false, errors.New("target without faults")
	}
	fail := func(i int, err error) error {
		return &Failure{Seed: cfg.Seed, Ops: slices.Concat(before, ops[:i]), Err: err, From: len(before) + i}
	}
	for _, op := range before {
		if err := r.step(op); err != nil {
			return 0, false, fail(0, err)
		}
	}
	t.Arm()
	for i, op := range ops {
		eio, err := r.faultyStep(t, op)
		if err != nil {
			return t.Injected(), noticed, fail(i+1, err)
		}
		noticed = noticed || eio
	}
	injected = t.Injected()
	t.Heal()
	eio, err := r.faultyStep(t, Op{Kind: OpSync})
	noticed = noticed || eio
	if err == nil {
		err = r.step(Op{Kind: OpRemount})
	}
	if err != nil {
		return injected, noticed, fail(len(ops), fmt.Errorf("with the device working again: %w", err))
	}
	return injected, noticed, nil
}

// heal ends the failures. The first sync after them may report what failed before, the second has
// no reason to.
func (r *runner) heal(t Faulty) error {
	t.Heal()
	t.Do(Op{Kind: OpSync})
	if got := t.Do(Op{Kind: OpSync}); got.Err != 0 {
		return fmt.Errorf("sync with the device working again: %w\n%s", got.Err, got.Note)
	}
	return nil
}

// faultyStep is step, when the device may fail. eio reports whether the operation said so.
func (r *runner) faultyStep(t Faulty, op Op) (eio bool, err error) {
	w := r.m.expect(op)
	got, lo, hi := r.do(op)
	failed := got.Err == syscall.EIO
	if !failed {
		if w.left != nil && t.Injected() > 0 {
			w.left = func(int64) int64 { return 1 } // the device may have cut it short, and not a lack of space
		}
		err = w.compare(op, got, func() (uint32, error) { return 0, nil })
		if err == nil && got.Err == 0 && w.apply != nil {
			w.apply(got, lo, hi)
			if got.N < w.res.N && t.Injected() > 0 {
				r.m.failed(op.after(got.N), lo, hi)
			}
		}
	} else if t.Injected() == 0 {
		err = fmt.Errorf("got EIO before anything failed\n%s", got.Note)
	} else {
		r.m.failed(op, lo, hi)
	}
	if err == nil && got.Err != 0 && w.failed != nil {
		w.failed(lo, hi)
	}
	if err != nil {
		return false, fmt.Errorf("%v: %w", op, err)
	}
	return failed, nil
}

// failed notes that an operation gave EIO.
func (m *Model) failed(op Op, lo, hi time.Time) {
	slot := op.Slot
	if h := m.slots[slot]; h != nil {
		h.n.accessed = time.Time{}
	}
	switch op.Kind {
	case OpClose:
		m.closeSlot(op.Slot) // close(2) closes, whatever it returns
		return
	case OpDirRead, OpList:
		return
	case OpCopy:
		slot, op.Off = op.Slot2, op.Off2
	case OpWrite, OpZero, OpPunch:
	default:
		return
	}
	h := m.slots[slot]
	if h == nil {
		return
	}
	if op.Kind == OpWrite && h.append {
		return
	}
	if n := min(h.n.size-op.Off, op.Len); n > 0 {
		h.n.unsure.write(slices.Repeat([]byte{1}, int(n)), op.Off)
		h.n.mayTouch(lo, hi)
		h.n.attrMask &^= attrArchive
	}
}
