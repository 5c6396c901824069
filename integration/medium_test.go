package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Scenes of a medium that goes and comes back, played on real mounts without a virtual machine: the image
// is deleted, its host is unmounted, the device under the host dies. integration/vm pulls a stick.

// mediumStatus is what `fatvol status --json` prints.
type mediumStatus struct {
	State, Reason, Moved, Repair string
	Generation                   uint64
	HostReadOnly                 bool  `json:"host_read_only"`
	Unsynced                     int64 `json:"unsynced_bytes"`
	Files                        int   `json:"unsynced_files"`
	Names                        bool  `json:"unsynced_names"`
	HostCalls                    int64 `json:"host_calls"`
	Looks                        int64
	Abandoned                    int64 `json:"abandoned_calls"`
	Detectors                    map[string]string
}

func statusOf(t testing.TB, dir string) (st mediumStatus) {
	t.Helper()
	out := run(t, binary(t), "status", "--json", dir)
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatalf("status --json: %v\n%s", err, out)
	}
	return st
}

// await polls the status of the mount on dir until want is true.
func await(t testing.TB, dir, what string, want func(mediumStatus) bool) mediumStatus {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		st := statusOf(t, dir)
		if want(st) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("the medium is not %s: %+v", what, st)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// vanish takes the medium away under the mount on dir, once everything is synced but at least n bytes,
// which write writes. Of the medium as it is before these, snapshot takes note. A mount syncs when it likes,
// and then the snapshot is none of what was on the medium: where it was faster, it is tried again.
func vanish(t testing.TB, dir string, n int64, snapshot, write, away func()) {
	t.Helper()
	for range 50 {
		await(t, dir, "synced", func(st mediumStatus) bool { return st.Unsynced == 0 && !st.Names })
		snapshot()
		write()
		if statusOf(t, dir).Unsynced < n {
			continue
		}
		away()
		await(t, dir, "gone", isGone)
		return
	}
	t.Fatal("it always synced too early")
}

func isGone(st mediumStatus) bool    { return st.State == "gone" }
func isPresent(st mediumStatus) bool { return st.State == "present" }

// A stage is an image on something that can vanish.
type stage struct {
	img string
	// snapshot remembers what is on the medium now: with that it comes back.
	snapshot func()
	// away takes the medium away; back brings it back. Either may be called again.
	away, back func()
}

// copyFile copies a file, holes included.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	run(t, "cp", "--sparse=always", from, to)
}

// fileStage is an image in a directory; away is what is done to it.
func fileStage(t testing.TB, away func(t testing.TB, img string)) *stage {
	img := mkfsFAT(t, 40<<20, "-F", "32", "-s", "1", "-n", "STICK")
	saved := filepath.Join(t.TempDir(), "saved.img")
	return &stage{
		img:      img,
		snapshot: func() { copyFile(t, img, saved) },
		away:     func() { away(t, img) },
		back: func() {
			copyFile(t, saved, img+".new")
			if err := os.Rename(img+".new", img); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// A loopStick is an ext4 file system on a loop device, with an image on it.
type loopStick struct {
	t                 testing.TB
	flash, loop, host string
}

func newLoopStick(t testing.TB) (s *loopStick, img string) {
	needRoot(t)
	need(t, "losetup", "mkfs.ext4")
	dir := t.TempDir()
	s = &loopStick{t: t, flash: filepath.Join(dir, "flash"), host: filepath.Join(dir, "host")}
	if err := os.Mkdir(s.host, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "truncate", "-s", "96M", s.flash)
	run(t, "mkfs.ext4", "-q", "-m", "0", s.flash)
	s.plug()
	t.Cleanup(s.unplug)
	img = filepath.Join(s.host, "volume.img")
	run(t, "truncate", "-s", "40M", img)
	run(t, "mkfs.fat", "-F", "32", "-s", "1", "-n", "STICK", img)
	run(t, "sync", "-f", img)
	return s, img
}

func (s *loopStick) plug() {
	s.t.Helper()
	s.loop = strings.TrimSpace(run(s.t, "losetup", "--find", "--show", s.flash))
	run(s.t, "mount", s.loop, s.host)
}

func (s *loopStick) unplug() {
	runCode(s.t, "umount", "-l", s.host)
	runCode(s.t, "losetup", "-d", s.loop)
}

// kill leaves a device of no bytes under the mounted host: all that is asked of it fails.
func (s *loopStick) kill() {
	s.t.Helper()
	if err := os.Truncate(s.flash, 0); err != nil {
		s.t.Fatal(err)
	}
	run(s.t, "losetup", "--set-capacity", s.loop)
}

// dyingStage is a stick whose device dies under the host.
func dyingStage(t testing.TB) *stage {
	s, img := newLoopStick(t)
	return &stage{
		img:      img,
		snapshot: func() { copyFile(t, s.flash, s.flash+".saved") },
		away:     s.kill,
		back: func() {
			s.unplug()
			copyFile(t, s.flash+".saved", s.flash)
			s.plug()
		},
	}
}

// lazyStage is a stick whose host is unmounted lazily.
func lazyStage(t testing.TB) *stage {
	s, img := newLoopStick(t)
	return &stage{img: img, snapshot: func() {}, away: s.unplug, back: s.plug}
}

// users are programs that use a mount: files that are open, mapped and listed, and what is in them.
type users struct {
	t       testing.TB
	dir     string
	writer  *os.File // written to, and not always synced
	reader  *os.File
	list    *os.File
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
	t.Cleanup(func() {
		u.closeAll()
		unix.Munmap(u.mapped)
	})
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
	before := statusOf(u.t, u.dir)
	for range 20 {
		for what, call := range u.calls() {
			if err := call(); !errors.Is(err, syscall.EIO) {
				u.t.Errorf("%s while the medium is gone: %v, want EIO", what, err)
			}
		}
	}
	if got, err := getxattr(u.dir, "user.fatvol.state"); err == nil && got == "present" {
		u.t.Errorf("user.fatvol.state of the root is %q", got)
	}
	if after := statusOf(u.t, u.dir); after.HostCalls != before.HostCalls {
		u.t.Errorf("%d calls of the host while the medium is gone", after.HostCalls-before.HostCalls)
	}
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

// logLines counts the lines of a server's log with a message. The server has ended.
func logLines(s *server, message string) int {
	return strings.Count(s.log.String(), `msg="`+message)
}

const goneLine, backLine = "medium is gone", "medium is back"

// mountStage mounts the image of a stage with a short iotimeout.
func mountStage(t testing.TB, st *stage, opts ...string) (dir string, s *server) {
	t.Helper()
	dir = mountImage(t, st.img, append([]string{"iotimeout=1"}, opts...)...)
	mounts.Lock()
	defer mounts.Unlock()
	return dir, servers[dir]
}

func deleted(t testing.TB, img string) {
	if err := os.Remove(img); err != nil {
		t.Fatal(err)
	}
}

// What goes comes back as it was when it went: everything goes on, and nothing is lost.
func TestGoneAndBack(t *testing.T) {
	for _, tc := range []struct {
		name   string
		stage  func(t testing.TB) *stage
		reason string // a regular expression
	}{
		{"deleted", func(t testing.TB) *stage { return fileStage(t, deleted) }, "deleted"},
		{"truncated", func(t testing.TB) *stage {
			return fileStage(t, func(t testing.TB, img string) {
				if err := os.Truncate(img, 1<<20); err != nil {
					t.Fatal(err)
				}
			})
		}, "shrank|1048576 bytes"},
		{"replaced by another volume", func(t testing.TB) *stage {
			other := mkfsFAT(t, 40<<20, "-F", "32", "-s", "1", "-i", "12345678")
			return fileStage(t, func(t testing.TB, img string) { put(t, other, img) })
		}, "deleted|another volume: serial number 1234-5678"},
		{"replaced by something else", func(t testing.TB) *stage {
			return fileStage(t, func(t testing.TB, img string) {
				if err := errors.Join(os.WriteFile(img+".x", make([]byte, 40<<20), 0o666), os.Rename(img+".x", img)); err != nil {
					t.Fatal(err)
				}
			})
		}, "deleted|no FAT volume"},
		{"dead device under the host", dyingStage, "input/output error|no such device|removed|changed"},
		{"host unmounted lazily", lazyStage, "unmounted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := tc.stage(t)
			dir, s := mountStage(t, st)
			u := newUsers(t, dir)
			const rounds = 3
			for i := range rounds {
				vanish(t, dir, unsynced, st.snapshot, u.writeUnsynced, st.away)
				got := statusOf(t, dir)
				if !regexp.MustCompile(tc.reason).MatchString(got.Reason) {
					t.Errorf("the reason is %q, want %q", got.Reason, tc.reason)
				}
				u.mustFail()
				st.back()
				got = await(t, dir, "back", isPresent)
				if got.Generation != uint64(i+2) {
					t.Errorf("generation %d after %d returns", got.Generation, i+1)
				}
				u.mustGoOn()
			}
			u.closeAll()
			unix.Munmap(u.mapped)
			umount(t, dir)
			if gone, back := logLines(s, goneLine), logLines(s, backLine); gone != rounds || back != rounds {
				t.Errorf("%d lines that it is gone and %d that it is back, after %d times", gone, back, rounds)
			}
			if n := logLines(s, "request failed"); n != 0 {
				t.Errorf("%d lines of requests that failed", n)
			}
			fsck(t, st.img)
			u.compare(mountImage(t, st.img, "ro"))
		})
	}
}

// A lazily unmounted host is written to before it is let go of: the stick is whole, and nobody holds it.
func TestLazyUnmountFreesTheStick(t *testing.T) {
	s, img := newLoopStick(t)
	dir, _ := mountStage(t, &stage{img: img})
	u := newUsers(t, dir)
	u.writeUnsynced()
	run(t, "umount", "-l", s.host)
	if st := await(t, dir, "gone", isGone); st.Unsynced != 0 {
		t.Errorf("%d bytes are unsynced", st.Unsynced)
	}
	run(t, "losetup", "-d", s.loop)
	deadline := time.Now().Add(patience)
	for run(t, "losetup", "-j", s.flash) != "" {
		if time.Now().After(deadline) {
			t.Fatal("something holds the loop device")
		}
	}
	run(t, "e2fsck", "-fn", s.flash)
	s.plug()
	await(t, dir, "back", isPresent)
	u.mustGoOn()
}

// Renamed on its host, the image is there, and is served on.
func TestRenamedImage(t *testing.T) {
	st := fileStage(t, deleted)
	dir, s := mountStage(t, st)
	u := newUsers(t, dir)
	to := filepath.Join(filepath.Dir(st.img), "renamed.img")
	if err := os.Rename(st.img, to); err != nil {
		t.Fatal(err)
	}
	got := await(t, dir, "moved", func(st mediumStatus) bool { return st.Moved != "" })
	if got.State != "present" || got.Moved != to || got.Generation != 1 {
		t.Errorf("%+v", got)
	}
	u.writeUnsynced()
	u.mustGoOn()
	u.closeAll()
	unix.Munmap(u.mapped)
	umount(t, dir)
	if n := strings.Count(s.log.String(), to); n != 1 {
		t.Errorf("%d lines about the new path:\n%s", n, s.log)
	}
	if n := logLines(s, goneLine); n != 0 {
		t.Error("it was taken for gone")
	}
	fsck(t, to)
	u.compare(mountImage(t, to, "ro"))
}

// Whoever has the image open needs no permission any more.
func TestPermissionsChanged(t *testing.T) {
	st := fileStage(t, deleted)
	dir, _ := mountStage(t, st)
	u := newUsers(t, dir)
	if err := os.Chmod(st.img, 0); err != nil {
		t.Fatal(err)
	}
	u.writeUnsynced()
	u.mustGoOn()
	if got := statusOf(t, dir); got.State != "present" || got.Generation != 1 {
		t.Errorf("%+v", got)
	}
}

// For a return, a user does need it: the reason says so, and with the permission all goes on.
func TestReturnWithoutPermission(t *testing.T) {
	needRoot(t)
	img := mkfsFAT(t, 4<<20)
	dir := newDir(t)
	openPath(t, img)
	openPath(t, dir)
	for _, path := range []string{img, dir, filepath.Dir(img)} {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := asNobody(t, binary(t), "mount", "-o", "iotimeout=1", img, dir); code != 0 {
		t.Fatal(out)
	}
	noteMount(dir, 0)
	defer forgetMount(dir)
	ask := func(want string) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for {
			out, _ := asNobody(t, binary(t), "status", dir)
			if strings.Contains(out, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("no %q in\n%s", want, out)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	ask("present")
	saved := filepath.Join(t.TempDir(), "saved")
	copyFile(t, img, saved)
	deleted(t, img)
	ask("gone")
	copyFile(t, saved, img+".new")
	if err := errors.Join(os.Chmod(img+".new", 0o600), os.Rename(img+".new", img)); err != nil {
		t.Fatal(err)
	}
	ask("permission denied")
	if err := os.Chmod(img, 0o666); err != nil {
		t.Fatal(err)
	}
	ask("present again")
	if out, code := asNobody(t, binary(t), "umount", dir); code != 0 {
		t.Error(out)
	}
}

// A host that turns read-only is there: reads go on, writes fail, and what is unsynced is kept until the
// host takes writes again.
func TestHostTurnsReadOnly(t *testing.T) {
	s, img := newLoopStick(t)
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(s.loop), "trigger_fs_error")
	if _, err := os.Stat(trigger); err != nil {
		t.Skipf("ext4 cannot be made to report an error here: %v", err)
	}
	run(t, "mount", "-o", "remount,errors=remount-ro", s.host)
	dir, srv := mountStage(t, &stage{img: img})
	u := newUsers(t, dir)
	run(t, "sync", "-f", dir)
	run(t, "sync", "-f", img) // else it cannot even be read past the cache any more
	if err := os.WriteFile(trigger, []byte("1"), 0o200); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		_, err := u.writer.WriteAt(u.written[:1], 0)
		if errors.Is(err, syscall.EROFS) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("write: %v, want EROFS", err)
		}
	}
	u.compare(dir)
	s.unplug()
	await(t, dir, "gone", isGone)
	runCode(t, "e2fsck", "-fy", s.flash)
	s.plug()
	await(t, dir, "back", isPresent)
	u.mustGoOn()
	u.closeAll()
	unix.Munmap(u.mapped)
	umount(t, dir)
	fsck(t, img)
	u.compare(mountImage(t, img, "ro"))
	if n := logLines(srv, goneLine); n != 1 {
		t.Errorf("%d lines that it is gone:\n%s", n, srv.log)
	}
}
