package guestapi

import (
	"fmt"
	"path/filepath"
	"time"
)

// Kind says what a worker does, again and again until it is stopped.
type Kind string

const (
	// Reader reads random blocks of File through one descriptor.
	Reader Kind = "reader"
	// MmapReader loads random blocks of File from one shared mapping.
	MmapReader Kind = "mmap reader"
	// Writer overwrites the blocks of File one after the other through one descriptor.
	Writer Kind = "writer"
	// Creator writes small files under a temporary name, renames them over their name, and removes
	// some of them again, as editors do.
	Creator Kind = "creator"
	// Appender adds blocks to the files of Dir one after the other, each through a descriptor of its own. The
	// version of a slot is the number of blocks in its file.
	Appender Kind = "appender"
	// Lister lists Dir.
	Lister Kind = "lister"
	// Statter asks for the attributes of names in Dir by path, of one by descriptor, of names that
	// are not there, and of the file system.
	Statter Kind = "statter"
	// Opener opens names in Dir, reads them and closes them.
	Opener Kind = "opener"
	// Pulse does nothing but sleep for PulsePause at a time, before all others on the processor that
	// its File is the number of. How long that takes beyond the pause is what the guest lost to the
	// machine that emulates it.
	Pulse Kind = "pulse"
)

// PulsePause is how long a Pulse sleeps, in nanoseconds.
const PulsePause = 2_000_000

// Work describes a worker, which is a process of its own in the guest.
type Work struct {
	Kind Kind
	// Dir holds the worker's File, or its files. The names are those that Name gives.
	Dir string
	// File is the number of the file, unique among the workers of a file system.
	File uint64
	// Slots is the number of blocks in File or the number of names in Dir.
	Slots int
	// Block is the size of a block in bytes, a multiple of 8.
	Block int
	// FsyncEvery makes writers and creators call fsync after every nth write; 0 is never.
	FsyncEvery int
	// Acks is a device that writers, creators and appenders acknowledge to what an fsync has covered; "" is none.
	Acks string
	// Nested gives each file of a creator a directory of its own, which comes and goes with it.
	Nested bool
	// Direct opens with O_DIRECT.
	Direct bool
	// Uncached makes readers and openers drop what the kernel caches before each call.
	Uncached bool
	// Pause follows each round, in addition to a millisecond after a round that failed.
	Pause time.Duration
	// Rush, if it is not 0, makes the worker hurry once a call has failed: it makes this many calls
	// without a pause, counts them without keeping records, and then waits to be stopped.
	Rush int64
}

// Path of the file of readers and writers.
func (w Work) Path() string {
	return filepath.Join(w.Dir, fmt.Sprintf("blocks of file %d.bin", w.File))
}

// Name is the name of a slot in Dir. Every other one has an 8.3 name only.
func (w Work) Name(slot int) string {
	if slot%2 == 0 {
		return fmt.Sprintf("S%03dF%03d.DAT", slot%1000, w.File%1000)
	}
	return fmt.Sprintf("Entry %d of file %d with a name too long for 8.3.dat", slot, w.File)
}

// FilePath is the path of the file of a slot in Dir.
func (w Work) FilePath(slot int) string {
	if w.Nested {
		return filepath.Join(w.Dir, w.Name(slot), "content of the directory")
	}
	return filepath.Join(w.Dir, w.Name(slot))
}

// Absent is a name that is never there.
func (w Work) Absent(slot int) string { return fmt.Sprintf("no entry %d of file %d", slot, w.File) }

// Removed tells whether a creator's given version of a slot is that its file is not there.
func (w Work) Removed(version uint64) bool { return version%5 == 0 }

// WorkReport is what a worker has to tell in the end.
type WorkReport struct {
	Work    Work
	Records []Record
	Dropped int64 // records that were too many to keep
	Counts  map[Outcome]int64
	Ledger  Ledger
	Err     string // why the worker could not work
	Stuck   string // kernel stacks of the worker's threads when it did not end
}

// Outcome is what calls are counted by.
type Outcome struct {
	Op     Op
	Result Result
	Errno  int
}

// Progress is how far a worker has come.
type Progress struct {
	ID       int
	Calls    int64
	Failures int64
	// LastOK and LastFailure are the instants at which the last call of either kind ended; 0: none.
	LastOK, LastFailure int64
	Rushed              int64 // calls since the worker hurries
	Ended               bool
}

// Ledger is what a writer or a creator knows to be in the file system, by slot.
type Ledger []LedgerSlot

// LedgerSlot is the state of one block or name. The next version is tried until it succeeds, so
// that there is never more than one in doubt.
type LedgerSlot struct {
	Acked  uint64 // last version whose write succeeded; 0: none
	Synced uint64 // last version that an fsync covered
	Tried  uint64 // version of a write that failed since; 0: none
}

// Allows tells whether the version may be found in the slot.
func (s LedgerSlot) Allows(version uint64) bool {
	return version == s.Acked || s.Tried != 0 && version == s.Tried
}
