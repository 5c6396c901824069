package fs

import (
	"os"
	"slices"
	"testing"
)

// Two list a directory that changes: neither is served from what the other has read, which may be older.
func TestDirStreamsAtOnce(t *testing.T) {
	m := mount(t, setup{})
	must(t, os.Mkdir(m.path("d"), 0o777))
	fill(t, m.path("d"), 4)
	create(t, m.path("d/gone"), "").Close()
	buf := make([]byte, 4096)
	early := openDir(t, m.path("d"))
	if n := len(getdents(t, early, buf)); n != 7 {
		t.Fatalf("%d entries in the first part of a listing", n)
	}
	must(t, os.Remove(m.path("d/gone")))
	late := openDir(t, m.path("d"))
	if n := len(getdents(t, late, buf)); n != 6 {
		t.Errorf("%d entries after one was removed", n)
	}
	if rest := getdents(t, early, buf); len(rest) > 0 {
		t.Errorf("the first listing goes on with %v", rest)
	}
	if rest := getdents(t, late, buf); slices.ContainsFunc(rest, func(e rawDirent) bool { return e.name == "gone" }) {
		t.Error("a listing that began after a file was removed has it")
	}
}
