package main

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// A fullDisk takes no more than so many bytes.
type fullDisk int

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), int(*d))
	if *d -= fullDisk(n); n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// TestReportNotWritten: a command whose report is not written, or not all of it, does not end as if it was.
func TestReportNotWritten(t *testing.T) {
	do := besideImage(t, "a")
	if do("cp", "a", "card.img:/") != 0 {
		t.Fatal("cp")
	}
	for args, code := range map[string]int{
		"check card.img":         checkOperational,
		"check --json card.img":  checkOperational,
		"defrag card.img":        exitSystem,
		"defrag --json card.img": exitSystem,
		"resize -n card.img 7M":  exitSystem,
		"replay list":            exitSystem,
	} {
		for _, room := range []fullDisk{0, 10} {
			root := rootCommand()
			root.SetOut(&room)
			root.SetArgs(strings.Fields(args))
			if err := root.Execute(); exitCode(err) != code || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: exit code %d (%v), want %d and ENOSPC", args, exitCode(err), err, code)
			}
		}
	}
}
