package main

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"syscall"
	"time"
)

// lastCall is how long a call may take that is at work, or made, when the command has been interrupted: what is told
// then still gets to those who read it.
const lastCall = 100 * time.Millisecond

// await makes a call that may have to wait for another program, at the other end of a pipe, for ever. An interrupt
// ends the waiting, not the call: nobody can take that back, and it ends with the process at the latest.
func await[T any](ctx context.Context, call func() (T, error)) (result T, err error) {
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := call()
		done <- outcome{r, err}
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o.result, o.err
	case <-time.After(lastCall):
		return result, ctx.Err()
	}
}

// waits reports whether who opens, reads or writes what is at l may have to wait for another program: it is a pipe
// or a device of the host, or standard input.
func waits(l location) bool {
	if _, onFAT := l.onVolume(); onFAT {
		return false
	}
	info, err := l.tree.Stat(l.name)
	return err == nil && info.Mode()&(iofs.ModeNamedPipe|iofs.ModeDevice|iofs.ModeSocket) != 0
}

// An awaitedFile is read by calls that are awaited.
type awaitedFile struct {
	iofs.File
	ctx context.Context
}

func (f awaitedFile) Read(p []byte) (int, error) {
	return await(f.ctx, func() (int, error) { return f.File.Read(p) })
}

// reader opens a source.
func (c *copier) reader(src location) (iofs.File, error) {
	open := func() (iofs.File, error) { return src.tree.Open(src.name) }
	if !waits(src) {
		return open()
	}
	f, err := await(c.ctx, open)
	return awaitedFile{f, c.ctx}, err
}

// An awaitedDraft is written by calls that are awaited.
type awaitedDraft struct {
	draft
	ctx context.Context
}

func (d awaitedDraft) Write(p []byte) (int, error) {
	return await(d.ctx, func() (int, error) { return d.draft.Write(p) })
}

// begin begins the contents of a target.
func (c *copier) begin(dst location, perm iofs.FileMode, size int64) (draft, error) {
	begin := func() (draft, error) { return dst.tree.begin(dst.name, perm, size) }
	if !waits(dst) {
		return begin()
	}
	d, err := await(c.ctx, begin)
	return awaitedDraft{d, c.ctx}, err
}

// errNoReader is why a command ends early whose output nobody reads any more.
var errNoReader = errors.New("nobody reads the output any more")

// An outlet is the standard output of a command that may write to volumes: it keeps nobody from interrupting that,
// and where its reader is gone, it ends it as an interrupt does.
type outlet struct {
	w    io.Writer
	ctx  context.Context
	stop context.CancelCauseFunc
}

func (o *outlet) Write(p []byte) (int, error) {
	n, err := await(o.ctx, func() (int, error) { return o.w.Write(p) })
	if errors.Is(err, syscall.EPIPE) {
		o.stop(errNoReader)
	}
	return n, err
}
