package faultdev

import (
	"fmt"
	"sync"

	"fatvol/image/device"
)

// Entry is one recorded change, sync or mark.
type Entry struct {
	Kind Kind
	Off  int64
	Len  int64
	Data []byte // of a write
	// Covers is, for a sync, the number of entries that were in the log when it began: all of
	// those are on stable storage once it has succeeded.
	Covers int
	// Mark is the text of a mark; Kind is not valid then.
	Mark string
}

func (e Entry) String() string {
	switch {
	case e.Mark != "":
		return "mark " + e.Mark
	case e.Kind == Sync:
		return fmt.Sprintf("sync of the first %d", e.Covers)
	}
	return fmt.Sprintf("%s of %d bytes at offset %d", e.Kind, e.Len, e.Off)
}

func (e Entry) isChange() bool {
	return e.Mark == "" && (e.Kind == Write || e.Kind == Zero || e.Kind == Discard)
}

// Recorder passes operations on to another device and keeps each change that succeeded, in the
// order in which they took place, with the syncs that succeeded between them.
type Recorder struct {
	d device.Device

	// changes is held over a change and its entry: two changes of one byte must not be in the
	// log the other way round. Reads and syncs do not wait for it.
	changes sync.Mutex

	mu struct {
		sync.Mutex
		log []Entry
	}
}

// NewRecorder returns a Recorder over d with an empty log.
func NewRecorder(d device.Device) *Recorder { return &Recorder{d: d} }

// Log returns the entries so far. The caller must not change them.
func (r *Recorder) Log() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.log[:len(r.mu.log):len(r.mu.log)]
}

// Len is the number of entries so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mu.log)
}

// Mark puts a note into the log, for instance which call of an application has returned, so
// that a test knows what must have survived a cut behind it. The text must not be empty.
func (r *Recorder) Mark(text string) { r.add(Entry{Mark: text}) }

// Size is the length in bytes.
func (r *Recorder) Size() int64 { return r.d.Size() }

// Check passes the question on.
func (r *Recorder) Check() error { return device.Check(r.d) }

// ReadAt passes the call on.
func (r *Recorder) ReadAt(p []byte, off int64) (int, error) { return r.d.ReadAt(p, off) }

// WriteAt records what was written, and of a write that failed the part which was.
func (r *Recorder) WriteAt(p []byte, off int64) (int, error) {
	r.changes.Lock()
	defer r.changes.Unlock()
	n, err := r.d.WriteAt(p, off)
	if n > 0 {
		r.add(Entry{Kind: Write, Off: off, Len: int64(n), Data: append([]byte(nil), p[:n]...)})
	}
	return n, err
}

// Sync records a sync that succeeded.
func (r *Recorder) Sync() error {
	covers := r.Len()
	if err := r.d.Sync(); err != nil {
		return err
	}
	r.add(Entry{Kind: Sync, Covers: covers})
	return nil
}

// ZeroAt records what was zeroed.
func (r *Recorder) ZeroAt(off, n int64) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	if err := device.ZeroAt(r.d, off, n); err != nil {
		return err
	}
	r.add(Entry{Kind: Zero, Off: off, Len: n})
	return nil
}

// DiscardAt records what was discarded.
func (r *Recorder) DiscardAt(off, n int64) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	if err := device.DiscardAt(r.d, off, n); err != nil {
		return err
	}
	r.add(Entry{Kind: Discard, Off: off, Len: n})
	return nil
}

func (r *Recorder) add(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.log = append(r.mu.log, e)
}

// take empties the log and returns what was in it.
func (r *Recorder) take() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.mu.log
	r.mu.log = nil
	return log
}

var _ interface {
	device.Device
	device.Zeroer
	device.Discarder
	device.Checker
} = (*Recorder)(nil)
