package integration

import (
	"bytes"
	le "encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the options of a mount do, seen from outside. cmd/fatvol tests what they set.

const nobody = 65534

// asNobody runs a program as a user without privileges.
func asNobody(t testing.TB, name string, args ...string) (out string, code int) {
	t.Helper()
	needRoot(t)
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR=", "HOME=/", "TMPDIR=/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return runCmd(t, cmd)
}

// openPath lets other users pass through a test's directories.
func openPath(t testing.TB, path string) {
	t.Helper()
	for dir := filepath.Dir(path); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// volume is an image with a file of each kind that the options tell apart.
func volume(t testing.TB) string {
	t.Helper()
	need(t, "mcopy", "mattrib", "mmd")
	img := mkfsFAT(t, 4<<20)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\necho ran\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"PROG.EXE", "plain.txt", "RDONLY.TXT", "SYSTEM.TXT"} {
		run(t, "mcopy", "-i", img, text, "::"+name)
	}
	run(t, "mmd", "-i", img, "::RODIR")
	run(t, "mattrib", "-i", img, "+r", "::RDONLY.TXT", "::RODIR")
	run(t, "mattrib", "-i", img, "+s", "::SYSTEM.TXT")
	return img
}

func TestPermissionOptions(t *testing.T) {
	needRoot(t)
	img := volume(t)
	type look struct {
		mode     fs.FileMode
		uid, gid uint32
	}
	for _, tc := range []struct {
		options string
		want    map[string]look
	}{
		{"umask=022", map[string]look{
			"": {0o755, 0, 0}, "plain.txt": {0o755, 0, 0}, "RODIR": {0o755, 0, 0}, "RDONLY.TXT": {0o555, 0, 0},
		}},
		{"uid=1234,gid=daemon,umask=077", map[string]look{"": {0o700, 1234, 1}, "plain.txt": {0o700, 1234, 1}}},
		{"fmask=133,dmask=022", map[string]look{"": {0o755, 0, 0}, "plain.txt": {0o644, 0, 0}, "RDONLY.TXT": {0o444, 0, 0}}},
		{"umask=022,showexec", map[string]look{
			"": {0o755, 0, 0}, "plain.txt": {0o644, 0, 0}, "PROG.EXE": {0o755, 0, 0}, "RDONLY.TXT": {0o444, 0, 0},
		}},
		{"umask=022,rodir", map[string]look{"": {0o755, 0, 0}, "RODIR": {0o555, 0, 0}}},
		{"umask=0", map[string]look{"": {0o777, 0, 0}, "plain.txt": {0o777, 0, 0}}},
	} {
		dir := mountImage(t, img, tc.options)
		for name, want := range tc.want {
			st, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			sys := st.Sys().(*syscall.Stat_t)
			if got := (look{st.Mode().Perm(), sys.Uid, sys.Gid}); got != want {
				t.Errorf("-o %s: %q is %v, want %v", tc.options, name, got, want)
			}
		}
		umount(t, dir)
	}
}

// Without masks, those of the process that mounts count.
func TestUmaskOfTheProcess(t *testing.T) {
	needFUSE(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	run(t, "sh", "-c", `umask 0137 && "$0" mount "$1" "$2"`, binary(t), img, dir)
	defer run(t, binary(t), "umount", dir)
	st, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", st.Mode())
	}
}

func TestQuiet(t *testing.T) {
	needRoot(t)
	img := volume(t)
	for _, tc := range []struct {
		options string
		want    error
	}{{"umask=022", syscall.EPERM}, {"umask=022,quiet", nil}} {
		dir := mountImage(t, img, tc.options)
		name := filepath.Join(dir, "plain.txt")
		if err := os.Chown(name, 1234, 1234); !errors.Is(err, tc.want) {
			t.Errorf("-o %s: chown: %v, want %v", tc.options, err, tc.want)
		}
		if err := os.Chmod(name, 0o755|os.ModeSetuid); !errors.Is(err, tc.want) {
			t.Errorf("-o %s: chmod 4755: %v, want %v", tc.options, err, tc.want)
		}
		// This one vfat takes without a word and without effect.
		if err := os.Chmod(name, 0o600); err != nil {
			t.Errorf("-o %s: chmod 600: %v", tc.options, err)
		}
		if err := os.Chmod(name, 0o555); err != nil {
			t.Errorf("-o %s: chmod to what FAT can hold: %v", tc.options, err)
		}
		st, err := os.Stat(name)
		if err != nil || st.Sys().(*syscall.Stat_t).Uid != 0 || st.Mode().Perm() != 0o555 {
			t.Errorf("-o %s: then it is %v, %v", tc.options, st.Mode(), err)
		}
		if err := os.Chmod(name, 0o755); err != nil {
			t.Error(err)
		}
		umount(t, dir)
	}
}

func TestSysImmutable(t *testing.T) {
	img := volume(t)
	for _, tc := range []struct {
		options string
		want    error
	}{{"rw", nil}, {"sys_immutable", syscall.EPERM}} {
		dir := mountImage(t, img, tc.options)
		name := filepath.Join(dir, "SYSTEM.TXT")
		if err := os.WriteFile(name, []byte("changed"), 0o644); !errors.Is(err, tc.want) {
			t.Errorf("-o %s: write: %v, want %v", tc.options, err, tc.want)
		}
		if err := os.Rename(name, name+"2"); !errors.Is(err, tc.want) {
			t.Errorf("-o %s: rename: %v, want %v", tc.options, err, tc.want)
		}
		os.Rename(name+"2", name)
		umount(t, dir)
	}
}

func TestAllowUTime(t *testing.T) {
	needRoot(t)
	img := volume(t)
	for _, tc := range []struct {
		options string
		allowed bool
	}{
		{"umask=022", false},
		{"umask=0", true}, // follows dmask
		{"umask=0,allow_utime=0", false},
		{"umask=0,allow_utime=2", true},
		{"umask=022,allow_utime=2", true},
		{"umask=022,allow_utime=20", false},
		{"umask=022,allow_utime=20,gid=65534", true},
	} {
		dir := mountImage(t, img, tc.options)
		openPath(t, dir)
		out, code := asNobody(t, "touch", "-d", "2001-02-03T04:05:06", filepath.Join(dir, "plain.txt"))
		if (code == 0) != tc.allowed {
			t.Errorf("-o %s: touch as nobody: exit code %d, %s", tc.options, code, out)
		}
		umount(t, dir)
	}
}

func TestMountTable(t *testing.T) {
	img := volume(t)
	for _, tc := range []struct {
		options string
		flags   []string // that the mount table shows
		source  string
		fstype  string
	}{
		{"rw", []string{"rw", "nosuid", "nodev", "relatime"}, img, "fuse.fatvol"},
		{"ro", []string{"ro"}, img, "fuse.fatvol"},
		{"noexec", []string{"noexec"}, img, "fuse.fatvol"},
		{"noatime", []string{"noatime"}, img, "fuse.fatvol"},
		{"sync", []string{"sync"}, img, "fuse.fatvol"},
		{"dirsync", []string{"dirsync"}, img, "fuse.fatvol"},
		{"nfs=nostale_ro", []string{"ro"}, img, "fuse.fatvol"},
		{"nfs=stale_rw", []string{"rw"}, img, "fuse.fatvol"},
		{"default_permissions", []string{"rw"}, img, "fuse.fatvol"},
		{`fsname=my\, card`, []string{"rw"}, `my,\040card`, "fuse.fatvol"},
		{"subtype=card", []string{"rw"}, img, "fuse.card"},
	} {
		dir := mountImage(t, img, tc.options)
		line := strings.Fields(mountTable(t, dir))
		if len(line) < 4 {
			t.Fatalf("mount table: %q", line)
		}
		shown := strings.Split(line[3], ",")
		for _, want := range tc.flags {
			if !slices.Contains(shown, want) {
				t.Errorf("-o %s: %s is not among %q", tc.options, want, shown)
			}
		}
		if line[0] != tc.source || line[2] != tc.fstype {
			t.Errorf("-o %s: source %s, type %s; want %s, %s", tc.options, line[0], line[2], tc.source, tc.fstype)
		}
		umount(t, dir)
	}
}

func TestSuidAndDevForRoot(t *testing.T) {
	needRoot(t)
	dir := mountImage(t, volume(t), "suid,dev")
	if flags := strings.Fields(mountTable(t, dir))[3]; strings.Contains(flags, "nosuid") || strings.Contains(flags, "nodev") {
		t.Errorf("flags %s", flags)
	}
}

func TestExec(t *testing.T) {
	img := volume(t)
	dir := mountImage(t, img, "umask=022")
	if out := run(t, filepath.Join(dir, "plain.txt")); out != "ran\n" {
		t.Errorf("%q", out)
	}
	umount(t, dir)
	dir = mountImage(t, img, "umask=022,noexec")
	if err := exec.Command(filepath.Join(dir, "plain.txt")).Run(); !errors.Is(err, syscall.EACCES) {
		t.Errorf("-o noexec: %v", err)
	}
}

// Others than root may reach a mount by root, as with vfat, as far as the masks let them.
func TestAllowOther(t *testing.T) {
	needRoot(t)
	img := volume(t)
	for options, want := range map[string]int{"umask=022": 0, "umask=077": 1, "umask=077,uid=65534": 0} {
		dir := mountImage(t, img, options)
		openPath(t, dir)
		if out, code := asNobody(t, "cat", filepath.Join(dir, "plain.txt")); code != want {
			t.Errorf("-o %s: exit code %d: %s", options, code, out)
		}
		umount(t, dir)
	}
}

// shortEntry finds the directory entry of an 8.3 name, as 11 bytes, in an image.
func shortEntry(t testing.TB, img, name string) (offset int64, entry []byte) {
	t.Helper()
	raw, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off+32 <= len(raw); off += 32 {
		if e := raw[off : off+32]; string(e[:11]) == name && e[11] != 0x0f {
			return int64(off), e
		}
	}
	return -1, nil
}

// patch overwrites bytes of an image.
func patch(t testing.TB, img string, off int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}

// names lists a directory.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// dirEntry makes an 8.3 entry of an empty file.
func dirEntry(name string, ntCase byte) []byte {
	e := make([]byte, 32)
	copy(e, name)
	e[11], e[12] = 0x20, ntCase
	le.LittleEndian.PutUint16(e[16:], 0x5821) // creation, access and change: 2024-01-01
	le.LittleEndian.PutUint16(e[18:], 0x5821)
	le.LittleEndian.PutUint16(e[24:], 0x5821)
	return e
}

// rootOffset is where the fixed root directory of a FAT12 or FAT16 volume begins.
func rootOffset(t testing.TB, img string) int64 {
	t.Helper()
	boot := make([]byte, 512)
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	order := le.LittleEndian
	sectors := int64(order.Uint16(boot[14:])) + int64(boot[16])*int64(order.Uint16(boot[22:]))
	return sectors * int64(order.Uint16(boot[11:]))
}

func TestNamesFromDisk(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	root := rootOffset(t, img)
	patch(t, img, root, slices.Concat(
		dirEntry("README  TXT", 0),
		dirEntry("LOWER   TXT", 0x18),
		dirEntry("MIXED   TXT", 0x08),
		dirEntry("\x9dL      TXT", 0), // Ø in code page 850, ¥ in 437
	))
	for _, tc := range []struct {
		options string
		want    []string
	}{
		{"rw", []string{"README.TXT", "lower.txt", "mixed.TXT", "¥L.TXT"}},
		{"shortname=mixed", []string{"README.TXT", "lower.txt", "mixed.TXT", "¥L.TXT"}},
		{"shortname=winnt", []string{"README.TXT", "lower.txt", "mixed.TXT", "¥L.TXT"}},
		{"shortname=win95", []string{"README.TXT", "LOWER.TXT", "MIXED.TXT", "¥L.TXT"}},
		{"nocase", []string{"README.TXT", "LOWER.TXT", "MIXED.TXT", "¥L.TXT"}},
		{"shortname=lower", []string{"readme.txt", "lower.txt", "mixed.txt", "¥l.txt"}},
		{"codepage=850", []string{"README.TXT", "lower.txt", "mixed.TXT", "ØL.TXT"}},
		{"codepage=850,utf8=0", []string{"README.TXT", "lower.txt", "mixed.TXT", "\xd8L.TXT"}},
		{"codepage=850,iocharset=iso8859-1", []string{"README.TXT", "lower.txt", "mixed.TXT", "\xd8L.TXT"}},
		{"iocharset=iso8859-15", []string{"README.TXT", "lower.txt", "mixed.TXT", "\xa5L.TXT"}},
		{"iocharset=iso8859-15,utf8", []string{"README.TXT", "lower.txt", "mixed.TXT", "¥L.TXT"}},
		{"iocharset=koi8-r", []string{"README.TXT", "lower.txt", "mixed.TXT", "?L.TXT"}},
		{"iocharset=koi8-r,uni_xlate", []string{"README.TXT", "lower.txt", "mixed.TXT", ":00a5L.TXT"}},
	} {
		dir := mountImage(t, img, "ro,"+tc.options)
		got := names(t, dir)
		slices.Sort(got)
		slices.Sort(tc.want)
		if !slices.Equal(got, tc.want) {
			t.Errorf("-o %s: %q, want %q", tc.options, got, tc.want)
		}
		umount(t, dir)
	}
}

func TestNamesToDisk(t *testing.T) {
	for _, tc := range []struct {
		options string
		name    string
		short   string // entry that is there, 11 bytes
		ntCase  byte
		long    bool // a long name is there as well
	}{
		{"rw", "lower.txt", "LOWER   TXT", 0x18, true},
		{"shortname=mixed", "lower.txt", "LOWER   TXT", 0x18, true},
		{"shortname=winnt", "lower.txt", "LOWER   TXT", 0x18, false},
		{"shortname=winnt", "Mixed.txt", "MIXED   TXT", 0, true},
		{"shortname=win95", "UPPER.TXT", "UPPER   TXT", 0, false},
		{"shortname=lower", "lower.txt", "LOWER   TXT", 0x18, true},
		{"rw", "longfilename.txt", "LONGFI~1TXT", 0, true},
		{"nonumtail", "longfilename.txt", "LONGFILETXT", 0, true},
		{"nonumtail=0", "longfilename.txt", "LONGFI~1TXT", 0, true},
	} {
		img := mkfsFAT(t, 4<<20)
		dir := mountImage(t, img, tc.options)
		if err := os.WriteFile(filepath.Join(dir, tc.name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := names(t, dir); !slices.Equal(got, []string{tc.name}) {
			t.Errorf("-o %s: %q is listed as %q", tc.options, tc.name, got)
		}
		umount(t, dir)
		off, entry := shortEntry(t, img, tc.short)
		if off < 0 {
			t.Errorf("-o %s: %q has no entry %q", tc.options, tc.name, tc.short)
			continue
		}
		if !tc.long && entry[12] != tc.ntCase {
			t.Errorf("-o %s: %q has the case bits %#x, want %#x", tc.options, tc.name, entry[12], tc.ntCase)
		}
		if long := off > rootOffset(t, img); long != tc.long {
			t.Errorf("-o %s: %q has a long name: %v, want %v", tc.options, tc.name, long, tc.long)
		}
		fsck(t, img)
	}
}

func TestCharsetOfNewNames(t *testing.T) {
	for _, tc := range []struct{ options, given, utf8 string }{
		{"iocharset=koi8-r", "\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"},
		{"iocharset=iso8859-15", "100 \xa4", "100 €"},
		{"iocharset=iso8859-1,uni_xlate", "caf\xe9 :8a9e", "café 語"},
	} {
		img := mkfsFAT(t, 4<<20)
		dir := mountImage(t, img, tc.options)
		if err := os.WriteFile(filepath.Join(dir, tc.given), nil, 0o644); err != nil {
			t.Errorf("-o %s: %v", tc.options, err)
		}
		umount(t, dir)
		dir = mountImage(t, img)
		if got := names(t, dir); !slices.Equal(got, []string{tc.utf8}) {
			t.Errorf("-o %s: %q became %q, want %q", tc.options, tc.given, got, tc.utf8)
		}
		umount(t, dir)
	}
}

func TestCheck(t *testing.T) {
	img := volume(t)
	for options, other := range map[string]bool{"rw": true, "check=n": true, "check=r": true, "check=s": false} {
		dir := mountImage(t, img, options)
		_, err := os.Stat(filepath.Join(dir, "PLAIN.txt"))
		if (err == nil) != other {
			t.Errorf("-o %s: the other spelling: %v", options, err)
		}
		umount(t, dir)
	}
}

func TestTimeOptions(t *testing.T) {
	need(t, "mdir")
	const zone = "Etc/GMT-3" // three hours ahead of UTC
	if _, err := time.LoadLocation(zone); err != nil {
		t.Skipf("needs the time zone data of the system: %v", err)
	}
	t.Setenv("TZ", zone)
	when := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	for _, tc := range []struct{ options, disk string }{
		{"rw", "6:04"},
		{"tz=UTC", "3:04"},
		{"time_offset=90", "4:34"},
		{"time_offset=-120", "1:04"},
	} {
		img := mkfsFAT(t, 4<<20)
		dir := mountImage(t, img, tc.options)
		name := filepath.Join(dir, "a.txt")
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(name); err != nil || !st.ModTime().Equal(when) {
			t.Errorf("-o %s: %v, %v", tc.options, st.ModTime(), err)
		}
		umount(t, dir)
		if out := run(t, "mdir", "-i", img, "::a.txt"); !strings.Contains(out, "2026-01-02   "+tc.disk) {
			t.Errorf("-o %s: on the disk it is\n%s", tc.options, out)
		}
	}
}

func TestAtimeOptions(t *testing.T) {
	old := time.Date(2020, 5, 6, 0, 0, 0, 0, time.Local)
	for options, changes := range map[string]bool{"rw": true, "relatime": true, "strictatime": true, "noatime": false} {
		img := volume(t)
		dir := mountImage(t, img, options)
		name := filepath.Join(dir, "plain.txt")
		if err := os.Chtimes(name, old, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
		umount(t, dir)
		_, entry := shortEntry(t, img, "PLAIN   TXT")
		date := le.LittleEndian.Uint16(entry[18:])
		if changed := date != 40<<9|5<<5|6; changed != changes {
			t.Errorf("-o %s: access date %#x, changed %v, want %v", options, date, changed, changes)
		}
	}
}

// With these, the image holds a change as soon as the call is back, without a moment for the
// background.
func TestSyncOptions(t *testing.T) {
	need(t, "mtype", "mdir")
	for _, tc := range []struct {
		options string
		file    bool // a write that is not followed by a close
		closed  bool // a file that was written and closed
		dir     bool // a new directory
	}{
		{"sync", true, true, true},
		{"dirsync", false, false, true},
		{"flush", false, true, false},
	} {
		img := mkfsFAT(t, 4<<20)
		dir := mountImage(t, img, tc.options)
		if err := os.Mkdir(filepath.Join(dir, "newdir"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, code := runCode(t, "mdir", "-i", img, "::newdir"); tc.dir && code != 0 {
			t.Errorf("-o %s: a new directory is not on the medium", tc.options)
		}
		f, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("content"); err != nil {
			t.Fatal(err)
		}
		if out, _ := runCode(t, "mtype", "-i", img, "::file"); tc.file && out != "content" {
			t.Errorf("-o %s: what was written is not on the medium but %q", tc.options, out)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if out, _ := runCode(t, "mtype", "-i", img, "::file"); tc.closed && out != "content" {
			t.Errorf("-o %s: what was written and closed is not on the medium but %q", tc.options, out)
		}
		umount(t, dir)
	}
}

func TestWriteback(t *testing.T) {
	img := mkfsFAT(t, 64<<20)
	dir := mountImage(t, img, "writeback")
	name := filepath.Join(dir, "a")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for off := 0; off < len(want); off += 16 {
		if _, err := f.WriteAt(want[off:off+16], int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	f.Close()
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back: %d bytes, %v", len(got), err)
	}
	umount(t, dir)
	fsck(t, img)
	dir = mountImage(t, img, "ro")
	if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after a remount: %d bytes, %v", len(got), err)
	}
}

// blocks is the space that a file takes on its host.
func blocks(t testing.TB, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Blocks)
}

func TestDiscard(t *testing.T) {
	for options, given := range map[string]bool{"rw": false, "discard": true} {
		img := mkfsFAT(t, 64<<20)
		dir := mountImage(t, img, options)
		name := filepath.Join(dir, "big")
		if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 32<<20), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, "sync", name)
		full := blocks(t, img)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		umount(t, dir)
		if shrunk := blocks(t, img) < full/2; shrunk != given {
			t.Errorf("-o %s: %d blocks with the file, %d without", options, full, blocks(t, img))
		}
		fsck(t, img)
	}
}

// damagedVolume has a file whose chain leads into a free cluster.
func damagedVolume(t testing.TB) string {
	t.Helper()
	img := mkfsFAT(t, 16<<20, "-F", "16", "-s", "1")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mcopy", "-i", img, file, "::GOOD.TXT")
	run(t, "mcopy", "-i", img, file, "::BAD.TXT")
	_, entry := shortEntry(t, img, "BAD     TXT")
	first := int64(le.LittleEndian.Uint16(entry[26:]))
	// The FAT begins behind the reserved sectors.
	raw := make([]byte, 16)
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	start := int64(le.LittleEndian.Uint16(raw[14:])) * 512
	patch(t, img, start+2*(first+1), []byte{0, 0})
	return img
}

func TestErrorsOption(t *testing.T) {
	for _, tc := range []struct {
		options string
		write   error // what a write says after damage was found
	}{
		{"rw", syscall.EROFS},
		{"errors=remount-ro", syscall.EROFS},
		{"errors=continue", nil},
	} {
		dir := mountImage(t, damagedVolume(t), tc.options)
		if _, err := os.ReadFile(filepath.Join(dir, "BAD.TXT")); !errors.Is(err, syscall.EIO) {
			t.Errorf("-o %s: reading the damaged file: %v", tc.options, err)
		}
		if _, err := os.ReadFile(filepath.Join(dir, "GOOD.TXT")); err != nil {
			t.Errorf("-o %s: reading the other file: %v", tc.options, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o644); !errors.Is(err, tc.write) {
			t.Errorf("-o %s: writing: %v, want %v", tc.options, err, tc.write)
		}
		log := servers[dir].log
		umount(t, dir)
		if !strings.Contains(log.String(), "BAD") && !strings.Contains(log.String(), "cluster") {
			t.Errorf("-o %s: the log does not name the place: %s", tc.options, log)
		}
	}
}

func TestErrorsPanic(t *testing.T) {
	dir := mountImage(t, damagedVolume(t), "errors=panic")
	held, err := os.Open(filepath.Join(dir, "GOOD.TXT"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(filepath.Join(dir, "BAD.TXT")); !errors.Is(err, syscall.EIO) {
		t.Errorf("reading the damaged file: %v", err)
	}
	if _, err := held.Stat(); err == nil {
		if _, err := held.Read(make([]byte, 1)); !errors.Is(err, syscall.EIO) {
			t.Errorf("reading another file after the panic: %v", err)
		}
	}
	awaitTrue(t, "detached", func() bool { return mountTable(t, dir) == "" })
	held.Close()
	mounts.Lock()
	s := servers[dir]
	delete(servers, dir)
	mounts.Unlock()
	select {
	case <-s.done:
	case <-time.After(patience):
		t.Fatal("the serving process does not end")
	}
	forgetMount(dir)
	if s.cmd.ProcessState.ExitCode() < 0 {
		t.Errorf("it ended by a signal: %v", s.cmd.ProcessState)
	}
}

func TestUseFree(t *testing.T) {
	const wrong = 1234
	for options, want := range map[string]bool{"rw": false, "usefree": true} {
		img := mkfsFAT(t, 64<<20, "-F", "32", "-s", "1")
		count := make([]byte, 4)
		le.LittleEndian.PutUint32(count, wrong)
		patch(t, img, 512+488, count)  // FSI_Free_Count
		patch(t, img, 0x41, []byte{1}) // not unmounted cleanly
		patch(t, img, 6*512+0x41, []byte{1})
		dir := mountImage(t, img, "ro,"+options)
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if trusted := st.Bfree == wrong; trusted != want {
			t.Errorf("-o %s: %d clusters are free", options, st.Bfree)
		}
		umount(t, dir)
	}
}

func TestFATOption(t *testing.T) {
	img := mkfsFAT(t, 4<<20, "-F", "12")
	for option, want := range map[string]string{"rw": `"fat": 12`, "fat=12": `"fat": 12`, "fat=16": `"fat": 16`} {
		if out := run(t, binary(t), "info", "--json", "-o", option, img); !strings.Contains(out, want) {
			t.Errorf("-o %s: %s is not in %s", option, want, out)
		}
	}
	if out, code := runCode(t, binary(t), "mount", "-o", "fat=32", img, newDir(t)); code != 32 {
		t.Errorf("FAT12 as FAT32: exit code %d, says %s", code, out)
	}
}

func TestDOS1xFloppy(t *testing.T) {
	needFUSE(t)
	img := filepath.Join(t.TempDir(), "floppy.img")
	raw := make([]byte, 160<<10)
	// Two FATs of one sector each behind the boot sector, which has no BPB; 64 entries of root.
	copy(raw[512:], []byte{0xfe, 0xff, 0xff, 0xff, 0x0f})
	copy(raw[1024:], []byte{0xfe, 0xff, 0xff, 0xff, 0x0f})
	entry := dirEntry("HELLO   TXT", 0)
	entry[26], entry[28] = 2, 5
	copy(raw[1536:], entry)
	copy(raw[1536+64*32:], "hello")
	if err := os.WriteFile(img, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := runCode(t, binary(t), "mount", img, newDir(t)); code != 32 {
		t.Errorf("without the option: exit code %d, says %s", code, out)
	}
	dir := mountImage(t, img, "dos1xfloppy")
	if text, err := os.ReadFile(filepath.Join(dir, "hello.txt")); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestVolumeOptions(t *testing.T) {
	need(t, "sfdisk")
	img := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(img, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 32<<20); err != nil {
		t.Fatal(err)
	}
	table := exec.Command("sfdisk", "-q", img)
	table.Stdin = strings.NewReader("label: dos\nlabel-id: 0x12345678\nstart=2048,size=8192,type=6\nstart=16384,size=8192,type=6\n")
	if out, code := runCmd(t, table); code != 0 {
		t.Fatal(out)
	}
	raw, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for i, start := range []int64{2048 * 512, 16384 * 512} {
		part := mkfsFAT(t, 4<<20, "-n", fmt.Sprintf("PART%d", i+1), "-i", fmt.Sprintf("0000000%d", i+1))
		text, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.WriteAt(text, start); err != nil {
			t.Fatal(err)
		}
	}
	for i, option := range []string{
		"partition=1", "partition=2", "partition=PART1", "partition=PART2", "partition=12345678-01",
		"partition=12345678-02", "partition=0000-0001", "partition=0000-0002", "offset=1048576", "offset=8MiB",
		"offset=1M,sizelimit=4M", "offset=8192K,sizelimit=4194304",
	} {
		dir := mountImage(t, img, option)
		name := fmt.Sprintf("mounted %d", i)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Error(err)
		}
		umount(t, dir)
		start := []int64{2048 * 512, 16384 * 512}[i%2]
		if out := run(t, "mdir", "-b", "-i", fmt.Sprintf("%s@@%d", img, start), "::"); !strings.Contains(out, name) {
			t.Errorf("-o %s: %q is not in the partition at %d:\n%s", option, name, start, out)
		}
	}
	fsck(t, img, 2048*512)
	fsck(t, img, 16384*512)

	out, code := runCode(t, binary(t), "mount", img, newDir(t))
	for _, want := range []string{"2 FAT volumes", "PART1", "PART2", "partition=1", "partition=2"} {
		if code != 32 || !strings.Contains(out, want) {
			t.Errorf("without a choice: exit code %d, %q is not in %s", code, want, out)
		}
	}
	out, code = runCode(t, binary(t), "mount", "-o", "partition=3", img, newDir(t))
	if code != 32 || !strings.Contains(out, "3") {
		t.Errorf("partition=3: exit code %d, says %s", code, out)
	}
}

func TestDebug(t *testing.T) {
	dir := mountImage(t, volume(t), "debug")
	s := servers[dir]
	if _, err := os.Stat(filepath.Join(dir, "plain.txt")); err != nil {
		t.Error(err)
	}
	umount(t, dir)
	if !strings.Contains(s.log.String(), "LOOKUP") {
		t.Errorf("no request is in the log:\n%s", s.log)
	}
}
