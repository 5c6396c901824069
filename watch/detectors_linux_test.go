package watch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/watch"
)

// A fileHost is a file as a Host, whose probe looks at no medium: what a detector sees is seen by it alone.
type fileHost struct{ *os.File }

func (h fileHost) Size() int64                  { st, _ := h.Stat(); return st.Size() }
func (h fileHost) ZeroAt(int64, int64) error    { return nil }
func (h fileHost) DiscardAt(int64, int64) error { return nil }

func (h fileHost) HostReadOnly() (ro bool, err error) {
	rc, err := h.SyscallConn()
	if err != nil {
		return false, err
	}
	err = errors.Join(rc.Control(func(fd uintptr) {
		var st unix.Statfs_t
		err = unix.Fstatfs(int(fd), &st)
		ro = st.Flags&unix.ST_RDONLY != 0
	}), err)
	return ro, err
}

func (h fileHost) Probe() error {
	st, err := h.Stat()
	if err == nil && st.Sys().(*syscall.Stat_t).Nlink == 0 {
		err = fmt.Errorf("the image was deleted: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// A scene is a Medium over a real file, with one real detector.
type scene struct {
	*watch.Medium
	t      *testing.T
	states chan watch.Status
}

// scene mounts what is at path. The looks that time asks for come too late to matter.
func newScene(t *testing.T, path string, d watch.Detector) *scene {
	t.Helper()
	open := func() (watch.Host, error) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		return fileHost{f}, nil
	}
	h, err := open()
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, states: make(chan watch.Status, 1000)}
	s.Medium = watch.New(h, watch.Config{
		Path: path, Open: open, IOTimeout: 5 * time.Second, Detectors: []watch.Detector{d},
		Verify:  func(context.Context, *watch.Candidate) error { return nil },
		Changed: func(st watch.Status) { s.states <- st },
		Log:     slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.sees(d.Name())
	return s
}

// sees waits until the detector is armed: then it has asked for a look, and the host was called again.
func (s *scene) sees(name string) {
	s.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for s.Counters().Calls < 2 && name != "mountinfo" {
		if why := s.Detectors()[name]; why != "" {
			s.t.Skipf("%s does not work here: %s", name, why)
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the detector is not armed")
		}
		time.Sleep(time.Millisecond)
	}
}

// next waits for a state, and returns how long that took.
func (s *scene) next(ok func(watch.Status) bool) (watch.Status, time.Duration) {
	s.t.Helper()
	began := time.Now()
	timeout := time.After(5 * time.Second)
	for {
		select {
		case st := <-s.states:
			if ok(st) {
				return st, time.Since(began)
			}
		case <-timeout:
			s.t.Fatalf("nothing happened; %+v", s.Status())
		}
	}
}

func is(want watch.State) func(watch.Status) bool {
	return func(st watch.Status) bool { return st.State == want }
}

func image(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func mountTmpfs(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	command(t, "mount", "-t", "tmpfs", "none", dir)
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
}

func TestFilesSeeDeletion(t *testing.T) {
	path := image(t, filepath.Join(t.TempDir(), "image"))
	s := newScene(t, path, watch.Files{})
	must(t, os.Remove(path))
	if st, d := s.next(is(watch.Gone)); d > time.Second || !strings.Contains(st.Reason, "deleted") {
		t.Errorf("%+v after %v", st, d)
	}
	time.Sleep(1200 * time.Millisecond) // so that time asks for no look soon
	image(t, path)
	if st, d := s.next(is(watch.Present)); st.Generation != 2 {
		t.Errorf("%+v after %v", st, d)
	}
}

func TestFilesSeeReplacement(t *testing.T) {
	dir := t.TempDir()
	path := image(t, filepath.Join(dir, "image"))
	s := newScene(t, path, watch.Files{})
	must(t, os.Rename(image(t, filepath.Join(dir, "other")), path))
	s.next(is(watch.Gone))
	if _, d := s.next(is(watch.Present)); d > 900*time.Millisecond {
		t.Errorf("the other file was looked at after %v", d)
	}
}

func TestFilesSeeMoves(t *testing.T) {
	dir := t.TempDir()
	path := image(t, filepath.Join(dir, "image"))
	s := newScene(t, path, watch.Files{})
	to := filepath.Join(dir, "moved")
	must(t, os.Rename(path, to))
	if st, _ := s.next(func(st watch.Status) bool { return st.Moved != "" }); st.Moved != to || st.State != watch.Present {
		t.Errorf("%+v", st)
	}
	must(t, os.Rename(to, path))
	if st, _ := s.next(func(st watch.Status) bool { return st.Moved == "" }); st.State != watch.Present {
		t.Errorf("%+v", st)
	}
}

func TestFilesSeeReturnOfDirectories(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	must(t, os.MkdirAll(deep, 0o700))
	path := image(t, filepath.Join(deep, "image"))
	s := newScene(t, path, watch.Files{})
	must(t, os.RemoveAll(filepath.Join(dir, "a")))
	s.next(is(watch.Gone))
	for _, d := range []string{"a", "a/b", "a/b/c"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	image(t, path)
	s.next(is(watch.Present))
}

func TestMountsSeeLazyUnmount(t *testing.T) {
	dir := t.TempDir()
	mountTmpfs(t, dir)
	path := image(t, filepath.Join(dir, "image"))
	s := newScene(t, path, watch.Mounts{})
	time.Sleep(50 * time.Millisecond)
	command(t, "umount", "-l", dir)
	if st, d := s.next(is(watch.Gone)); d > time.Second || !strings.Contains(st.Reason, "unmounted from "+dir) {
		t.Errorf("%+v after %v", st, d)
	}
	// The image is let go, so nothing holds the file system any more. Its return under the same path is
	// seen: another host, with a file made before it was mounted there.
	side := t.TempDir()
	mountTmpfs(t, side)
	image(t, filepath.Join(side, "image"))
	time.Sleep(1500 * time.Millisecond)
	command(t, "mount", "--bind", side, dir)
	if st, d := s.next(is(watch.Present)); st.Generation != 2 || d > 1200*time.Millisecond {
		t.Errorf("%+v after %v", st, d)
	}
	// The new mount is the one that is watched now.
	command(t, "umount", "-l", dir)
	s.next(is(watch.Gone))
}

func TestMountsSeeRemount(t *testing.T) {
	dir := t.TempDir()
	mountTmpfs(t, dir)
	path := image(t, filepath.Join(dir, "image"))
	other := filepath.Join(t.TempDir(), "moved")
	must(t, os.Mkdir(other, 0o700))
	s := newScene(t, path, watch.Mounts{})
	time.Sleep(50 * time.Millisecond)
	t.Cleanup(func() { exec.Command("umount", "-l", other).Run() })
	_ = exec.Command("mount", "--move", dir, other).Run()
	if _, err := os.Stat(filepath.Join(other, "image")); err != nil {
		t.Skip("mounts below a shared mount cannot be moved")
	}
	if st, _ := s.next(func(st watch.Status) bool { return st.Moved != "" }); st.Moved != filepath.Join(other, "image") {
		t.Errorf("%+v", st)
	}
}

func TestUeventsSeeRemoval(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	file := image(t, filepath.Join(t.TempDir(), "backing"))
	must(t, os.Truncate(file, 1<<20))
	dev := command(t, "losetup", "--find", "--show", file)
	t.Cleanup(func() { command(t, "losetup", "--detach", dev) })
	trigger := filepath.Join("/sys/block", filepath.Base(dev), "uevent")
	s := newScene(t, dev, watch.Uevents{})
	calls := s.Counters().Calls
	must(t, os.WriteFile(trigger, []byte("change"), 0))
	for end := time.Now().Add(5 * time.Second); s.Counters().Calls == calls; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a change of the device led to no look")
		}
	}
	if st := s.Status(); st.State != watch.Present {
		t.Errorf("%+v", st)
	}
	// The kernel is made to say that the device went, and that it came.
	must(t, os.WriteFile(trigger, []byte("remove"), 0))
	if st, d := s.next(is(watch.Gone)); d > time.Second || !strings.Contains(st.Reason, filepath.Base(dev)) {
		t.Errorf("%+v after %v", st, d)
	}
	must(t, os.WriteFile(trigger, []byte("add"), 0))
	if st, d := s.next(is(watch.Present)); st.Generation != 2 || d > time.Second {
		t.Errorf("%+v after %v", st, d)
	}
}

// TestAllDetectors runs them together, on the machine's own file systems, and ends them.
func TestAllDetectors(t *testing.T) {
	before := descriptors(t)
	for range 10 {
		path := image(t, filepath.Join(t.TempDir(), "image"))
		s := newScene(t, path, watch.Prober{Interval: 10 * time.Millisecond})
		s.Close()
		h, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		m := watch.New(fileHost{h}, watch.Config{Path: path, Detectors: watch.Detectors(), Log: slog.New(slog.DiscardHandler)})
		time.Sleep(20 * time.Millisecond)
		t.Log(m.Detectors())
		must(t, m.Close())
	}
	if after := descriptors(t); after > before+2 {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}
