package replay

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fatvol/image/device"
)

// DefaultLimit is the number of bytes of unsynced writes that a Log keeps where nothing else is asked.
const DefaultLimit = 64 << 20

// syncAge is how old an unsynced write gets before the background syncs.
const syncAge = time.Second

// entryCost is the memory that an entry takes besides its bytes.
const entryCost = 64

// An entry is one change of the lower device, in the order in which they were made; or, with n 0, a
// Sync that the detached Log could not do, which orders those before it and those after it.
type entry struct {
	off  int64
	n    int64  // bytes
	data []byte // nil: zeros
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
	kept    map[int64]states // by offset of the block
	regions map[int64]int    // kept blocks in each region
	leaving map[int64]bool   // kept blocks to be forgotten once synced
	changed []int64          // kept blocks with unsynced writes, some of them more than once
	seq     uint64           // changes so far
	synced  uint64           // Syncs that succeeded

	kick chan struct{}
	stop chan struct{}
	done chan struct{}
}

// New returns a Log over lower that keeps up to limit bytes; 0 is DefaultLimit.
func New(lower device.Device, limit int64) *Log {
	l := newLog(lower, limit)
	go l.syncer()
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
		kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

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
// only kept, whatever the limit, so that Save can take it all. Reads go on to the lower device.
func (l *Log) Detach() {
	l.flight.Lock()
	defer l.flight.Unlock()
	l.detached.Store(true)
}

// ReadAt reads from the lower device, which has all that was written.
func (l *Log) ReadAt(p []byte, off int64) (int, error) {
	if err := l.enter(); err != nil {
		return 0, err
	}
	defer l.flight.RUnlock()
	return l.lower.ReadAt(p, off)
}

// WriteAt writes to the lower device, and keeps a copy.
func (l *Log) WriteAt(p []byte, off int64) (int, error) {
	if err := l.room(int64(len(p))); err != nil {
		return 0, err
	}
	if err := l.enter(); err != nil {
		return 0, err
	}
	defer l.flight.RUnlock()
	// The copy is what goes down: a call that the lower device gave up on may read it for ever.
	data := append([]byte(nil), p...)
	if !l.detached.Load() {
		if n, err := l.lower.WriteAt(data, off); err != nil {
			l.failed(entry{off: off, n: int64(len(data)), data: data})
			return n, err
		}
	} else if err := device.CheckRange("write", off, int64(len(p)), l.Size()); err != nil {
		return 0, err
	}
	l.add(entry{off: off, n: int64(len(data)), data: data})
	return len(p), nil
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
	return device.DiscardAt(l.lower, off, n)
}

// add takes in a change that the lower device made.
func (l *Log) add(e entry) {
	l.mu.Lock()
	l.seq++
	e.seq = l.seq
	first := len(l.entries) == 0
	l.entries = append(l.entries, e)
	l.bytes += int64(len(e.data)) + entryCost
	l.noteLocked(e, false)
	l.mu.Unlock()
	if first {
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
}

// failed takes in a change that the lower device reported to have failed, but may have made all the same,
// or may yet make. Nobody was told that it was done: there is nothing to write again.
func (l *Log) failed(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.seq = l.seq
	l.noteLocked(e, true)
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
	l.mu.Lock()
	mark := len(l.entries)
	l.mu.Unlock()
	if err := l.lower.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced++
	l.forgetLocked(mark)
	return nil
}

// forgetLocked drops the first n entries: the medium has them.
func (l *Log) forgetLocked(n int) {
	if n == 0 {
		return
	}
	seq := l.entries[n-1].seq
	for _, e := range l.entries[:n] {
		l.bytes -= int64(len(e.data)) + entryCost
	}
	rest := l.entries[n:]
	if len(rest) == 0 {
		l.entries = nil
	} else {
		l.entries = append([]entry(nil), rest...)
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

// syncer syncs when the oldest copy is syncAge old. While the medium is gone it asks nobody.
func (l *Log) syncer() {
	defer close(l.done)
	timer := time.NewTimer(0)
	<-timer.C
	wait := syncAge
	for {
		select {
		case <-l.stop:
			return
		case <-l.kick:
			timer.Reset(wait)
			continue
		case <-timer.C:
		}
		l.mu.Lock()
		empty := len(l.entries) == 0
		l.mu.Unlock()
		if empty || l.detached.Load() {
			wait = syncAge
			continue
		}
		err := l.Sync() // a failure is the medium's, whose gate says so
		if wait = syncAge; err != nil {
			wait = 2 * syncAge
		}
		timer.Reset(wait)
	}
}

// Close ends the background. The copies stay for Save.
func (l *Log) Close() {
	close(l.stop)
	<-l.done
}

// Errors of Verify and of what uses it.
var (
	// ErrChanged is returned when the medium is not as it was left: something else wrote to it.
	ErrChanged = errors.New("the volume was changed elsewhere")
	// ErrOther is returned when it is another volume.
	ErrOther = errors.New("another volume")
)

// Replay writes all copies to dev, in order, and syncs it. dev is what the lower device will be from
// then on; Verify has found it to be the same volume, unchanged. On success the copies are forgotten.
// It may be called again after an error. No other call reaches the lower device meanwhile.
func (l *Log) Replay(dev device.Device) error {
	l.flight.Lock()
	defer l.flight.Unlock()
	l.mu.Lock()
	entries := l.entries
	l.mu.Unlock()
	if err := replay(dev, entries); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked(len(entries))
	return nil
}

func replay(dev device.Device, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	for _, e := range entries {
		var err error
		if e.n == 0 {
			err = dev.Sync()
		} else if e.data == nil {
			err = device.ZeroAt(dev, e.off, e.n)
		} else {
			_, err = dev.WriteAt(e.data, e.off)
		}
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
	}
	if err := dev.Sync(); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}
