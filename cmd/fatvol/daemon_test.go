package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// child runs a shell script in place of the serving process. Its descriptor 3 is the pipe.
func child(t *testing.T, script string, interrupt <-chan os.Signal) error {
	t.Helper()
	ready, childReady, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	stderr, childStderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	cmd := exec.Command("sh", "-c", script)
	cmd.ExtraFiles = []*os.File{childReady}
	cmd.Stderr = childStderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	childReady.Close()
	childStderr.Close()
	return awaitReady(cmd, ready, stderr, interrupt)
}

func TestAwaitReady(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		code         int
		says         string
	}{
		{"ready", `echo '{"code":0}' >&3; exec 3>&- 2>&-; exec sleep 0.2`, exitOK, ""},
		{"failed", `echo '{"code":32,"error":"no FAT volume"}' >&3; exit 32`, exitFailed, "no FAT volume"},
		{"usage", `echo '{"code":1,"error":"not permitted"}' >&3; exit 1`, exitUsage, "not permitted"},
		{"died without a word", `exit 3`, exitBug, "died before the mount was ready: exit status 3"},
		{"died with last words", `printf 'panic: oh no\n\ngoroutine 1\n' >&2; exit 2`, exitBug, "exit status 2: panic: oh no: please"},
		{"was killed", `kill -9 $$`, exitBug, "signal: killed"},
		{"died in the middle of the message", `printf '{"code":0' >&3`, exitBug, "it ended without a word"},
		{"speaks nonsense", `echo hello >&3`, exitBug, "it ended without a word"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := child(t, tc.script, nil)
			if exitCode(err) != tc.code {
				t.Errorf("exit code %d, want %d", exitCode(err), tc.code)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if !strings.Contains(text, tc.says) || tc.says == "" && text != "" || strings.Contains(text, "\n") {
				t.Errorf("says %q, want %q", text, tc.says)
			}
		})
	}
}

// An interrupt of the command ends the serving process, and the command waits for that.
func TestAwaitReadyInterrupted(t *testing.T) {
	interrupt := make(chan os.Signal, 1)
	interrupt <- syscall.SIGINT
	mark := t.TempDir() + "/ended"
	script := `trap 'sleep 0.05; echo >"` + mark + `"; exit 0' TERM; while :; do sleep 0.01; done`
	err := child(t, script, interrupt)
	if exitCode(err) != exitInterrupted {
		t.Errorf("exit code %d, %v", exitCode(err), err)
	}
	if _, statErr := os.Stat(mark); statErr != nil {
		// The shell may have been told before it had set its trap, and then it is dead as well.
		if !errors.Is(statErr, os.ErrNotExist) {
			t.Error(statErr)
		}
	}
}

func TestReadyPipe(t *testing.T) {
	t.Setenv(readyVariable, "")
	if takeReadyPipe() != nil {
		t.Error("a pipe came from nowhere")
	}
	// Whoever sets the variable by hand has no pipe there.
	t.Setenv(readyVariable, "7")
	if takeReadyPipe() != nil {
		t.Error("a wrong descriptor is taken for the pipe")
	}
}
