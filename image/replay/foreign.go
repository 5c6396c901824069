package replay

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// ErrForeign is returned for changes once it was noticed that something else has written to the medium
// while it was in use. Nothing is written to it any more.
var ErrForeign = errors.New("something else has written to the image")

const (
	// auditPause is the time between two looks at kept blocks, auditBlocks how many one look takes.
	auditPause  = time.Second
	auditBlocks = 1024
)

// OnForeign has fn called, once, when it is noticed that something else has written to the medium. It
// runs on a goroutine of its own.
func (l *Log) OnForeign(fn func(error)) { l.onForeign.Store(&fn) }

// Foreign is what was noticed, or nil.
func (l *Log) Foreign() error {
	if e := l.foreign.Load(); e != nil {
		return *e
	}
	return nil
}

// noticed takes in that a block is not what it was left as.
func (l *Log) noticed(at int64) error {
	err := fmt.Errorf("%w: the block at offset %d is not as it was left", ErrForeign, at)
	if l.foreign.CompareAndSwap(nil, &err) {
		if fn := l.onForeign.Load(); fn != nil {
			go (*fn)(err)
		}
	}
	return l.Foreign()
}

// guard waits, before a change, for a write of the same blocks that is still under way, and looks whether the kept
// blocks that it is about to replace are what they were left as: what something else has made of them is not
// overwritten. The caller holds l.flight shared.
func (l *Log) guard(off, n int64) error {
	if err := l.behind.settle(off, n); err != nil {
		return err
	}
	if err := l.Foreign(); err != nil {
		return err
	}
	first, last := int64(-1), int64(0)
	l.mu.Lock()
	for at := off - off%block; at < off+n; at += block {
		if l.regions[at/region] == 0 {
			at += region - at%region - block
			continue
		}
		if l.kept[at] != nil {
			if first < 0 {
				first = at
			}
			last = at + block
		}
	}
	l.mu.Unlock()
	if first < 0 {
		return nil
	}
	p := make([]byte, min(last, l.Size())-first)
	if _, err := l.lower.ReadAt(p, first); err != nil {
		return fmt.Errorf("read before writing: %w", err)
	}
	for at := first; at+block <= first+int64(len(p)); at += block {
		if d := digestOf(p[at-first : at-first+block]); !l.current(at, d) {
			if err := l.dropped(at, d); err != nil {
				return err
			}
			return l.noticed(at)
		}
	}
	return nil
}

// current reports whether a block that is there may hold what it does: what was written last, or what a
// change that failed may have made of that. Unlike a medium that was away, it has lost nothing.
func (l *Log) current(at int64, d digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.currentLocked(at, d)
}

func (l *Log) currentLocked(at int64, d digest) bool {
	s := l.kept[at]
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].any || s[i].digest == d {
			return true
		}
		if !s[i].failed {
			return false
		}
	}
	return true // not kept any more
}

// dropped looks whether a block that is not what it was left as is what it was before an unsynced write: then the host
// has lost that, and would say so at the next Sync. The generation ends, and it is written again.
func (l *Log) dropped(at int64, d digest) error {
	t, ok := l.lower.(Trusting)
	l.mu.Lock()
	ok = ok && slices.ContainsFunc(l.kept[at], func(s state) bool { return s.any || s.digest == d })
	l.mu.Unlock()
	if !ok {
		return nil
	}
	err := fmt.Errorf("the host has lost what was written to the block at offset %d: %w", at, syscall.EIO)
	t.Lose(err)
	return err
}

// auditor looks at the kept blocks in turn, some every second: so it is noticed within moments what
// something else writes, also where nothing of ours would be written.
func (l *Log) auditor() {
	defer close(l.audited)
	tick := time.NewTicker(auditPause)
	defer tick.Stop()
	var todo []int64
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		if len(todo) == 0 {
			todo = l.keptOffsets()
		}
		n := min(len(todo), auditBlocks)
		l.audit(todo[:n])
		todo = todo[n:]
	}
}

func (l *Log) keptOffsets() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	offsets := make([]int64, 0, len(l.kept))
	for at := range l.kept {
		offsets = append(offsets, at)
	}
	slices.Sort(offsets)
	return offsets
}

// audit compares some kept blocks with the medium. What cannot be read is no news of this kind.
func (l *Log) audit(offsets []int64) {
	if l.Foreign() != nil || l.detached.Load() || l.Check() != nil {
		return
	}
	var odd []int64
	l.each(l.lower, offsets, func(at int64, d digest) bool {
		if !l.current(at, d) {
			odd = append(odd, at)
		}
		return true
	})
	if len(odd) == 0 {
		return
	}
	// A change of ours may have been under way.
	if l.enter() != nil {
		return
	}
	defer l.flight.RUnlock()
	if l.detached.Load() {
		return
	}
	for _, at := range odd {
		d, isOdd := l.lookAgain(at)
		if !isOdd {
			continue
		}
		if l.dropped(at, d) == nil {
			_ = l.noticed(at) // whoever changes something next is told
		}
		return
	}
}

// lookAgain reads a kept block, and reports whether it is not what it was left as, which it says of none that was being
// changed meanwhile: it waits for no change, as a slow medium may take long for it. The caller has entered.
func (l *Log) lookAgain(at int64) (d digest, odd bool) {
	l.mu.Lock()
	before, still := l.stillLocked(at)
	l.mu.Unlock()
	if !still || l.each(l.lower, []int64{at}, func(_ int64, is digest) bool { d = is; return true }) != nil {
		return 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	after, still := l.stillLocked(at)
	return d, still && after == before && !l.currentLocked(at, d)
}

// stillLocked returns the newest state of a kept block, and whether the lower device is not about to change it.
func (l *Log) stillLocked(at int64) (newest state, still bool) {
	s := l.kept[at]
	u := l.behind.under.Load()
	if len(s) == 0 || u != nil && u.covers(at, block) ||
		slices.ContainsFunc(l.writing, func(p Piece) bool { return p.Off < at+block && at < p.Off+p.N }) {
		return state{}, false
	}
	return s[len(s)-1], true
}
