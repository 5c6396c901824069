package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A mount in the background is served by a child process: the same program with the same command
// line. The child reports through a pipe that the mount is ready, or why it failed, and until then says
// what it has to say on the caller's standard error and stays in the caller's process group: below an
// automount point, the kernel lets no process outside the automounter's group near the directory
// before the mount is complete. Then it gets a session of its own.

// readyVariable is the environment variable that tells the child of its end of the pipe.
const readyVariable = "_FATVOL_READY_FD"

// readyFD is that end: the first descriptor behind the standard ones.
const readyFD = 3

// readyMessage is what the child writes into the pipe, once.
type readyMessage struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
}

// wordsGrace is how long the child's standard error may stay open after the child has reported:
// a program that the child has started might hold it.
const wordsGrace = 2 * time.Second

// inBackground runs this program again with args as the process that serves a mount, and returns
// once the mount is ready or has failed. start starts the process; nil means cmd.Start.
func inBackground(args []string, start func(*exec.Cmd) error) error {
	ready, childReady, err := os.Pipe()
	if err != nil {
		return failf(exitSystem, "pipe: %w", err)
	}
	defer ready.Close()
	stderr, childStderr, err := os.Pipe()
	if err != nil {
		childReady.Close()
		return failf(exitSystem, "pipe: %w", err)
	}
	defer stderr.Close()

	// The child may have a session of its own soon, which an interrupt at the terminal does not reach.
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, heeded(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)...)
	defer signal.Stop(interrupt)
	surviveHangUps()

	cmd, err := childCommand(args, childReady, childStderr)
	if err == nil {
		if start == nil {
			start = (*exec.Cmd).Start
		}
		err = start(cmd)
	}
	childReady.Close()
	childStderr.Close()
	if err != nil {
		return failf(exitSystem, "cannot start the serving process: %w", err)
	}

	return awaitReady(cmd, ready, stderr, interrupt)
}

// childCommand prepares the serving process. Nothing of the caller's stays open in it, and it is
// in no directory whose file system could then not be unmounted.
func childCommand(args []string, ready, stderr *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	closeInheritedOnExec()
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", readyVariable, readyFD))
	cmd.Dir = "/"
	cmd.Stderr = stderr
	cmd.ExtraFiles = []*os.File{ready}
	return cmd, nil
}

// awaitReady waits for the child's message or its death, and passes on what the child has to say.
func awaitReady(cmd *exec.Cmd, ready, stderr *os.File, interrupt <-chan os.Signal) error {
	var words bytes.Buffer
	said := make(chan struct{})
	go func() {
		defer close(said)
		_, _ = io.Copy(&words, stderr) // an error ends it as well
	}()
	message := make(chan []byte, 1)
	go func() {
		text, _ := io.ReadAll(ready) // an error looks like the death that it stands for
		message <- text
	}()

	interrupted := false
	var text []byte
	for text == nil {
		select {
		case text = <-message:
		case <-interrupt:
			interrupted = true
			signal.Reset(syscall.SIGINT, syscall.SIGTERM) // a second one ends the waiting
			// Should the mount be ready by now, this unmounts it.
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	var m readyMessage
	reported := json.Unmarshal(text, &m) == nil
	if reported && m.Code == exitOK && !interrupted {
		heard(said, stderr)
		os.Stderr.Write(words.Bytes())
		return nil
	}
	died := cmd.Wait()
	heard(said, stderr)
	os.Stderr.Write(words.Bytes())
	switch {
	case interrupted:
		return failf(exitInterrupted, "interrupted")
	case !reported:
		return deathError(died, words.String())
	}
	return &exitError{m.Code, errors.New(m.Error)}
}

// heard waits, within reason, for the end of what the child says on stderr.
func heard(said <-chan struct{}, stderr *os.File) {
	select {
	case <-said:
	case <-time.After(wordsGrace):
		stderr.Close()
		<-said
	}
}

// deathError describes a child that died without a message. A panic's first words are in the
// error; all of them have been passed on.
func deathError(died error, words string) error {
	how := "it ended without a word"
	if died != nil {
		how = died.Error()
	}
	first, _, _ := strings.Cut(strings.TrimSpace(words), "\n")
	if first != "" {
		how += ": " + first
	}
	return failf(exitBug, "the serving process died before the mount was ready: %s: please report this", how)
}

// readyPipe is the child's end of the pipe.
type readyPipe struct{ f *os.File }

// takeReadyPipe returns the pipe when this process is such a child, and nil otherwise.
func takeReadyPipe() *readyPipe {
	if os.Getenv(readyVariable) != fmt.Sprint(readyFD) {
		return nil
	}
	os.Unsetenv(readyVariable)
	var st syscall.Stat_t
	if syscall.Fstat(readyFD, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return nil
	}
	syscall.CloseOnExec(readyFD)
	return &readyPipe{os.NewFile(readyFD, "ready")}
}

// report tells the parent how the mount came out. With a nil error, the caller's session and standard
// error are let go of first, so that the parent has seen all that was said; where that fails, the parent
// is told so, and an error returned.
func (p *readyPipe) report(err error) error {
	var held error
	if err == nil {
		held = releaseCaller()
		err = held
	}
	m := readyMessage{Code: exitCode(err)}
	if err != nil {
		m.Error = err.Error()
	}
	line, err := json.Marshal(m)
	if err != nil {
		return failf(exitBug, "readiness: %w", err)
	}
	if _, err := p.f.Write(append(line, '\n')); err != nil {
		return failf(exitSystem, "readiness: %w", err)
	}
	return errors.Join(held, p.f.Close())
}

// releaseCaller gives this process a session of its own, and as standard error /dev/null, which its standard output is
// already: there may be no descriptor left to open that.
func releaseCaller() error {
	if _, err := unix.Setsid(); err != nil {
		return failf(exitSystem, "a session of its own: %w", err)
	}
	if err := dupOver(1, 2); err != nil {
		return failf(exitSystem, "standard error: %w", err)
	}
	return nil
}
