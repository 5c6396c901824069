package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fatvol/image"
	"fatvol/image/fat"
)

func TestExitCode(t *testing.T) {
	base := errors.New("x")
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{base, exitUsage},
		{failf(exitFailed, "a: %w", base), exitFailed},
		{fmt.Errorf("b: %w", failf(exitSystem, "a: %w", base)), exitSystem},
		{withCode(exitBug, base), exitBug},
		{withCode(exitBug, failf(exitInterrupted, "c")), exitInterrupted},
		{withCode(exitBug, nil), exitOK},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("exitCode(%v) = %d, want %d", tc.err, got, tc.want)
		}
	}
	if !errors.Is(failf(exitFailed, "a: %w", base), base) {
		t.Error("the cause is lost")
	}
}

func TestMountError(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code int
		text string
	}{
		{fmt.Errorf("/a.img: open: %w", fs.ErrPermission), exitUsage,
			"mount /a.img: open: permission denied: run it as a user who may, or as root"},
		{fmt.Errorf("/a.img: %w", fat.ErrTruncated), exitFailed,
			"mount /a.img: truncated image: FAT volume is damaged: was it copied whole?"},
		{fmt.Errorf("/a.img: %w", fat.ErrCorrupt), exitFailed,
			"mount /a.img: FAT volume is damaged: 'fatvol check --repair /a.img' may repair it"},
		{&fat.BPBError{Field: "BPB_NumFATs", Offset: 16, Value: 5, Want: "1 to 4", Err: fat.ErrCorrupt}, exitFailed,
			"mount /a.img: FAT volume is damaged: BPB_NumFATs (offset 0x10) is 5 (0x5), want 1 to 4: 'fatvol info /a.img' shows what is there"},
		{fmt.Errorf("x: %w", fat.ErrNotFAT), exitFailed,
			"mount /a.img: x: not a FAT volume: 'fatvol info /a.img' shows what is there"},
		{&fs.PathError{Op: "stat", Path: "/a.img", Err: fs.ErrNotExist}, exitFailed,
			"mount /a.img: there is no such image: 'fatvol create' makes one"},
	} {
		err := mountError("/a.img", tc.err)
		if exitCode(err) != tc.code || err.Error() != tc.text {
			t.Errorf("code %d, %q; want %d, %q", exitCode(err), err, tc.code, tc.text)
		}
		if !errors.Is(err, tc.err) {
			t.Errorf("%v: the cause is lost", err)
		}
	}
}

// TestOfflineError: a command that is advised can be typed, also where the image was given with a partition.
func TestOfflineError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.img")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	damaged := &fat.BPBError{Field: "BPB_NumFATs", Offset: 16, Value: 5, Want: "1 to 4", Err: fat.ErrCorrupt}
	if err := offlineError("resize", path, damaged); err == nil || !strings.HasSuffix(err.Error(), "want 1 to 4: 'fatvol info "+path+"' shows what is there") {
		t.Errorf("a damaged boot sector: %v", err)
	}
	_, missing := os.Stat(path + ":1")
	want := "mount " + path + ":1: there is no such image: a partition of " + path + " is chosen with -o partition=1"
	if err := mountError(path+":1", missing); err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	want = "resize " + path + ":1: no such partition: 'fatvol info " + path + "' shows what is there"
	if err := offlineError("resize", path+":1", image.ErrNoPartition); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
