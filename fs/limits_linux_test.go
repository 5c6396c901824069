package fs

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// 4 GiB - 1 is the most that a file holds: EFBIG beyond, and what fits is written.
func TestSizeLimit(t *testing.T) {
	m := mount(t, setup{size: 5 << 30, mkfs: []string{"-F", "32", "-s", "64"}})
	f := create(t, m.path("f"), "")
	const limit = 1<<32 - 1
	must(t, f.Truncate(0))
	wantErrno(t, "truncate beyond", f.Truncate(limit+1), unix.EFBIG)
	wantErrno(t, "truncate far beyond", unix.Ftruncate(int(f.Fd()), 1<<62+1), unix.EFBIG)
	_, err := f.WriteAt([]byte("x"), limit)
	wantErrno(t, "write beyond", err, unix.EFBIG)
	wantErrno(t, "fallocate beyond", unix.Fallocate(int(f.Fd()), 0, limit-10, 20), unix.EFBIG)
	if n := size(t, m.path("f")); n != 0 {
		t.Errorf("refused changes left a size of %d", n)
	}
	must(t, f.Truncate(limit-100))
	n, err := unix.Pwrite(int(f.Fd()), pattern(1, 4096), limit-50)
	if n != 50 || err != nil {
		t.Errorf("write over the limit: %d %v, want 50 bytes", n, err)
	}
	if n := size(t, m.path("f")); n != limit {
		t.Errorf("size %d, want %d", n, int64(limit))
	}
	must(t, os.Truncate(m.path("f"), 0)) // fsck.fat 4.2 takes the length of such a chain for 0
}

func TestNoSpace(t *testing.T) {
	m := mount(t, setup{size: 4 << 20, mkfs: []string{"-F", "12"}})
	f := create(t, m.path("big"), "")
	total := 0
	for {
		n, err := f.Write(pattern(total, 64<<10))
		total += n
		if err != nil {
			wantErrno(t, "write", err, unix.ENOSPC)
			break
		}
	}
	var st unix.Statfs_t
	must(t, unix.Statfs(m.dir, &st))
	if st.Bfree != 0 {
		t.Errorf("%d free blocks on a full volume", st.Bfree)
	}
	if n := size(t, m.path("big")); n != int64(total) {
		t.Errorf("size %d after %d bytes were written", n, total)
	}
	wantErrno(t, "mkdir", os.Mkdir(m.path("dir"), 0o777), unix.ENOSPC)
	must(t, os.Remove(m.path("big")))
	must(t, f.Close())
	eventually(t, "space comes back", func() bool {
		must(t, unix.Statfs(m.dir, &st))
		return st.Bfree > 0
	})
}

// What was removed makes room at once, whatever the kernel still remembers of it.
func TestRemovingMakesRoom(t *testing.T) {
	m := mount(t, setup{size: 4 << 20, mkfs: []string{"-F", "12"}})
	var st unix.Statfs_t
	must(t, unix.Statfs(m.dir, &st))
	most := pattern(1, int(st.Bfree*uint64(st.Bsize))-64<<10)
	for i := range 50 {
		must(t, os.WriteFile(m.path("f"), most, 0o666))
		m.released(t)
		fd, err := unix.Open(m.path("f"), unix.O_PATH, 0) // the kernel keeps the inode
		must(t, err)
		if i%2 == 0 {
			must(t, os.Remove(m.path("f")))
		} else {
			write(t, m.path("g"), "")
			must(t, os.Rename(m.path("g"), m.path("f")))
		}
		must(t, os.WriteFile(m.path("h"), most, 0o666))
		m.released(t)
		must(t, os.Remove(m.path("h")))
		must(t, unix.Close(fd))
	}
}

func TestBadOperations(t *testing.T) {
	m := mount(t, setup{})
	write(t, m.path("f"), "x")
	must(t, os.Mkdir(m.path("d"), 0o777))
	wantErrno(t, "hard link", os.Link(m.path("f"), m.path("l")), unix.EPERM)
	wantErrno(t, "symlink", os.Symlink("f", m.path("l")), unix.EPERM)
	wantErrno(t, "fifo", unix.Mkfifo(m.path("p"), 0o666), unix.EPERM)
	wantErrno(t, "socket", unix.Mknod(m.path("s"), unix.S_IFSOCK|0o666, 0), unix.EPERM)
	wantErrno(t, "device", unix.Mknod(m.path("n"), unix.S_IFCHR|0o666, 0x103), unix.EPERM)
	wantErrno(t, "unlink of a directory", unix.Unlink(m.path("d")), unix.EISDIR)
	wantErrno(t, "rmdir of a file", unix.Rmdir(m.path("f")), unix.ENOTDIR)
	wantErrno(t, "a file as directory", unix.Rmdir(m.path("f/x")), unix.ENOTDIR)
	_, err := unix.Open(m.dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
	wantErrno(t, "O_TMPFILE", err, unix.EOPNOTSUPP)
	_, err = os.OpenFile(m.path("d"), os.O_WRONLY, 0)
	wantErrno(t, "open of a directory for writing", err, unix.EISDIR)
	_, err = os.Readlink(m.path("f"))
	wantErrno(t, "readlink", err, unix.EINVAL)
	for _, name := range []string{"a:b", "a?b", "a*b", `a"b`, "a<b", "a>b", "a|b", `a\b`, "a\x01b", "end.", "end "} {
		_, err := os.Create(m.path() + "/" + name)
		wantErrno(t, fmt.Sprintf("create %q", name), err, unix.EINVAL)
		_, err = os.Stat(m.path() + "/" + name)
		if err == nil {
			t.Errorf("%q exists", name)
		}
	}
	long := string(bytes.Repeat([]byte("x"), 255))
	must(t, os.WriteFile(m.path(long), nil, 0o666))
	_, err = os.Create(m.path(long + "x"))
	wantErrno(t, "256 characters", err, unix.ENAMETOOLONG)
	must(t, unix.Mknod(m.path("regular"), unix.S_IFREG|0o666, 0))
	if fi, err := os.Stat(m.path("regular")); err != nil || !fi.Mode().IsRegular() {
		t.Errorf("mknod of a regular file: %v %v", fi, err)
	}
}

func TestStatfs(t *testing.T) {
	m := mount(t, setup{})
	var st unix.Statfs_t
	must(t, unix.Statfs(m.dir, &st))
	s, err := m.vol.Stat()
	must(t, err)
	if st.Blocks != uint64(s.Clusters) || st.Bfree != uint64(s.Free) || st.Bavail != st.Bfree {
		t.Errorf("%d blocks, %d free, %d available; the volume has %d clusters, %d free", st.Blocks, st.Bfree, st.Bavail, s.Clusters, s.Free)
	}
	if int(st.Bsize) != s.ClusterSize || int(st.Frsize) != s.ClusterSize || st.Namelen != 1530 {
		t.Errorf("block size %d, fragment %d, names of %d", st.Bsize, st.Frsize, st.Namelen)
	}
}
