package fs

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/image/fat"
)

func perm(t testing.TB, name string) os.FileMode {
	t.Helper()
	fi, err := os.Stat(name)
	must(t, err)
	return fi.Mode().Perm()
}

func wantPerm(t testing.TB, name string, want os.FileMode) {
	t.Helper()
	if got := perm(t, name); got != want {
		t.Errorf("%s: mode %o, want %o", name, got, want)
	}
}

func TestModesOnMount(t *testing.T) {
	m := mount(t, setup{fs: Options{FMask: 0o133, DMask: 0o22, DefaultPermissions: true}})
	write(t, m.path("f"), "x")
	must(t, os.Mkdir(m.path("d"), 0o777))
	wantPerm(t, m.path("f"), 0o644)
	wantPerm(t, m.path("d"), 0o755)
	wantPerm(t, m.dir, 0o755)

	must(t, os.Chmod(m.path("f"), 0o444))
	wantPerm(t, m.path("f"), 0o444)
	if a := attributes(t, m, "f"); a&fat.AttrReadOnly == 0 {
		t.Errorf("chmod 444 gives attributes %#x", a)
	}
	must(t, os.Chmod(m.path("f"), 0o644))
	wantPerm(t, m.path("f"), 0o644)
	if a := attributes(t, m, "f"); a&fat.AttrReadOnly != 0 {
		t.Errorf("chmod 644 gives attributes %#x", a)
	}
	must(t, os.Chmod(m.path("f"), 0o600)) // cannot be held: no effect, no error
	wantPerm(t, m.path("f"), 0o644)
	must(t, os.Chmod(m.path("d"), 0o555))
	wantPerm(t, m.path("d"), 0o755)
	wantErrno(t, "set-uid", unix.Chmod(m.path("f"), 0o4644), unix.EPERM)
	wantErrno(t, "sticky directory", unix.Chmod(m.path("d"), 0o1755), unix.EPERM)
	if os.Geteuid() == 0 {
		wantErrno(t, "chown", os.Chown(m.path("f"), 1234, -1), unix.EPERM)
		wantErrno(t, "chgrp", os.Chown(m.path("f"), -1, 1234), unix.EPERM)
	}
	must(t, os.Chown(m.path("f"), os.Geteuid(), os.Getegid()))

	// A file that is created without w bits is read-only from the start.
	fd, err := unix.Open(m.path("ro"), unix.O_CREAT|unix.O_WRONLY, 0o444)
	must(t, err)
	_, err = unix.Write(fd, []byte("written by who created it"))
	must(t, err)
	unix.Close(fd)
	wantPerm(t, m.path("ro"), 0o444)
	wantContent(t, m.path("ro"), "written by who created it")
	must(t, os.Remove(m.path("ro")))
}

// attributes asks the engine for the attributes of a name in the root.
func attributes(t testing.TB, m *mounted, name string) fat.Attributes {
	t.Helper()
	n, _, err := m.vol.Lookup(m.vol.Root(), name)
	must(t, err)
	defer n.Release(1)
	a, err := n.Attr()
	must(t, err)
	return a.Attributes
}

func TestQuiet(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := mount(t, setup{fs: Options{Quiet: true, DefaultPermissions: true}})
	write(t, m.path("f"), "x")
	must(t, os.Chown(m.path("f"), 1234, 1234))
	must(t, unix.Chmod(m.path("f"), 0o4755))
	var st unix.Stat_t
	must(t, unix.Stat(m.path("f"), &st))
	if st.Uid != 0 || st.Mode != modeFile|0o777 {
		t.Errorf("uid %d mode %o: something changed", st.Uid, st.Mode)
	}
}

func TestShowExec(t *testing.T) {
	m := mount(t, setup{fs: Options{ShowExec: true, FMask: 0o22}})
	for name, want := range map[string]os.FileMode{
		"setup.exe": 0o755, "A long name.com": 0o755, "x.Bat": 0o755, "readme.txt": 0o644, "exe": 0o644, "a.exe.txt": 0o644,
	} {
		write(t, m.path(name), "")
		wantPerm(t, m.path(name), want)
	}
	m.InvalidateAll()
	for _, name := range list(t, m.dir) {
		want := os.FileMode(0o644)
		if l := strings.ToLower(name); strings.HasSuffix(l, ".exe") || strings.HasSuffix(l, ".com") || strings.HasSuffix(l, ".bat") {
			want = 0o755
		}
		wantPerm(t, m.path(name), want)
	}
}

func TestRODir(t *testing.T) {
	m := mount(t, setup{fs: Options{RODir: true, DMask: 0o22}})
	must(t, os.Mkdir(m.path("d"), 0o555))
	wantPerm(t, m.path("d"), 0o555)
	must(t, os.Chmod(m.path("d"), 0o755))
	wantPerm(t, m.path("d"), 0o755)
	must(t, os.Chmod(m.path("d"), 0o555))
	wantPerm(t, m.path("d"), 0o555)
}

func TestTimes(t *testing.T) {
	for _, wb := range []bool{false, true} {
		t.Run(fmt.Sprintf("write-back %v", wb), func(t *testing.T) {
			clock := fat.NewClock(nil, 0, true)
			m := mount(t, setup{fat: fat.Options{Clock: clock}, fs: Options{Writeback: wb}})
			write(t, m.path("f"), "x")
			stat := func() (st unix.Stat_t) {
				t.Helper()
				must(t, unix.Stat(m.path("f"), &st))
				return st
			}
			at := time.Date(2003, 4, 5, 6, 7, 9, 123456789, time.UTC)
			must(t, os.Chtimes(m.path("f"), at, at))
			st := stat()
			if got, want := time.Unix(st.Mtim.Unix()).UTC(), at.Truncate(2*time.Second); !got.Equal(want) && !wb {
				t.Errorf("mtime %v, want %v", got, want)
			}
			if got, want := time.Unix(st.Atim.Unix()).UTC(), at.Truncate(24*time.Hour); !got.Equal(want) {
				t.Errorf("atime %v, want %v", got, want)
			}
			// UTIME_OMIT leaves one as it is, UTIME_NOW sets the other to now.
			ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}
			must(t, unix.UtimesNanoAt(unix.AT_FDCWD, m.path("f"), ts, 0))
			now := stat()
			if now.Atim != st.Atim {
				t.Errorf("atime %v became %v", st.Atim, now.Atim)
			}
			if d := time.Since(time.Unix(now.Mtim.Unix())); d < 0 || d > 10*time.Second {
				t.Errorf("mtime is %v ago", d)
			}
			if now.Ctim != now.Mtim && !wb {
				t.Errorf("ctime %v, mtime %v", now.Ctim, now.Mtim)
			}
			ts = []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
			must(t, unix.UtimesNanoAt(unix.AT_FDCWD, m.path("f"), ts, 0))
			early := time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)
			must(t, os.Chtimes(m.path("f"), early, early))
			if got := mtime(stat()); got.Year() != 1980 && !wb {
				t.Errorf("1960 became %v", got)
			}
			late := time.Date(2222, 1, 1, 0, 0, 0, 0, time.UTC)
			must(t, os.Chtimes(m.path("f"), late, late))
			if got := mtime(stat()); got.Year() != 2107 && !wb {
				t.Errorf("2222 became %v", got)
			}
		})
	}
}

func mtime(st unix.Stat_t) time.Time { return time.Unix(st.Mtim.Unix()).UTC() }

func TestBirthTime(t *testing.T) {
	m := mount(t, setup{})
	before := time.Now().Add(-10 * time.Millisecond).Truncate(10 * time.Millisecond)
	write(t, m.path("f"), "x")
	after := time.Now()
	early := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, os.Chtimes(m.path("f"), early, early))
	for _, name := range []string{"f", "."} {
		var stx unix.Statx_t
		must(t, unix.Statx(unix.AT_FDCWD, m.path(name), 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &stx))
		if stx.Mask&unix.STATX_BTIME == 0 {
			t.Errorf("%s: no birth time", name)
		}
		if name == "." {
			continue
		}
		if got := time.Unix(stx.Btime.Sec, int64(stx.Btime.Nsec)); got.Before(before) || got.After(after) {
			t.Errorf("born %v, want between %v and %v", got, before, after)
		}
		var st unix.Stat_t
		must(t, unix.Stat(m.path(name), &st))
		if stx.Ino != st.Ino || stx.Size != uint64(st.Size) || stx.Blocks != uint64(st.Blocks) || uint32(stx.Mode) != st.Mode || stx.Nlink != uint32(st.Nlink) || int64(stx.Blksize) != int64(st.Blksize) || stx.Mtime.Sec != int64(st.Mtim.Sec) {
			t.Errorf("statx %+v\nstat  %+v", stx, st)
		}
	}
}

func TestBlocks(t *testing.T) {
	m := mount(t, setup{size: 64 << 20, mkfs: []string{"-F", "16", "-s", "8"}})
	write(t, m.path("f"), "x")
	var st unix.Stat_t
	must(t, unix.Stat(m.path("f"), &st))
	if st.Blocks != 8 || st.Blksize != minBlockSize {
		t.Errorf("%d blocks of 512, block size %d; want 8, %d", st.Blocks, st.Blksize, minBlockSize)
	}
	must(t, os.Mkdir(m.path("d"), 0o777))
	must(t, unix.Stat(m.path("d"), &st))
	if st.Size != 4096 || st.Blocks != 8 {
		t.Errorf("a directory has %d bytes in %d blocks", st.Size, st.Blocks)
	}
}

// Nobody asks for security.capability before each write.
func TestNoXattrPerWrite(t *testing.T) {
	m := mount(t, setup{noisy: true, fs: Options{Debug: true}})
	f := create(t, m.path("f"), "")
	for range 100 {
		_, err := f.WriteString("some more text")
		must(t, err)
	}
	log := m.log.String()
	if n := strings.Count(log, ": WRITE "); n != 100 {
		t.Errorf("%d WRITE requests, want 100", n)
	}
	if n := strings.Count(log, ": GETXATTR "); n > 1 {
		t.Errorf("%d GETXATTR requests, want at most 1", n)
	}
}

// ls -l, with colours and without, asks the first file whether there are access control lists and capabilities, and not
// each of them.
func TestListingAsksOnce(t *testing.T) {
	m := mount(t, setup{noisy: true, fs: Options{Debug: true}})
	for i := range 100 {
		write(t, m.path(fmt.Sprint(i)), "")
	}
	for _, colour := range []string{"never", "always"} {
		before := strings.Count(m.log.String(), ": GETXATTR ")
		cmd := exec.Command("ls", "-l", "--color="+colour, m.dir)
		cmd.Env = append(os.Environ(), "LS_COLORS=ca=30;41")
		out, err := cmd.CombinedOutput()
		must(t, err)
		if n := strings.Count(string(out), "\n"); n != 101 {
			t.Errorf("%d lines, want 100 and the total", n)
		}
		if n := strings.Count(m.log.String(), ": GETXATTR ") - before; n > 4 {
			t.Errorf("%d GETXATTR requests with colour %s, want one for each kind at most", n, colour)
		}
	}
}

func TestSysImmutable(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := mount(t, setup{fs: Options{SysImmutable: true, DefaultPermissions: true}})
	write(t, m.path("f"), "x")
	write(t, m.path("g"), "g")
	must(t, os.Mkdir(m.path("d"), 0o777))
	write(t, m.path("d/in"), "x")
	open, err := os.OpenFile(m.path("f"), os.O_RDWR, 0)
	must(t, err)
	defer open.Close()
	setxattr := func(name, letters string) {
		t.Helper()
		must(t, unix.Setxattr(m.path(name), "user.fatvol.attributes", []byte(letters), 0))
	}
	setxattr("f", "SA")
	setxattr("d", "S")

	_, err = os.OpenFile(m.path("f"), os.O_WRONLY, 0)
	wantErrno(t, "open for writing", err, unix.EPERM)
	_, err = os.OpenFile(m.path("f"), os.O_RDONLY|os.O_TRUNC, 0)
	wantErrno(t, "open with O_TRUNC", err, unix.EPERM)
	wantErrno(t, "truncate", os.Truncate(m.path("f"), 0), unix.EPERM)
	wantErrno(t, "chmod", os.Chmod(m.path("f"), 0o555), unix.EPERM)
	wantErrno(t, "utimes", os.Chtimes(m.path("f"), time.Now(), time.Now()), unix.EPERM)
	wantErrno(t, "unlink", unix.Unlink(m.path("f")), unix.EPERM)
	wantErrno(t, "unlink otherwise", unix.Unlink(m.path("F")), unix.EPERM)
	wantErrno(t, "rename", unix.Rename(m.path("f"), m.path("h")), unix.EPERM)
	wantErrno(t, "rename onto it", unix.Rename(m.path("g"), m.path("f")), unix.EPERM)
	wantErrno(t, "rmdir", unix.Rmdir(m.path("d")), unix.EPERM)
	wantErrno(t, "unlink in a system directory", unix.Unlink(m.path("d/in")), unix.EPERM)
	wantErrno(t, "mkdir in a system directory", unix.Mkdir(m.path("d/x"), 0o777), unix.EPERM)
	_, err = os.Create(m.path("d/new"))
	wantErrno(t, "create in a system directory", err, unix.EPERM)
	wantErrno(t, "rename into a system directory", unix.Rename(m.path("g"), m.path("d/g")), unix.EPERM)
	if _, err := open.WriteString("whoever has it open may go on"); err != nil {
		t.Error(err)
	}
	wantContent(t, m.path("d/in"), "x")

	setxattr("f", "A")
	setxattr("d", "")
	must(t, os.RemoveAll(m.path("d")))
	must(t, os.Remove(m.path("f")))
}

// What fallocate kept beyond the size goes with the last handle, and the kernel shows it.
func TestBlocksAfterKeepSize(t *testing.T) {
	m := mount(t, setup{})
	blocks := func() int64 {
		var st unix.Stat_t
		must(t, unix.Stat(m.path("f"), &st))
		return st.Blocks
	}
	f, err := os.Create(m.path("f"))
	must(t, err)
	must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20))
	if n := blocks(); n != 2048 {
		t.Errorf("open: %d blocks", n)
	}
	must(t, f.Close())
	eventually(t, "the clusters are given back", func() bool { return blocks() == 0 })
}
