package integration

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// users are programs that use a mount: files that are open, mapped and listed, and what is in them.
type users struct {
	t       testing.TB
	dir     string
	writer  *os.File // written to, and not always synced
	reader  *os.File
	list    *os.File
	listing sync.Mutex // held while list is read
	mapped  []byte
	content []byte              // of reader and mapped
	written []byte              // acknowledged, of writer
	sums    map[string][32]byte // of other files
}

func newUsers(t testing.TB, dir string) *users {
	t.Helper()
	u := &users{t: t, dir: dir, sums: map[string][32]byte{}, content: make([]byte, 3<<20)}
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(u.content)
	u.must(os.MkdirAll(u.path("A directory/below"), 0o777))
	u.must(os.WriteFile(u.path("A directory/read me"), u.content, 0o666))
	for i := range 20 {
		name := fmt.Sprintf("A directory/below/file %d", i)
		u.must(os.WriteFile(u.path(name), u.content[i*1000:i*5000], 0o666))
		u.sums[name] = sha256.Sum256(u.content[i*1000 : i*5000])
	}
	var err error
	u.reader, err = os.Open(u.path("A directory/read me"))
	u.must(err)
	u.writer, err = os.Create(u.path("written"))
	u.must(err)
	u.list, err = os.Open(u.path("A directory/below"))
	u.must(err)
	u.mapped, err = unix.Mmap(int(u.reader.Fd()), 0, len(u.content), unix.PROT_READ, unix.MAP_SHARED)
	u.must(err)
	t.Cleanup(u.closeAll)
	u.write(10000)
	u.must(u.writer.Sync())
	run(t, "sync", "-f", dir)
	return u
}

func (u *users) path(name string) string { return filepath.Join(u.dir, name) }

func (u *users) must(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
}

func (u *users) closeAll() {
	for _, f := range []*os.File{u.reader, u.writer, u.list} {
		f.Close()
	}
	// Once only: another mapping may be in its place by then.
	unix.Munmap(u.mapped)
	u.mapped = nil
}

// write appends n bytes, which count as written once that has returned.
func (u *users) write(n int) {
	u.t.Helper()
	p := bytes.Repeat([]byte{byte(len(u.written)/100 + 1)}, n)
	if _, err := u.writer.Write(p); err != nil {
		u.t.Fatalf("write: %v", err)
	}
	u.written = append(u.written, p...)
}

// unsynced is how many bytes writeUnsynced writes.
const unsynced = 5000 + 7000

// writeUnsynced writes, in several files, what will not have been synced when the medium goes.
func (u *users) writeUnsynced() {
	u.t.Helper()
	u.write(5000)
	name := fmt.Sprintf("new %d", len(u.sums))
	u.must(os.WriteFile(u.path(name), u.content[:7000], 0o666))
	u.sums[name] = sha256.Sum256(u.content[:7000])
}

// readMapped touches the mapping at an offset; a SIGBUS is an error.
func (u *users) readMapped(off int) (b byte, err error) {
	defer func() {
		if recover() != nil {
			err = syscall.EIO
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return u.mapped[off], nil
}

// calls is everything that a program may ask of the mount.
func (u *users) calls() map[string]func() error {
	p := make([]byte, 4096)
	return map[string]func() error{
		"read":                      func() error { _, err := u.reader.ReadAt(p, 0); return err },
		"map":                       func() error { _, err := u.readMapped(len(p)); return err },
		"write":                     func() error { _, err := u.writer.WriteAt(p[:10], 1<<20); return err },
		"append":                    func() error { _, err := u.writer.Write(p[:10]); return err },
		"fsync":                     func() error { return u.writer.Sync() },
		"truncate":                  func() error { return u.writer.Truncate(5) },
		"fstat":                     func() error { _, err := u.writer.Stat(); return err },
		"stat":                      func() error { _, err := os.Stat(u.path("A directory/below/file 3")); return err },
		"stat of what is not there": func() error { _, err := os.Stat(u.path("nothing")); return err },
		"open":                      func() error { f, err := os.Open(u.path("A directory/below/file 4")); f.Close(); return err },
		"create":                    func() error { f, err := os.Create(u.path("created")); f.Close(); return err },
		"mkdir":                     func() error { return os.Mkdir(u.path("made"), 0o777) },
		"unlink":                    func() error { return syscall.Unlink(u.path("A directory/below/file 5")) },
		"rmdir":                     func() error { return syscall.Rmdir(u.path("A directory/below")) },
		"rename":                    func() error { return os.Rename(u.path("written"), u.path("renamed")) },
		"chtimes":                   func() error { return os.Chtimes(u.path("written"), time.Now(), time.Now()) },
		"readdir":                   func() error { _, err := os.ReadDir(u.path("A directory")); return err },
		"readdir of an open directory": func() error {
			u.listing.Lock()
			defer u.listing.Unlock()
			if _, err := u.list.Seek(0, 0); err != nil {
				return err
			}
			_, err := u.list.ReadDir(-1)
			return err
		},
		"statfs": func() error { var st unix.Statfs_t; return unix.Statfs(u.dir, &st) },
	}
}

// mustFail checks that everything fails with EIO while the medium is gone, and asks it for nothing.
func (u *users) mustFail() {
	u.t.Helper()
	for range 20 {
		before := statusOf(u.t, u.dir)
		for range 20 {
			for what, call := range u.calls() {
				if err := call(); !errors.Is(err, syscall.EIO) {
					u.t.Errorf("%s while the medium is gone: %v, want EIO", what, err)
				}
			}
		}
		// The state itself can be asked for.
		if got, err := getxattr(u.dir, "user.fatvol.state"); err != nil || got != "gone" && got != "verifying" {
			u.t.Errorf("user.fatvol.state of the root is %q, %v", got, err)
		}
		after := statusOf(u.t, u.dir)
		if after.HostCalls == before.HostCalls {
			return
		}
		if after.Looks == before.Looks {
			u.t.Errorf("%d calls of the host while the medium is gone", after.HostCalls-before.HostCalls)
			return
		}
		// The verifier had a look meanwhile.
	}
	u.t.Error("the verifier looks all the time")
}

func getxattr(path, name string) (string, error) {
	p := make([]byte, 100)
	n, err := unix.Getxattr(path, name, p)
	return string(p[:max(n, 0)]), err
}

// mustGoOn checks that every open file goes on, and that everything is there that was acknowledged.
func (u *users) mustGoOn() {
	u.t.Helper()
	u.writer.Sync() // the first may report what failed meanwhile
	u.write(3000)
	u.must(u.writer.Sync())
	got := make([]byte, len(u.content))
	if _, err := u.reader.ReadAt(got, 0); err != nil || !bytes.Equal(got, u.content) {
		u.t.Errorf("the open file reads otherwise: %v", err)
	}
	if b, err := u.readMapped(2 << 20); err != nil || b != u.content[2<<20] {
		u.t.Errorf("the mapped file reads otherwise: %v", err)
	}
	if _, err := u.list.Seek(0, 0); err != nil {
		u.t.Error(err)
	}
	if names, err := u.list.ReadDir(-1); err != nil || len(names) != 20 {
		u.t.Errorf("the open directory has %d entries, %v", len(names), err)
	}
	u.compare(u.dir)
}

// compare compares the files below dir with what was written.
func (u *users) compare(dir string) {
	u.t.Helper()
	if got, err := os.ReadFile(filepath.Join(dir, "written")); err != nil || !bytes.Equal(got, u.written) {
		u.t.Errorf("written: %d bytes, want %d: %v", len(got), len(u.written), err)
	}
	for name, want := range u.sums {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || sha256.Sum256(got) != want {
			u.t.Errorf("%s: %d bytes read otherwise: %v", name, len(got), err)
		}
	}
	for _, name := range []string{"created", "made", "renamed"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			u.t.Errorf("%s, whose making failed: %v", name, err)
		}
	}
}
