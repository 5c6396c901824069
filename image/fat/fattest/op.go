package fattest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// OpKind is what an operation does.
type OpKind uint8

// The operations of the exerciser. Slots are small numbers that stand for open files (and, apart
// from those, for open directories), so that a list of operations means the same in every run.
const (
	OpOpen      OpKind = iota // open Path for reading and writing as Slot; Flags say how
	OpClose                   // close Slot
	OpRead                    // read Len bytes at Off of Slot
	OpWrite                   // write Len bytes made from Seed at Off of Slot; at the end under Append
	OpFtruncate               // set the size of Slot to Len
	OpTruncate                // set the size of Path to Len
	OpAllocate                // fallocate Off, Len of Slot; Flags KeepSize
	OpZero                    // zero Off, Len of Slot, growing it unless KeepSize
	OpPunch                   // zero Off, Len of Slot within its size
	OpCopy                    // copy Len bytes at Off of Slot to Off2 of Slot2
	OpFsync                   // fsync Slot
	OpSync                    // sync the volume
	OpStat                    // stat Path
	OpFstat                   // stat Slot
	OpMkdir                   // make the directory Path
	OpRmdir                   // remove the directory Path
	OpUnlink                  // remove the file Path
	OpRename                  // rename Path to To; Flags NoReplace, Exchange
	OpList                    // list the directory Path
	OpDirOpen                 // begin to list Path as directory slot Slot
	OpDirRead                 // go on with that, by at most Len entries
	OpTimes                   // set the modification time of Path to Off and its access time to Off2 (Unix seconds)
	OpAttr                    // set the attribute bits of Path to Flags
	OpStatfs                  // ask for the free space
	OpRemount                 // close everything, check the volume, open it again
)

var opNames = [...]string{"Open", "Close", "Read", "Write", "Ftruncate", "Truncate", "Allocate", "Zero",
	"Punch", "Copy", "Fsync", "Sync", "Stat", "Fstat", "Mkdir", "Rmdir", "Unlink", "Rename", "List",
	"DirOpen", "DirRead", "Times", "Attr", "Statfs", "Remount"}

func (k OpKind) String() string { return opNames[k] }

// Flags of operations.
const (
	Create    = 1 << iota // OpOpen: make the file if there is none
	Excl                  // OpOpen: with Create, fail if there is one
	Trunc                 // OpOpen: cut it to nothing
	Append                // OpOpen: every write goes to the end
	Direct                // OpOpen: past the page cache, where there is one
	KeepSize              // OpAllocate, OpZero
	NoReplace             // OpRename
	Exchange              // OpRename
	Mapped                // OpRead, OpWrite: through a memory map, where there is one
)

// Op is one operation. Which fields count depends on Kind.
type Op struct {
	Kind           OpKind
	Path, To       string // names joined by '/', relative to the root, which is ""
	Slot, Slot2    int
	Off, Off2, Len int64
	Flags          int
	Seed           uint64

	at   time.Duration // when, on a clock of ours; 0 is a little after the operation before
	gave syscall.Errno // what it last gave
}

// String is the operation as a Go literal, to be pasted into a regression test.
func (o Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{Kind: fattest.Op%s", o.Kind)
	str := func(name, v string) {
		if v != "" {
			fmt.Fprintf(&b, ", %s: %q", name, v)
		}
	}
	num := func(name string, v int64) {
		if v != 0 {
			fmt.Fprintf(&b, ", %s: %d", name, v)
		}
	}
	str("Path", o.Path)
	str("To", o.To)
	num("Slot", int64(o.Slot))
	num("Slot2", int64(o.Slot2))
	num("Off", o.Off)
	num("Off2", o.Off2)
	num("Len", o.Len)
	switch {
	case o.Flags == 0:
	case o.Kind == OpAttr:
		fmt.Fprintf(&b, ", Flags: %#x", o.Flags)
	default:
		var names []string
		for i, n := range []string{"Create", "Excl", "Trunc", "Append", "Direct", "KeepSize", "NoReplace", "Exchange", "Mapped"} {
			if o.Flags&(1<<i) != 0 {
				names = append(names, "fattest."+n)
			}
		}
		fmt.Fprintf(&b, ", Flags: %s", strings.Join(names, " | "))
	}
	if o.Seed != 0 {
		fmt.Fprintf(&b, ", Seed: %#x", o.Seed)
	}
	return b.String() + "}"
}

// Data is what OpWrite writes: Len bytes that depend on Seed alone.
func (o Op) Data() []byte {
	b := make([]byte, o.Len+7)
	x := o.Seed | 1
	for i := 0; i < int(o.Len); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(b[i:], x)
	}
	return b[:o.Len]
}

// after is what is left of a transfer after n bytes.
func (o Op) after(n int64) Op {
	if o.Kind == OpCopy {
		o.Off2 += n
	}
	o.Off += n
	o.Len -= n
	return o
}

// Result is what an operation gave.
type Result struct {
	Err     syscall.Errno // 0 for success
	N       int64         // OpRead, OpWrite, OpCopy: bytes
	Data    []byte        // OpRead
	Stat    Stat          // OpStat, OpFstat
	Entries []DirEntry    // OpList, OpDirRead
	End     bool          // OpDirRead: there is nothing more
	Note    string        // what else the target has to say of an unexpected error
}

// DirEntry is an entry of a listing, without "." and "..".
type DirEntry struct {
	Name  string
	IsDir bool
}

// Stat is what a target says about a node.
type Stat struct {
	IsDir     bool
	Size      int64 // of files
	Allocated int64 // bytes
	Links     uint32
	Ino       uint64
	Attr      byte // attribute bits, as far as AttrMask says that they are known
	AttrMask  byte
	Modified  time.Time
	Accessed  time.Time
}

// Target is something that performs operations: the engine, a mounted directory, the model.
type Target interface {
	// Do performs any operation but OpRemount. An OpOpen or OpDirOpen of a slot that is in use
	// closes what was there. Operations on a slot that is not in use give EBADF.
	Do(op Op) Result
	// Free is the number of clusters that can be allocated now.
	Free() (uint32, error)
	// Unmount closes everything and returns the volume for a check, or nil if it has none.
	Unmount() (Source, error)
	// Mount opens the volume again after Unmount.
	Mount() error
	// Close ends the use of the target, whatever state it is in.
	Close()
}

// Clocked is a Target whose clock the exerciser sets.
type Clocked interface {
	SetNow(t time.Time)
}
