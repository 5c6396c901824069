package guestapi

import (
	"fmt"
	"syscall"
)

// Op is the system call that a record is about.
type Op uint8

const (
	OpOpen Op = iota
	OpRead
	OpMmapRead // a load from a mapping
	OpWrite
	OpFsync
	OpClose
	OpStat
	OpFstat
	OpStatfs
	OpReaddir // from opendir to the end of the listing
	OpAbsent  // stat of a name that is not there
	OpCreate
	OpRename
	OpUnlink
	OpPulse // a sleep of PulsePause
	opCount
)

var opNames = [opCount]string{
	"open", "read", "mmap read", "write", "fsync", "close", "stat", "fstat", "statfs", "readdir",
	"stat of an absent name", "create", "rename", "unlink", "pulse",
}

func (o Op) String() string {
	if o < opCount {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// Result is what came of a call.
type Result uint8

const (
	// ResultOK: the call succeeded, and what it returned is right. For OpAbsent it means ENOENT.
	ResultOK Result = iota
	// ResultErrno: the call failed with the record's errno.
	ResultErrno
	// ResultSIGBUS: the access to a mapping raised a signal.
	ResultSIGBUS
	// ResultShort: the call succeeded but returned less than there is: bytes or names.
	ResultShort
	// ResultWrong: the call succeeded, and what it returned was never right.
	ResultWrong
)

func (r Result) String() string {
	switch r {
	case ResultOK:
		return "success"
	case ResultErrno:
		return "error"
	case ResultSIGBUS:
		return "SIGBUS"
	case ResultShort:
		return "short"
	case ResultWrong:
		return "wrong data"
	}
	return fmt.Sprintf("Result(%d)", uint8(r))
}

// Record is one call of a workload.
type Record struct {
	Op         Op
	Result     Result
	Errno      syscall.Errno
	Start, End int64
	Slot       uint32 // of the block or the name that the call was about
}

func (r Record) String() string {
	result := r.Result.String()
	if r.Result == ResultErrno {
		result = r.Errno.Error()
	}
	return fmt.Sprintf("%v of slot %d: %s (%.3f ms)", r.Op, r.Slot, result, float64(r.End-r.Start)/1e6)
}

// Failed tells whether the call ended with an error or a signal.
func (r Record) Failed() bool { return r.Result == ResultErrno || r.Result == ResultSIGBUS }
