package fs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func fill(t testing.TB, dir string, n int) (names []string) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("entry number %04d.text", i)
		write(t, dir+"/"+name, name)
		names = append(names, name)
	}
	return names
}

// rawDirent is an entry as getdents64 gives it.
type rawDirent struct {
	ino  uint64
	off  int64
	typ  byte
	name string
}

// getdents reads one buffer of a directory stream.
func getdents(t testing.TB, fd int, buf []byte) (entries []rawDirent) {
	t.Helper()
	n, err := unix.Getdents(fd, buf)
	must(t, err)
	for b := buf[:n]; len(b) > 0; {
		le := func(at, size int) (v uint64) {
			for i := size - 1; i >= 0; i-- {
				v = v<<8 | uint64(b[at+i])
			}
			return v
		}
		reclen := le(16, 2)
		name, _, _ := strings.Cut(string(b[19:reclen]), "\x00")
		entries = append(entries, rawDirent{le(0, 8), int64(le(8, 8)), b[18], name})
		b = b[reclen:]
	}
	return entries
}

func openDir(t testing.TB, name string) int {
	t.Helper()
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func readAll(t testing.TB, fd, bufSize int) (entries []rawDirent) {
	t.Helper()
	buf := make([]byte, bufSize)
	for {
		part := getdents(t, fd, buf)
		if len(part) == 0 {
			return entries
		}
		entries = append(entries, part...)
	}
}

func TestReadDir(t *testing.T) {
	m := mount(t, setup{})
	must(t, os.Mkdir(m.path("dir"), 0o777))
	want := fill(t, m.path("dir"), 300)
	must(t, os.Mkdir(m.path("dir/sub"), 0o777))
	want = append(want, "sub")
	for range 3 {
		m.InvalidateAll()
		entries := readAll(t, openDir(t, m.path("dir")), 1024)
		var names []string
		for i, e := range entries {
			var st unix.Stat_t
			must(t, unix.Lstat(m.path("dir", e.name), &st))
			if st.Ino != e.ino {
				t.Errorf("%s: number %d in the listing, %d by stat", e.name, e.ino, st.Ino)
			}
			if isDir := e.typ == unix.DT_DIR; isDir != (st.Mode&unix.S_IFMT == unix.S_IFDIR) {
				t.Errorf("%s: type %d in the listing, mode %o", e.name, e.typ, st.Mode)
			}
			if i < 2 {
				if e.name != []string{".", ".."}[i] {
					t.Errorf("entry %d is %q", i, e.name)
				}
				continue
			}
			names = append(names, e.name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%d names, want %d", len(names), len(want))
		}
	}
}

// Where a listing stopped, it goes on: for every place, in a stream of its own, and however the
// directory changed meanwhile.
func TestSeekDir(t *testing.T) {
	m := mount(t, setup{})
	want := fill(t, m.dir, 60)
	fd := openDir(t, m.dir)
	entries := readAll(t, fd, 4096)
	for i, e := range entries {
		_, err := unix.Seek(fd, e.off, io.SeekStart)
		must(t, err)
		rest := readAll(t, fd, 500)
		if len(rest) != len(entries)-i-1 {
			t.Fatalf("%d entries after %q, want %d", len(rest), e.name, len(entries)-i-1)
		}
		if len(rest) > 0 && rest[0].name != entries[i+1].name {
			t.Fatalf("after %q comes %q, want %q", e.name, rest[0].name, entries[i+1].name)
		}
	}
	_, err := unix.Seek(fd, 0, io.SeekStart)
	must(t, err)
	if again := readAll(t, fd, 4096); len(again) != len(want)+2 {
		t.Errorf("%d entries after rewinding, want %d", len(again), len(want)+2)
	}
}

func TestReadDirWhileItChanges(t *testing.T) {
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprintf("cached %v", cached), func(t *testing.T) {
			m := mount(t, setup{})
			must(t, os.Mkdir(m.path("d"), 0o777))
			names := fill(t, m.path("d"), 200)
			if cached {
				readAll(t, openDir(t, m.path("d")), 4096)
			}
			fd := openDir(t, m.path("d"))
			seen := map[string]int{}
			for _, e := range getdents(t, fd, make([]byte, 2048)) {
				seen[e.name]++
			}
			// Every third goes, others come, into the same slots and behind.
			removed := map[string]bool{}
			for i, n := range names {
				if i%3 == 0 {
					must(t, os.Remove(m.path("d", n)))
					removed[n] = true
				}
			}
			for i := range 100 {
				write(t, m.path("d", fmt.Sprintf("later %d", i)), "")
			}
			for _, e := range readAll(t, fd, 2048) {
				seen[e.name]++
			}
			for name, n := range seen {
				if n > 1 {
					t.Errorf("%q was listed %d times", name, n)
				}
			}
			for _, n := range names {
				if !removed[n] && seen[n] != 1 {
					t.Errorf("%q, which was there all the time, was listed %d times", n, seen[n])
				}
			}
			all := list(t, m.path("d"))
			if want := len(names) - len(removed) + 100; len(all) != want {
				t.Errorf("a new listing has %d entries, want %d", len(all), want)
			}
		})
	}
}

// Removing what a listing shows while it goes on leaves nothing over.
func TestRemoveWhileListing(t *testing.T) {
	m := mount(t, setup{})
	must(t, os.Mkdir(m.path("d"), 0o777))
	fill(t, m.path("d"), 500)
	fd := openDir(t, m.path("d"))
	buf := make([]byte, 1000)
	for {
		entries := getdents(t, fd, buf)
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if e.name != "." && e.name != ".." {
				must(t, os.Remove(m.path("d", e.name)))
			}
		}
	}
	if left := list(t, m.path("d")); len(left) != 0 {
		t.Errorf("%d left", len(left))
	}
	must(t, os.Remove(m.path("d")))
}

func TestListingFollowsChanges(t *testing.T) {
	m := mount(t, setup{})
	must(t, os.Mkdir(m.path("d"), 0o777))
	for i := range 50 {
		name := fmt.Sprintf("n%d", i)
		write(t, m.path("d", name), "")
		if got := list(t, m.path("d")); !slices.Contains(got, name) {
			t.Fatalf("%s was created and is not listed", name)
		}
		if i%2 == 0 {
			must(t, os.Rename(m.path("d", name), m.path("d", name+"r")))
			name += "r"
		}
		if got := list(t, m.path("d")); !slices.Contains(got, name) || len(got) != 1 {
			t.Fatalf("listing %q, want %s", got, name)
		}
		must(t, os.Remove(m.path("d", name)))
		if got := list(t, m.path("d")); len(got) != 0 {
			t.Fatalf("%q after the last was removed", got)
		}
	}
}

func TestMkdirRmdir(t *testing.T) {
	m := mount(t, setup{})
	must(t, os.MkdirAll(m.path("a/b/c"), 0o777))
	wantErrno(t, "rmdir of a full one", unix.Rmdir(m.path("a")), unix.ENOTEMPTY)
	wantErrno(t, "mkdir of one that is there", unix.Mkdir(m.path("a"), 0o777), unix.EEXIST)
	wantErrno(t, "mkdir below what is not there", unix.Mkdir(m.path("x/y"), 0o777), unix.ENOENT)
	must(t, os.Chdir(m.path("a/b/c")))
	defer os.Chdir("/")
	must(t, os.Remove(m.path("a/b/c")))
	_, err := os.Create("f")
	wantErrno(t, "create in a directory that was removed", err, unix.ENOENT)
	must(t, os.Chdir("/"))
	must(t, os.RemoveAll(m.path("a")))
	gone(t, m.path("a"))
}

func rename2(from, to string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
}

func TestRename(t *testing.T) {
	m := mount(t, setup{})
	write(t, m.path("f"), "f")
	write(t, m.path("g"), "g")
	must(t, os.MkdirAll(m.path("d/sub"), 0o777))
	must(t, os.MkdirAll(m.path("e"), 0o777))
	write(t, m.path("d/sub/x"), "x")

	wantErrno(t, "noreplace", rename2(m.path("f"), m.path("g"), unix.RENAME_NOREPLACE), unix.EEXIST)
	must(t, rename2(m.path("f"), m.path("new"), unix.RENAME_NOREPLACE))
	wantContent(t, m.path("new"), "f")
	must(t, os.Rename(m.path("new"), m.path("g")))
	wantContent(t, m.path("g"), "f")
	wantErrno(t, "exchange with nothing", rename2(m.path("g"), m.path("nothing"), unix.RENAME_EXCHANGE), unix.ENOENT)
	must(t, rename2(m.path("g"), m.path("d/sub/x"), unix.RENAME_EXCHANGE))
	wantContent(t, m.path("g"), "x")
	wantContent(t, m.path("d/sub/x"), "f")
	must(t, rename2(m.path("g"), m.path("d"), unix.RENAME_EXCHANGE))
	wantContent(t, m.path("d"), "x")
	wantContent(t, m.path("g/sub/x"), "f")
	must(t, rename2(m.path("g"), m.path("d"), unix.RENAME_EXCHANGE))
	wantErrno(t, "whiteout", rename2(m.path("g"), m.path("h"), unix.RENAME_WHITEOUT), unix.EINVAL)
	wantErrno(t, "both flags", rename2(m.path("g"), m.path("h"), unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE), unix.EINVAL)

	wantErrno(t, "directory onto a file", os.Rename(m.path("e"), m.path("g")), unix.ENOTDIR)
	wantErrno(t, "file onto a directory", unix.Rename(m.path("g"), m.path("e")), unix.EISDIR)
	wantErrno(t, "onto a full directory", unix.Rename(m.path("e"), m.path("d")), unix.ENOTEMPTY)
	wantErrno(t, "into itself", unix.Rename(m.path("d"), m.path("d/sub/d")), unix.EINVAL)
	must(t, unix.Rename(m.path("d/sub"), m.path("e")))
	wantContent(t, m.path("e/x"), "f")
	must(t, os.Rename(m.path("e"), m.path("d/e")))
	wantContent(t, m.path("d/e/x"), "f")
	var dot, dotdot unix.Stat_t
	must(t, unix.Stat(m.path("d"), &dot))
	must(t, unix.Stat(m.path("d/e")+"/..", &dotdot))
	if dot.Ino != dotdot.Ino {
		t.Errorf("'..' of the moved directory is %d, want %d", dotdot.Ino, dot.Ino)
	}
	must(t, os.Rename(m.path("g"), m.path("g")))
	wantContent(t, m.path("g"), "x")
}

// st_ino stays what it was as long as the file is known, wherever it moves.
func TestInodeNumbersAreStable(t *testing.T) {
	m := mount(t, setup{})
	must(t, os.Mkdir(m.path("d"), 0o777))
	f := create(t, m.path("f"), "x")
	ino := func(name string) uint64 {
		var st unix.Stat_t
		must(t, unix.Stat(name, &st))
		return st.Ino
	}
	was := ino(m.path("f"))
	must(t, os.Rename(m.path("f"), m.path("d/a much longer name than before")))
	write(t, m.path("f"), "takes the slot")
	if now := ino(m.path("d/a much longer name than before")); now != was {
		t.Errorf("number %d became %d by a rename", was, now)
	}
	if other := ino(m.path("f")); other == was {
		t.Error("two files with one number")
	}
	m.InvalidateAll()
	var st unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &st))
	if st.Ino != was {
		t.Errorf("number %d became %d", was, st.Ino)
	}
}

func TestManyEntries(t *testing.T) {
	m := mount(t, setup{size: 64 << 20, mkfs: []string{"-F", "32"}})
	must(t, os.Mkdir(m.path("d"), 0o777))
	for i := range 5000 {
		must(t, unix.Mknod(m.path("d", fmt.Sprintf("file with a long name %d", i)), unix.S_IFREG|0o666, 0))
	}
	if n := len(list(t, m.path("d"))); n != 5000 {
		t.Errorf("%d entries, want 5000", n)
	}
	if _, err := os.Stat(m.path("d", "FILE WITH A LONG NAME 4999")); err != nil {
		t.Error(err)
	}
	must(t, os.RemoveAll(m.path("d")))
	if _, err := os.Stat(m.path("d")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
