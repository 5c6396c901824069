package fat

import (
	"fmt"
	"math"
	"sync/atomic"

	"fatvol/image/device"
)

// A Handle is an open file. It keeps an unlinked file alive, and reports failures of the background
// once to whoever holds it.
type Handle struct {
	n      *Node
	seen   atomic.Uint64 // last failure that was reported here
	closed atomic.Bool
}

// Open returns a handle on file n, which the caller holds a reference of. ErrNotExist when the file
// was removed and nobody has it open: then its clusters are gone.
func (n *Node) Open() (*Handle, error) {
	if err := n.v.enter(); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer n.v.leave()
	return n.open()
}

// OpenAfter is Open for a file that was just made: it does not mind that the device has gone since.
func (n *Node) OpenAfter() (*Handle, error) {
	if err := n.v.enterAfter(); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer n.v.leave()
	return n.open()
}

func (n *Node) open() (*Handle, error) {
	h := &Handle{n: n}
	h.seen.Store(n.v.failures.newest())
	n.v.meta.Lock()
	defer n.v.meta.Unlock()
	if n.dead != nil {
		return nil, fmt.Errorf("open: %w", n.dead)
	}
	n.opens++
	return h, nil
}

// Node is the file.
func (h *Handle) Node() *Node { return h.n }

// ReadAt is Node.ReadAt.
func (h *Handle) ReadAt(p []byte, off int64) (int, error) { return h.n.ReadAt(p, off) }

// WriteAt is Node.WriteAt.
func (h *Handle) WriteAt(p []byte, off int64) (int, error) { return h.n.WriteAt(p, off) }

// WriteAllAt is Node.WriteAllAt.
func (h *Handle) WriteAllAt(p []byte, off int64) (int, error) { return h.n.WriteAllAt(p, off) }

// Append is Node.Append.
func (h *Handle) Append(p []byte) (int, int64, error) { return h.n.Append(p) }

// Sync is Node.Sync. It also returns a failure of the background that this handle has not reported.
func (h *Handle) Sync() error {
	err := h.n.Sync()
	if late := h.pending(); err == nil && late != nil {
		err = fmt.Errorf("fsync: %w", late)
	}
	return err
}

// Flush is called for each close(2) of a descriptor. It returns a failure of the background that
// this handle has not reported. Changes reach the medium soon after; under Options.Flush and Sync,
// before it returns.
func (h *Handle) Flush() error {
	v := h.n.v
	if err := h.pending(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := device.Check(v.dev); err != nil && h.n.unsynced() {
		return fmt.Errorf("close: %w", err)
	}
	if !v.opt.Flush && !v.opt.Sync {
		return nil
	}
	return h.n.Sync()
}

// unsynced reports whether something of n was acknowledged and is not known to be on the medium.
func (n *Node) unsynced() bool {
	n.v.meta.RLock()
	defer n.v.meta.RUnlock()
	return n.dirty || n.inPlan || n.hot.Load()
}

func (h *Handle) pending() error {
	seq, err := h.n.v.failures.since(h.seen.Load())
	if err != nil {
		h.seen.Store(seq)
	}
	return err
}

// Close ends the handle. The last one of an unlinked file frees the file, the last one of any gives
// back clusters beyond the size.
func (h *Handle) Close() {
	if h.closed.Swap(true) {
		return
	}
	n := h.n
	v := n.v
	v.life.RLock() // no Reset meanwhile
	defer v.life.RUnlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.stale.Load() { // else the table that knew the window is gone
		v.tab.closeWindow(&n.win)
	}
	v.meta.RLock()
	last := n.unlinked && n.opens == 1
	v.meta.RUnlock()
	if last {
		// Freeing needs the whole chain; what cannot be read stays allocated.
		n.chain.mu.Lock()
		_ = n.chain.extend(v.tab, math.MaxUint32)
		n.chain.mu.Unlock()
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	if n.opens--; n.opens > 0 {
		return
	}
	switch _, orphan := v.orphans[n]; {
	case orphan:
		v.free(n)
	case n.kept > 0 && !n.stale.Load():
		n.keep(0)
		v.trimLater(n)
	}
	v.drop(n)
}
