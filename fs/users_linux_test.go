package fs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Users of the tests: who owns the files, who shares their group, and who is nobody to them.
const (
	ownerUID, ownerGID = 12001, 12001
	mateUID, mateGID   = 12002, 12002 // with ownerGID as a supplementary group
	otherUID, otherGID = 12003, 12003
)

// mountFor mounts for other users of the machine than the one who runs the test.
func mountFor(t *testing.T, opt Options) *mounted {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become other users")
	}
	opt.UID, opt.GID, opt.AllowOther = ownerUID, ownerGID, true
	m := mount(t, setup{fs: opt})
	reachable(t, filepath.Dir(m.dir))
	return m
}

// reachable lets everybody pass through the directories that a test made.
func reachable(t testing.TB, dir string) {
	t.Helper()
	for ; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
}

// as runs a shell script as a user, with the mount as working directory, and says whether it went well.
func (m *mounted) as(uid, gid uint32, groups []uint32, script string) (string, bool) {
	cmd := exec.Command("sh", "-c", `cd "$0" && `+script, m.dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// A userTest is what a user may do, and with which options.
type userTest struct {
	name   string
	opt    Options
	script string
	// Who may: root, the owner, one of his group, anybody.
	root, owner, mate, other bool
}

func TestUsers(t *testing.T) {
	usual := Options{FMask: 0o133, DMask: 0o022}
	group := Options{FMask: 0o117, DMask: 0o007}
	for _, c := range []userTest{
		{"read", usual, "cat f", true, true, true, true},
		{"write", usual, "echo x >> f", true, true, false, false},
		{"truncate by name", usual, "truncate -s 0 f", true, true, false, false},
		{"create", usual, "echo x > new", true, true, false, false},
		{"list", usual, "ls", true, true, true, true},
		{"mkdir", usual, "mkdir dir", true, true, false, false},
		{"unlink", usual, "rm -f f", true, true, false, false},
		{"rename", usual, "mv f g", true, true, false, false},
		{"chmod", usual, "chmod 444 f", true, true, false, false},
		{"touch to now", usual, "touch f", true, true, false, false},
		{"touch to a date", usual, "touch -d 2001-02-03 f", true, true, false, false},
		{"chown to the owner", usual, "chown 12001 f", true, true, false, false},
		{"chown to another", usual, "chown 12009 f", false, false, false, false},
		{"group: write", group, "echo x >> f", true, true, true, false},
		{"group: create", group, "echo x > new", true, true, true, false},
		{"group: read", group, "cat f", true, true, true, false},
		{"group: list", group, "ls", true, true, true, false},
		{"group: stat", group, "stat f", true, true, true, false},
		{"group: touch to now", group, "touch f", true, true, true, false},
		{"group: touch to a date", group, "touch -d 2001-02-03 f", true, true, false, false},
		{"write-back cache: touch to now", Options{DMask: 0o022, Writeback: true}, "touch f", true, true, true, true},
		{"write-back cache: touch to a date", Options{DMask: 0o022, Writeback: true}, "touch -d 2001-02-03 f", true, true, false, false},
		{"move a read-only directory", Options{RODir: true}, "mkdir -p new/a new/b && chmod 555 new/a && mv new/a new/b", true, false, false, false},
		{"attributes", usual, "fatattr +h f", true, true, false, false},
	} {
		for _, kernel := range []bool{true, false} {
			opt := c.opt
			opt.DefaultPermissions = kernel
			name := c.name + ", checked by us"
			if kernel {
				name = c.name + ", checked by the kernel"
			}
			t.Run(name, func(t *testing.T) { c.run(t, opt) })
		}
	}
}

func (c *userTest) run(t *testing.T, opt Options) {
	if strings.HasPrefix(c.script, "fatattr") {
		if _, err := exec.LookPath("fatattr"); err != nil {
			t.Skip("needs fatattr")
		}
	}
	m := mountFor(t, opt)
	for _, u := range []struct {
		who      string
		uid, gid uint32
		groups   []uint32
		may      bool
	}{
		{"another", otherUID, otherGID, nil, c.other},
		{"one of the group", mateUID, mateGID, []uint32{ownerGID}, c.mate},
		{"the owner", ownerUID, ownerGID, nil, c.owner},
		{"root", 0, 0, nil, c.root},
	} {
		os.RemoveAll(m.path("new"))
		os.RemoveAll(m.path("dir"))
		os.RemoveAll(m.path("g"))
		os.RemoveAll(m.path("f"))
		write(t, m.path("f"), "content")
		list(t, m.dir) // the kernel knows every name: it must not let pass who may not pass
		if out, ok := m.as(u.uid, u.gid, u.groups, c.script); ok != u.may {
			t.Errorf("%s by %s: succeeds %v, want %v\n%s", c.script, u.who, ok, u.may, out)
		}
	}
}

func TestAllowUTime(t *testing.T) {
	for _, c := range []userTest{
		{"", Options{FMask: 0o133, DMask: 0o022, AllowUTime: 0}, "touch -d 2001-02-03 f", true, true, false, false},
		{"", Options{FMask: 0o133, DMask: 0o022, AllowUTime: 0o20}, "touch -d 2001-02-03 f", true, true, true, false},
		{"", Options{FMask: 0o133, DMask: 0o022, AllowUTime: 0o02}, "touch -d 2001-02-03 f", true, true, false, true},
		{"", Options{FMask: 0o133, DMask: 0o022, AllowUTime: 0o22}, "touch -d 2001-02-03 f", true, true, true, true},
		{"", Options{FMask: 0o133, DMask: 0o022, AllowUTime: 0o22}, "echo x >> f", true, true, false, false},
		{"", Options{FMask: 0o133, DMask: 0o022, AllowUTime: 0o22}, "chmod 444 f", true, true, false, false},
		{"", Options{AllowUTime: 0o22}, "echo x >> f && touch -d 2001-02-03 f && mkdir dir", true, true, true, true},
	} {
		c.opt.DefaultPermissions = true
		t.Run(c.script, func(t *testing.T) { c.run(t, c.opt) })
	}
}

func TestQuietForOthers(t *testing.T) {
	c := userTest{
		opt:    Options{FMask: 0o133, DMask: 0o022, Quiet: true, DefaultPermissions: true},
		script: "chown 12009 f && chmod 444 f && touch -d 2001-02-03 f",
		root:   true, owner: true, mate: true, other: true,
	}
	c.run(t, c.opt)
	m := mountFor(t, c.opt)
	write(t, m.path("f"), "x")
	if out, ok := m.as(otherUID, otherGID, nil, "chmod 444 f"); !ok {
		t.Error(out)
	}
	wantPerm(t, m.path("f"), 0o644)
	if out, ok := m.as(otherUID, otherGID, nil, "echo x >> f"); ok {
		t.Errorf("quiet lets others write: %s", out)
	}
}

// An image may be formatted with files that are executable for some; x counts even for root.
func TestExecute(t *testing.T) {
	for _, kernel := range []bool{true, false} {
		m := mountFor(t, Options{ShowExec: true, DMask: 0o022, FMask: 0o022, DefaultPermissions: kernel})
		script := "#!/bin/sh\necho ran\n"
		write(t, m.path("program.bat"), script)
		write(t, m.path("text.txt"), script)
		for _, uid := range []uint32{0, ownerUID, otherUID} {
			if out, ok := m.as(uid, uid, nil, "./program.bat"); !ok || out != "ran\n" {
				t.Errorf("uid %d cannot run a program: %s", uid, out)
			}
			if out, ok := m.as(uid, uid, nil, "./text.txt"); ok {
				t.Errorf("uid %d can run a text: %s", uid, out)
			}
		}
	}
}

// Without allow_other, nobody but the serving user gets in, not even root's other users.
func TestNotForOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := mount(t, setup{})
	reachable(t, filepath.Dir(m.dir))
	if out, ok := m.as(otherUID, otherGID, nil, "ls"); ok {
		t.Errorf("another user gets in: %s", out)
	}
}
