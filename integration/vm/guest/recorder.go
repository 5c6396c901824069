//go:build linux

package main

import (
	"errors"
	"sync"
	"syscall"

	"fatvol/integration/vm/guestapi"
)

// recorder keeps the records of a worker.
type recorder struct {
	work guestapi.Work
	stop <-chan struct{}

	ledger guestapi.Ledger // used by the worker's rounds only, until report

	mu struct {
		sync.Mutex
		records  []guestapi.Record
		dropped  int64
		counts   map[guestapi.Outcome]int64
		progress guestapi.Progress
	}
}

// errShort and errWrong are what a call says that succeeded and should not have.
var (
	errShort = errors.New("short")
	errWrong = errors.New("wrong")
	errFault = errors.New("SIGBUS")
)

// do makes a call, records it, and tells whether it succeeded as it should.
func (r *recorder) do(op guestapi.Op, slot int, call func() error) bool {
	start := monotonic()
	err := call()
	rec := guestapi.Record{Op: op, Start: start, End: monotonic(), Slot: uint32(slot)}
	var errno syscall.Errno
	switch {
	case err == nil:
	case errors.Is(err, errShort):
		rec.Result = guestapi.ResultShort
	case errors.Is(err, errWrong):
		rec.Result = guestapi.ResultWrong
	case errors.Is(err, errFault):
		rec.Result = guestapi.ResultSIGBUS
	case errors.As(err, &errno):
		rec.Result, rec.Errno = guestapi.ResultErrno, errno
	default:
		rec.Result = guestapi.ResultErrno // io.EOF and the like, which the callers turn into errShort
	}
	r.add(rec)
	return rec.Result == guestapi.ResultOK
}

func (r *recorder) add(rec guestapi.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.mu.progress
	p.Calls++
	if rec.Result == guestapi.ResultOK {
		p.LastOK = rec.End
	} else {
		p.Failures++
		p.LastFailure = rec.End
	}
	r.mu.counts[guestapi.Outcome{Op: rec.Op, Result: rec.Result, Errno: int(rec.Errno)}]++
	switch {
	case r.work.Rush > 0 && p.Failures > 0:
		p.Rushed++
	case len(r.mu.records) >= maxRecords:
		r.mu.dropped++
	default:
		r.mu.records = append(r.mu.records, rec)
	}
}

func (r *recorder) progress() guestapi.Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.progress
}

func (r *recorder) stopped() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

func (r *recorder) report() guestapi.WorkReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return guestapi.WorkReport{Work: r.work, Records: r.mu.records, Dropped: r.mu.dropped, Counts: r.mu.counts, Ledger: r.ledger}
}
