package main

import (
	"errors"
	"io"
	"syscall"
)

// A reporter writes what a command has to tell, and remembers when that could not be written: whoever reads it
// from a file on a full disk must not take half a report for all of it.
type reporter struct {
	w   io.Writer
	err error // of the first write that failed
}

func (r *reporter) Write(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.w.Write(p)
	r.err = err
	return n, err
}

// end is how a command ends that did its work with err: with code where only the report of it is missing.
func (r *reporter) end(code int, name string, err error) error {
	if r.err == nil || err != nil && !errors.Is(err, errReported) {
		return err
	}
	if errors.Is(r.err, syscall.EPIPE) {
		return &exitError{exitNoReader, errReported}
	}
	return failf(code, "%s: it was done, but what there is to tell could not be written: %w", name, r.err)
}
