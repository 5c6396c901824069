package main

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWithin(t *testing.T) {
	for _, tc := range []struct {
		path, dir string
		want      bool
	}{
		{"/mnt", "/mnt", true},
		{"/mnt/a", "/mnt", true},
		{"/mnt/a (deleted)", "/mnt", true},
		{"/mnt2", "/mnt", false},
		{"/", "/mnt", false},
		{"/mnt", "/", true},
		{"pipe:[1]", "/mnt", false},
	} {
		if got := within(tc.path, tc.dir); got != tc.want {
			t.Errorf("within(%q, %q) = %v", tc.path, tc.dir, got)
		}
	}
}

// Each way to use a directory is found and named.
func TestHolders(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ what, script string }{
		{"working directory", `cd "$0"; echo; read end`},
		{"open file", `exec 5>"$0/file"; echo; read end`},
	} {
		cmd := exec.Command("sh", "-c", tc.script, dir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		bufio.NewReader(out).ReadString('\n')
		found := holders(dir, "0:0")
		i := slices.IndexFunc(found, func(h holder) bool { return h.pid == cmd.Process.Pid })
		if i < 0 || !strings.HasPrefix(found[i].what, tc.what) || found[i].name != "sh" {
			t.Errorf("%s: found %v", tc.what, found)
		}
		in.Close()
		cmd.Wait()
	}
	if found := holders(dir, "0:0"); len(found) != 0 {
		t.Errorf("nobody uses it, and these are found: %v", found)
	}
}
