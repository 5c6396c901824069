package replay

import (
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fatvol/image/device"
)

// DefaultLimit is the number of bytes of unsynced writes that a Log keeps where nothing else is asked.
const DefaultLimit = 64 << 20

// syncAge is how old an unsynced write gets before the background syncs.
const syncAge = time.Second

// earlyShare is the part of the limit from which on the background syncs without waiting for syncAge. So a
// writer of much that the medium keeps up with never waits, and the copies stay few enough for the processor's
// cache; and one that is faster than the medium follows it evenly.
const earlyShare = 4

// keptEntries bounds the list of entries whose memory is used again.
const keptEntries = 1 << 14

// returned is how much memory has to have become free for it to be worth giving it back to the system.
const returned = 8 << 20

// entryCost is the memory that an entry takes besides its bytes.
const entryCost = 64

// An entry is one change of the lower device, in the order in which they were made; or, with n 0, a
// Sync that the detached Log could not do, which orders those before it and those after it.
type entry struct {
	off  int64
	n    int64  // bytes
	data []byte // nil: zeros
	in   *chunk // that data lies in, if one does
	seq  uint64
}

// A Log is a device that remembers unsynced writes.
type Log struct {
	lower device.Device
	limit int64

	flight   sync.RWMutex
	detached atomic.Bool // set under flight: the lower device is not asked any more
	syncMu   sync.Mutex

	mu      sync.Mutex
	entries []entry
	bytes   int64            // memory of entries
	copies  copies           // where their data is
	kept    map[int64]states // by offset of the block
	regions map[int64]int    // kept blocks in each region
	leaving map[int64]bool   // kept blocks to be forgotten once synced
	changed []int64          // kept blocks with unsynced writes, some of them more than once
	writing []Piece          // changes that the lower device is making, and that are not taken in yet
	seq     uint64           // changes so far
	synced  uint64           // Syncs that succeeded
	behind  behind

	foreign   atomic.Pointer[error] // see OnForeign
	onForeign atomic.Pointer[func(error)]
	audited   chan struct{} // closed by the auditor

	kick  chan struct{} // something is unsynced
	early chan struct{} // much is
	stop  chan struct{}
	done  chan struct{}
}

// New returns a Log over lower that keeps up to limit bytes; 0 is DefaultLimit.
func New(lower device.Device, limit int64) *Log {
	l := newLog(lower, limit)
	l.audited = make(chan struct{})
	go l.syncer()
	go l.auditor()
	return l
}

// newLog is New without the background.
func newLog(lower device.Device, limit int64) *Log {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Log{
		lower: lower, limit: limit,
		kept: make(map[int64]states), regions: make(map[int64]int), leaving: make(map[int64]bool),
		kick: make(chan struct{}, 1), early: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// Limit is the number of bytes of unsynced writes from which on writers wait.
func (l *Log) Limit() int64 { return l.limit }

// Size is that of the lower device.
func (l *Log) Size() int64 { return l.lower.Size() }

// Check asks the lower device whether it is there. A detached Log always is.
func (l *Log) Check() error {
	if l.detached.Load() {
		return nil
	}
	return device.Check(l.lower)
}

// enter begins a call that reaches the lower device; flight.RUnlock ends it. While the lower device is
// not there it fails at once: a Replay may take as long as the medium is slow, and nobody waits for it.
func (l *Log) enter() error {
	if err := l.Check(); err != nil {
		return err
	}
	if l.flight.TryRLock() {
		return nil
	}
	// A Replay, which means that it went in this moment; or Detach or Save, which are short.
	if err := l.Check(); err != nil {
		return err
	}
	l.flight.RLock()
	return nil
}

// Detach takes the Log off the lower device, which is gone for good: what is written from now on is
// only kept, whatever the limit, so that Save can take it all. Reads go on to the lower device, which may well answer
// them (it took no writes, say), and see what is kept.
func (l *Log) Detach() {
	l.flight.Lock()
	defer l.flight.Unlock()
	l.detached.Store(true)
}

// ReadAt reads from the lower device, which has all that was written, or is about to, unless the Log is detached.
func (l *Log) ReadAt(p []byte, off int64) (int, error) {
	if err := l.enter(); err != nil {
		return 0, err
	}
	defer l.flight.RUnlock()
	if err := l.behind.settle(off, int64(len(p))); err != nil {
		return 0, err
	}
	n, err := l.lower.ReadAt(p, off)
	if err == nil && l.detached.Load() {
		l.mu.Lock()
		patch(l.entries, p, off, nil) // what was written since then is nowhere else
		l.mu.Unlock()
	}
	return n, err
}

// WriteAt writes to the lower device, and keeps a copy. A large write from lent memory may reach the lower device a
// little later, if that is Trusting.
func (l *Log) WriteAt(p []byte, off int64) (n int, err error) {
	if err := l.room(int64(len(p))); err != nil {
		return 0, err
	}
	if err := l.enter(); err != nil {
		return 0, err
	}
	left := false
	defer func() {
		if !left {
			l.flight.RUnlock()
		}
	}()
	detached := l.detached.Load()
	if detached {
		if err := device.CheckRange("write", off, int64(len(p)), l.Size()); err != nil {
			return 0, err
		}
	}
	if !detached {
		if err := l.guard(off, int64(len(p))); err != nil {
			return 0, err
		}
	}
	// The copy is what goes down: a call that the lower device gave up on may read it for ever.
	l.mu.Lock()
	data, in := p, l.copies.share(p)
	if in == nil {
		data, in = l.copies.take(len(p))
	}
	if !detached {
		l.beginLocked(off, int64(len(p)))
	}
	l.mu.Unlock()
	e := entry{off: off, n: int64(len(data)), data: data, in: in}
	if len(p) > 0 && &data[0] != &p[0] {
		copyCached(data, p)
	} else if !detached && in != nil {
		if left = l.leave(e); left {
			return len(p), nil
		}
	}
	if !detached {
		if n, err := l.lower.WriteAt(data, off); err != nil {
			l.failed(e)
			return n, err
		}
	}
	l.add(e)
	return len(p), nil
}

// Lend returns LoanBytes of memory for data that is about to be written: what a WriteAt brings from there need
// not be copied if it is much. It is not to be changed after that; TakeBack ends the loan.
func (l *Log) Lend() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.copies.lend()
}

// TakeBack ends a loan.
func (l *Log) TakeBack(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.copies.takeBack(p)
}

// ZeroAt has the lower device make a range zeros.
func (l *Log) ZeroAt(off, n int64) error {
	if err := l.room(0); err != nil {
		return err
	}
	if err := l.enter(); err != nil {
		return err
	}
	defer l.flight.RUnlock()
	if !l.detached.Load() {
		if err := l.guard(off, n); err != nil {
			return err
		}
		l.mu.Lock()
		l.beginLocked(off, n)
		l.mu.Unlock()
		if err := device.ZeroAt(l.lower, off, n); err != nil {
			l.failed(entry{off: off, n: n})
			return err
		}
	} else if err := device.CheckRange("zero", off, n, l.Size()); err != nil {
		return err
	}
	l.add(entry{off: off, n: n})
	return nil
}

// DiscardAt passes on. What is discarded is of no interest to anybody, before and after a return.
func (l *Log) DiscardAt(off, n int64) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.flight.RUnlock()
	if l.detached.Load() {
		return nil
	}
	if err := errors.Join(l.behind.settle(off, n), l.Foreign()); err != nil {
		return err
	}
	return device.DiscardAt(l.lower, off, n)
}

// beginLocked notes that the lower device is about to make a change, until that is taken in.
func (l *Log) beginLocked(off, n int64) { l.writing = append(l.writing, Piece{off, n}) }

// endLocked ends beginLocked, if that was.
func (l *Log) endLocked(off, n int64) {
	if i := slices.Index(l.writing, Piece{off, n}); i >= 0 {
		last := len(l.writing) - 1
		l.writing[i] = l.writing[last]
		l.writing = l.writing[:last]
	}
}

// add takes in a change that the lower device made.
func (l *Log) add(e entry) {
	l.mu.Lock()
	first, much := l.addLocked(&e)
	l.mu.Unlock()
	l.wakeSyncer(first, much)
}

// addUnderway takes in a change that the lower device is about to make, unless there is another one.
func (l *Log) addUnderway(u *underway) bool {
	l.mu.Lock()
	if !l.behind.under.CompareAndSwap(nil, u) {
		l.mu.Unlock()
		return false
	}
	first, much := l.addLocked(&u.entry)
	l.mu.Unlock()
	l.wakeSyncer(first, much)
	return true
}

// addLocked takes in a change. It reports whether it is the only one, and whether there is much now.
func (l *Log) addLocked(e *entry) (first, much bool) {
	l.endLocked(e.off, e.n)
	l.seq++
	e.seq = l.seq
	first = len(l.entries) == 0
	l.entries = append(l.entries, *e)
	l.bytes += int64(len(e.data)) + entryCost
	l.noteLocked(*e, false)
	return first, l.muchLocked()
}

func (l *Log) wakeSyncer(first, much bool) {
	if first {
		wake(l.kick)
	}
	if much {
		wake(l.early)
	}
}

// muchLocked reports whether the background is not to wait for the copies to grow old.
func (l *Log) muchLocked() bool { return l.bytes >= l.limit/earlyShare }

func (l *Log) much() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.muchLocked()
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// failed takes in a change that the lower device reported to have failed, but may have made all the same,
// or may yet make. Nobody was told that it was done: there is nothing to write again.
func (l *Log) failed(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(e.off, e.n)
	l.seq++
	e.seq = l.seq
	l.noteLocked(e, true)
	e.in.lose()
	l.copies.give(e.in)
}

// room waits until n more bytes fit.
func (l *Log) room(n int64) error {
	for {
		l.mu.Lock()
		full := l.bytes > 0 && l.bytes+n > l.limit
		synced := l.synced
		l.mu.Unlock()
		if !full || l.detached.Load() {
			return nil
		}
		if err := l.syncSince(synced); err != nil {
			return err
		}
	}
}

// Sync makes everything that was written before durable, and forgets the copies.
func (l *Log) Sync() error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.flight.RUnlock()
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	return l.syncLocked()
}

// syncSince is Sync unless one succeeded after synced of them had.
func (l *Log) syncSince(synced uint64) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.flight.RUnlock()
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	done := l.synced > synced
	l.mu.Unlock()
	if done {
		return nil
	}
	return l.syncLocked()
}

// syncLocked syncs. The caller holds l.syncMu.
func (l *Log) syncLocked() error {
	if l.detached.Load() {
		l.add(entry{})
		return nil
	}
	if err := l.behind.under.Load().wait(); err != nil {
		return err
	}
	mark := l.mark()
	if err := l.lower.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced++
	l.forgetLocked(mark)
	return nil
}

// mark is how many entries the lower device has.
func (l *Log) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.entries)
	if u := l.behind.under.Load(); u != nil {
		for n > 0 && l.entries[n-1].seq >= u.seq {
			n--
		}
	}
	return n
}

// forgetLocked drops the first n entries: the medium has them.
func (l *Log) forgetLocked(n int) {
	if n == 0 {
		return
	}
	seq := l.entries[n-1].seq
	for _, e := range l.entries[:n] {
		l.bytes -= int64(len(e.data)) + entryCost
		l.copies.give(e.in)
	}
	rest := l.entries[n:]
	if len(rest) > 0 && rest[0].seq == seq {
		seq-- // the change is there in part
	}
	switch {
	case len(rest) > 0:
		l.entries = append([]entry(nil), rest...)
	case cap(l.entries) > keptEntries:
		l.entries = nil
	default:
		clear(l.entries)
		l.entries = l.entries[:0]
	}
	l.settleLocked(seq)
}

// Unsynced is the number of bytes written and not known to be on the medium.
func (l *Log) Unsynced() (bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		bytes += e.n
	}
	return bytes
}

// Reset forgets what is kept, because its user is about to forget it, and returns what takes that back.
// Nothing may be unsynced.
func (l *Log) Reset() (undo func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept, regions, leaving, changed := l.kept, l.regions, l.leaving, l.changed
	l.kept, l.regions, l.leaving, l.changed = make(map[int64]states), make(map[int64]int), make(map[int64]bool), nil
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.kept, l.regions, l.leaving, l.changed = kept, regions, leaving, changed
	}
}

// tidy gives the memory of copies back once nothing has been written since it was asked last, and reports
// whether it did.
func (l *Log) tidy(seen *uint64) bool {
	l.mu.Lock()
	if idle := l.seq == *seen; !idle {
		*seen = l.seq
		l.mu.Unlock()
		return false
	}
	free := l.copies.drop()
	l.mu.Unlock()
	if free >= returned {
		debug.FreeOSMemory() // by itself, Go would keep most of it
	}
	return true
}

// syncer syncs when the oldest copy is syncAge old. While the medium is gone it asks nobody.
func (l *Log) syncer() {
	defer close(l.done)
	timer := time.NewTimer(0)
	<-timer.C
	wait, seen, early := syncAge, uint64(0), l.early
	for {
		select {
		case <-l.stop:
			return
		case <-l.kick:
			timer.Reset(wait)
			continue
		case <-early:
			if !l.much() { // any more
				continue
			}
		case <-timer.C:
		}
		l.mu.Lock()
		empty := len(l.entries) == 0
		l.mu.Unlock()
		if empty || l.detached.Load() {
			if wait = syncAge; !l.tidy(&seen) {
				timer.Reset(wait)
			}
			continue
		}
		err := l.Sync() // a failure is the medium's, whose gate says so
		wait, early = syncAge, l.early
		if err != nil {
			wait, early = 2*syncAge, nil
		}
		timer.Reset(wait)
	}
}

// Close ends the background. The copies stay for Save.
func (l *Log) Close() {
	close(l.stop)
	<-l.done
	<-l.audited
}
