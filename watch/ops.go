package watch

import (
	"errors"
	"time"
)

// ReadAt reads from the host.
func (m *Medium) ReadAt(p []byte, off int64) (n int, err error) {
	v := m.cur.Load()
	if v.err != nil {
		return 0, v.err
	}
	began := time.Now()
	if err := v.conn.read(began, p, off); err != nil {
		return 0, m.outcome(v, began, err)
	}
	return len(p), nil
}

// WriteAt writes to the host. p must not change after a call that failed: one that was given up on may
// go on reading it.
func (m *Medium) WriteAt(p []byte, off int64) (n int, err error) {
	v := m.cur.Load()
	if err := v.refuses("write"); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := m.outcome(v, began, v.conn.write(began, p, off)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sync makes what was written durable. It may take longer than a deadline if there is much of it and the
// medium is slow, but not if the medium does not go on writing. A failure means that some of it may be lost whatever a later
// Sync says, as hosts report such a loss once only; so it ends the generation, and what is unsynced is
// written again when the medium is verified.
func (m *Medium) Sync() error {
	v := m.cur.Load()
	if err := v.refuses("sync"); err != nil {
		return err
	}
	err := v.conn.sync()
	if err != nil && !isReadOnly(err) && !errors.Is(err, errClosed) {
		return m.lose(v, err)
	}
	return m.outcome(v, time.Now(), err)
}

// ZeroAt makes a range read as zeros. The deadline is for each piece of it, as it is for Sync: where the host has no means
// for it, as vfat and exfat have not, it is written.
func (m *Medium) ZeroAt(off, n int64) error {
	v := m.cur.Load()
	if err := v.refuses("zero"); err != nil {
		return err
	}
	for at, k := range byPiece(off, n) {
		began := time.Now()
		if err := m.outcome(v, began, v.conn.zero(began, at, k)); err != nil {
			return err
		}
	}
	return nil
}

// DiscardAt gives back the storage of a range.
func (m *Medium) DiscardAt(off, n int64) error {
	v := m.cur.Load()
	if err := v.refuses("discard"); err != nil {
		return err
	}
	began := time.Now()
	return m.outcome(v, began, v.conn.discard(began, off, n))
}

// Room is how many bytes the host has room for, besides what it holds; 0 where it does not say. It fails while the host
// takes no writes, or where nobody knows whether it does: to ask is no attempt.
func (m *Medium) Room() (int64, error) {
	v := m.cur.Load()
	switch {
	case v.err != nil:
		return 0, v.err
	case v.ReadOnly:
		return 0, readOnlyError{"statfs"}
	}
	began := time.Now()
	n, err := v.conn.room(began)
	if err != nil {
		return 0, m.outcome(v, began, err)
	}
	return n, nil
}

// Lose ends the generation because of a write that failed when its caller was not there any more to hear of it. What is
// unsynced is written again when the medium is verified.
func (m *Medium) Lose(err error) {
	if v := m.cur.Load(); v.err == nil {
		_ = m.lose(v, err)
	}
}

// refuses says why a change is not even tried, or returns nil.
func (v *view) refuses(op string) error {
	if v.err != nil {
		return v.err
	}
	if v.ReadOnly && !(v.refused && !v.hostReadOnly && v.conn.trial.due()) {
		return readOnlyError{op}
	}
	return nil
}

// outcome reports a failure that means that the medium is gone, and returns what the caller gets. Where
// the failure may mean that or not, it makes one probe, within the deadline of the call that failed.
func (m *Medium) outcome(v *view, began time.Time, err error) error {
	if err == nil {
		if v.refused {
			m.accepted(v)
		}
		return nil
	}
	if errors.Is(err, errClosed) {
		return m.gone(err)
	}
	switch meaningOf(err) {
	case lost:
		return m.lose(v, err)
	case harmless:
		m.meter.errors.Add(1)
		return err
	}
	switch l, perr := v.conn.look(began, v.place); {
	case perr == nil:
		m.meter.errors.Add(1)
		m.survived(v, l, err)
		return err
	case meaningOf(perr) == harmless && !errors.Is(perr, errClosed):
		m.meter.errors.Add(1)
		return err
	case errors.Is(perr, errDeadline):
		return m.lose(v, perr)
	}
	return m.lose(v, err)
}

// lose reports that the medium of v is gone, and returns what the caller gets.
func (m *Medium) lose(v *view, err error) error {
	m.meter.errors.Add(1)
	n := news{event: evFailed, generation: v.Generation, reason: err.Error()}
	if errors.Is(err, errDeadline) {
		n.event = evDeadline
	}
	m.transition(n)
	return m.gone(err)
}

// gone is what a call returns that the medium's going ended, even if it is back by now.
func (m *Medium) gone(err error) error {
	if now := m.cur.Load(); now.err != nil {
		return now.err
	}
	return &GoneError{Gone, err.Error()}
}

// survived takes note of a failure that the medium is there in spite of, as l says.
func (m *Medium) survived(v *view, l look, err error) {
	if isReadOnly(err) {
		m.amend(v, func(w *view) {
			w.hostReadOnly, w.refused, w.ReadOnly = l.hostReadOnly, w.refused || !l.hostReadOnly, true
		})
		return
	}
	if v.conn.bad.CompareAndSwap(false, true) {
		m.mu.Lock()
		m.noticeLocked(notice{from: v.Status, to: v.Status, bad: err})
		m.mu.Unlock()
	}
}

// accepted takes note that a host which had refused a change made one.
func (m *Medium) accepted(v *view) {
	m.amend(v, func(w *view) {
		w.refused = false
		w.ReadOnly = m.takesNoWrites(w.look, w.conn)
	})
}
