package main

import (
	"errors"
	"fmt"
	"syscall"
)

// Exit codes of every subcommand; they are those of mount(8) and umount(8).
const (
	exitOK          = 0  // done
	exitUsage       = 1  // wrong invocation, or not permitted
	exitSystem      = 2  // system error: no memory, no process, no pipe
	exitBug         = 4  // a fault of fatvol itself
	exitInterrupted = 8  // the user interrupted the command
	exitMtab        = 16 // the record of the mount could not be written
	exitFailed      = 32 // the mount or the unmount failed
)

// Exit codes of exec besides those of the command that it runs; they are those of env(1) and timeout(1).
const (
	exitExec          = 125 // the volume could not be mounted, or is not complete: the message says which
	exitNotExecutable = 126 // the command is there, and could not be run
	exitNotFound      = 127 // there is no such command
	exitSignal        = 128 // and the number of the signal that ended the command
)

// exitNoReader is the exit code of a command that would have been ended by SIGPIPE, had it not had a volume to bring
// in order before. A shell shows the same for both.
const exitNoReader = exitSignal + int(syscall.SIGPIPE)

// exitError carries the exit code that goes with an error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// withCode makes err end the command with the exit code, unless it has a code already.
func withCode(code int, err error) error {
	var e *exitError
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &exitError{code, err}
}

// failf is fmt.Errorf with an exit code.
func failf(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// exitCode is the exit code that goes with err. What carries none came from the command line.
func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	}
	return exitUsage
}
