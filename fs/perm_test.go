package fs

import (
	"os"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

func TestGranted(t *testing.T) {
	const (
		owner, group = 1000, 100
		other        = 2000
	)
	fs := &fileSystem{opt: Options{UID: owner, GID: group}}
	for _, c := range []struct {
		uid, gid   uint32
		mode, want uint32
		granted    bool
	}{
		{0, 0, modeFile | 0, mayRead | mayWrite, true},
		{0, 0, modeFile | 0o666, mayExec, false},
		{0, 0, modeFile | 0o677, mayExec, true},
		{0, 0, modeDir | 0, mayExec, true},
		{owner, other, modeFile | 0o700, mayRead | mayWrite | mayExec, true},
		{owner, other, modeFile | 0o077, mayRead, false},
		{owner, other, modeFile | 0o500, mayWrite, false},
		{other, group, modeFile | 0o070, mayRead | mayWrite, true},
		{other, group, modeFile | 0o707, mayRead, false},
		{other, other, modeFile | 0o755, mayRead | mayExec, true},
		{other, other, modeFile | 0o755, mayWrite, false},
		{other, other, modeFile | 0o770, mayRead, false},
		{other, other, modeFile | 0o607, mayRead | mayWrite | mayExec, true},
		{other, other, modeFile | 0o777, 0, true},
	} {
		caller := &fuse.Caller{Owner: fuse.Owner{Uid: c.uid, Gid: c.gid}}
		if got := fs.granted(caller, c.mode, c.want); got != c.granted {
			t.Errorf("uid %d gid %d mode %o right %o: %v", c.uid, c.gid, c.mode, c.want, got)
		}
	}
}

func TestParseGroups(t *testing.T) {
	for _, c := range []struct {
		status string
		want   []uint32
	}{
		{"Name:\tx\nGroups:\t4 24 4294967294 \nNStgid:\t1\n", []uint32{4, 24, 4294967294}},
		{"Name:\tx\nGroups:\t\n", nil},
		{"Name:\tx\n", nil},
		{"", nil},
		{"Groups:\t7 x 8", []uint32{7, 8}},
	} {
		if got := parseGroups([]byte(c.status)); !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.status, got, c.want)
		}
	}
}

func TestGroupsOfThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("needs /proc")
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	got := groupsOf(uint32(os.Getpid()))
	for _, g := range groups {
		if !slices.Contains(got, uint32(g)) {
			t.Errorf("group %d is not in %v", g, got)
		}
	}
	if groupsOf(0) != nil {
		t.Error("groups of a process that nobody knows")
	}
}

func TestWants(t *testing.T) {
	for _, c := range []struct {
		flags int
		want  uint32
	}{
		{os.O_RDONLY, mayRead},
		{os.O_WRONLY, mayWrite},
		{os.O_RDWR, mayRead | mayWrite},
		{os.O_RDONLY | os.O_TRUNC, mayRead | mayWrite},
		{os.O_WRONLY | os.O_APPEND, mayWrite},
		{openExec, mayExec},
	} {
		if got := wants(uint32(c.flags)); got != c.want {
			t.Errorf("flags %#x: %o, want %o", c.flags, got, c.want)
		}
	}
}
