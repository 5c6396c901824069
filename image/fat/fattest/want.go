package fattest

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// want is what the model allows an operation to give.
type want struct {
	errs   []syscall.Errno // allowed; when ok is set, besides success
	ok     bool
	res    Result
	need   int64               // clusters that it takes at most: with fewer free it may give ENOSPC or be cut short
	full   bool                // the fixed root directory may be full: ENOSPC is right whatever is free
	left   func(n int64) int64 // of need, when n bytes were transferred; nil if it is all or nothing
	check  func(got Result) error
	failed func(lo, hi time.Time)             // changes it by what a failure may have done; nil for nothing
	apply  func(got Result, lo, hi time.Time) // changes the model by what happened
}

// fails makes a want of errors, each of which is right.
func fails(errs ...syscall.Errno) *want { return &want{errs: errs} }

// compare judges what a target gave. free asks it for the free clusters.
func (w *want) compare(op Op, got Result, free func() (uint32, error)) error {
	if got.Err == syscall.ENOSPC && !slices.Contains(w.errs, syscall.ENOSPC) {
		if !w.ok {
			return fmt.Errorf("got ENOSPC, want %v", w.errs)
		}
		return w.noSpace(free, w.need)
	}
	if got.Err != 0 {
		if slices.Contains(w.errs, got.Err) {
			return nil
		}
		if w.ok {
			return fmt.Errorf("got %q, want success", got.Err)
		}
		return fmt.Errorf("got %q, want %v", got.Err, w.errs)
	}
	if !w.ok {
		return fmt.Errorf("got success, want %v", w.errs)
	}
	if got.N != w.res.N {
		if got.N > w.res.N || got.N <= 0 || w.left == nil {
			return fmt.Errorf("got %d bytes, want %d", got.N, w.res.N)
		}
		if err := w.noSpace(free, w.left(got.N)); err != nil {
			return fmt.Errorf("got %d bytes of %d: %w", got.N, w.res.N, err)
		}
	}
	if w.check != nil {
		return w.check(got)
	}
	return nil
}

// noSpace is nil if a lack of space is credible.
func (w *want) noSpace(free func() (uint32, error), need int64) error {
	if w.full {
		return nil
	}
	n, err := free()
	if err != nil {
		return fmt.Errorf("asking for the free space: %w", err)
	}
	if int64(n) >= need {
		return fmt.Errorf("no space for %d clusters with %d free", need, n)
	}
	return nil
}

func firstDifference(got, want []byte) string {
	n := min(len(got), len(want))
	for i := range n {
		if got[i] != want[i] {
			end := min(n, i+16)
			diff := 0
			for k := i; k < n; k++ {
				if got[k] != want[k] {
					diff++
				}
			}
			return fmt.Sprintf("from byte %d of %d, %d differ: % x, want % x", i, n, diff, got[i:end], want[i:end])
		}
	}
	return fmt.Sprintf("%d of %d", len(got), len(want))
}
