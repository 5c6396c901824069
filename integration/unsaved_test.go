package integration

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What was written and is not on the medium, where the medium does not come back as it was.

// saved is a mount that went with unsynced writes, and the copy of its image without them.
type saved struct {
	img, copy string
	dir       string
	text      []byte // unsynced contents of the file "late"
}

// lose mounts an image, writes, takes a copy of the image as of then, writes more, and deletes the image.
func lose(t testing.TB, opts ...string) *saved {
	t.Helper()
	s := &saved{text: bytes.Repeat([]byte("late words\n"), 400)}
	st := fileStage(t, deleted)
	s.img, s.copy = st.img, filepath.Join(t.TempDir(), "copy.img")
	s.dir = newDir(t)
	run(t, binary(t), "mount", "-o", strings.Join(append(opts, "replay=apply"), ","), s.img, s.dir)
	noteMount(s.dir, 0)
	t.Cleanup(func() { forgetMount(s.dir) })
	writeSynced(t, filepath.Join(s.dir, "early"), "early words\n")
	write := func() {
		if err := os.WriteFile(filepath.Join(s.dir, "late"), s.text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	vanish(t, s.dir, int64(len(s.text)), func() { copyFile(t, s.img, s.copy) }, write, func() { deleted(t, s.img) })
	return s
}

// writeSynced makes a file, and returns when it is on the medium.
func writeSynced(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// put puts a copy of an image at the path that it had.
func put(t testing.TB, from, img string) {
	t.Helper()
	copyFile(t, from, img+".new")
	if err := os.Rename(img+".new", img); err != nil {
		t.Fatal(err)
	}
}

var keptIn = regexp.MustCompile(` are kept in (\S+\.replay), and the next mount of the volume writes them`)

// removeKept removes the replay files that an unmount says it leaves.
func removeKept(out string) {
	for _, m := range keptIn.FindAllStringSubmatch(out, -1) {
		os.Remove(m[1])
	}
}

// umountKept unmounts what is gone, and returns the path of the replay file that it leaves.
func (s *saved) umountKept(t testing.TB) (path string) {
	t.Helper()
	began := time.Now()
	out, code := runCode(t, binary(t), "umount", s.dir)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("umount took %v", took)
	}
	m := keptIn.FindStringSubmatch(out)
	if code != 32 || m == nil || strings.Count(out, "\n") != 1 || strings.Contains(out, "LOST") {
		t.Fatalf("umount: exit code %d: %s", code, out)
	}
	t.Cleanup(func() { os.Remove(m[1]) })
	if st, err := os.Stat(m[1]); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", m[1], st.Mode(), err)
	}
	return m[1]
}

// mustHaveAll checks an image that has everything.
func (s *saved) mustHaveAll(t testing.TB, img string) {
	t.Helper()
	fsck(t, img)
	dir := mountImage(t, img, "ro")
	defer umount(t, dir)
	if got, err := os.ReadFile(filepath.Join(dir, "late")); err != nil || !bytes.Equal(got, s.text) {
		t.Errorf("late: %d bytes, %v", len(got), err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "early")); err != nil || string(got) != "early words\n" {
		t.Errorf("early: %q, %v", got, err)
	}
}

func TestNextMountWritesWhatIsUnsaved(t *testing.T) {
	needFUSE(t)
	s := lose(t)
	path := s.umountKept(t)
	put(t, s.copy, s.img)
	dir := mountImage(t, s.img)
	if got, err := os.ReadFile(filepath.Join(dir, "late")); err != nil || !bytes.Equal(got, s.text) {
		t.Errorf("late: %d bytes, %v", len(got), err)
	}
	umount(t, dir)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the replay file is still there")
	}
	s.mustHaveAll(t, s.img)
}

func TestReplayCommands(t *testing.T) {
	needFUSE(t)
	s := lose(t)
	path := s.umountKept(t)
	name := strings.TrimSuffix(filepath.Base(path), ".replay")

	if out := run(t, binary(t), "replay", "list"); !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` .* 1 .*STICK +` + regexp.QuoteMeta(s.img) + `$`).MatchString(out) {
		t.Errorf("list:\n%s", out)
	}
	for _, file := range []string{name, path} {
		if out := run(t, binary(t), "replay", "show", file); !strings.Contains(out, path) || !strings.Contains(out, "/late (4.3 KiB)") {
			t.Errorf("show:\n%s", out)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	if got := run(t, binary(t), "replay", "extract", name, out); got != "/late: whole\n" {
		t.Errorf("extract: %s", got)
	}
	if got, err := os.ReadFile(filepath.Join(out, "late")); err != nil || !bytes.Equal(got, s.text) {
		t.Errorf("extracted: %d bytes, %v", len(got), err)
	}
	if got, code := runCode(t, binary(t), "replay", "extract", name, out); code != 32 || !strings.Contains(got, "file exists") {
		t.Errorf("extract over a file: exit code %d: %s", code, got)
	}

	// The options of the next mount.
	put(t, s.copy, s.img)
	for _, opt := range []string{"replay=ask", "ro"} {
		got, code := runCode(t, binary(t), "mount", "-o", opt, s.img, s.dir)
		if code != 32 || !strings.Contains(got, path) || !strings.Contains(got, "replay=ignore") {
			t.Errorf("-o %s: exit code %d: %s", opt, code, got)
		}
	}
	dir := mountImage(t, s.img, "ro", "replay=ignore")
	if _, err := os.Stat(filepath.Join(dir, "late")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("replay=ignore: %v", err)
	}
	if got, code := runCode(t, binary(t), "replay", "apply", name); code != 32 || !strings.Contains(got, "in use") {
		t.Errorf("apply to a volume that is mounted: exit code %d: %s", code, got)
	}
	umount(t, dir)

	if got := run(t, binary(t), "replay", "apply", name); !strings.Contains(got, "written to "+s.img) {
		t.Errorf("apply: %s", got)
	}
	s.mustHaveAll(t, s.img)
	if got, code := runCode(t, binary(t), "replay", "apply", name); code != 32 || strings.Count(got, "\n") != 1 {
		t.Errorf("apply again: exit code %d: %s", code, got)
	}
}

// A volume that was changed elsewhere is not touched, neither by the mount that is there nor by the next;
// what is unsaved can be had out of the replay file.
func TestChangedElsewhereWithUnsynced(t *testing.T) {
	needFUSE(t)
	need(t, "mcopy")
	s := lose(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("from elsewhere\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	run(t, "mcopy", "-i", s.copy, other, "::OTHER")
	before, err := os.ReadFile(s.copy)
	if err != nil {
		t.Fatal(err)
	}
	unchanged := func() {
		t.Helper()
		if now, err := os.ReadFile(s.img); err != nil || !bytes.Equal(now, before) {
			t.Errorf("the image was written to: %v", err)
		}
	}
	put(t, s.copy, s.img)
	await(t, s.dir, "refused", func(st mediumStatus) bool {
		return isGone(st) && strings.Contains(st.Reason, "changed elsewhere")
	})
	if _, err := os.Stat(filepath.Join(s.dir, "early")); !errors.Is(err, syscall.EIO) {
		t.Errorf("stat: %v", err)
	}
	unchanged()
	path := s.umountKept(t)
	out, code := runCode(t, binary(t), "mount", s.img, s.dir)
	for _, want := range []string{path, "changed elsewhere", "replay extract", "replay discard", "replay=ignore"} {
		if code != 32 || !strings.Contains(out, want) {
			t.Errorf("mount: exit code %d, no %q in %s", code, want, out)
		}
	}
	if out, code := runCode(t, binary(t), "replay", "apply", path); code != 32 || !strings.Contains(out, "changed elsewhere") {
		t.Errorf("apply: exit code %d: %s", code, out)
	}
	unchanged()
	// A copy elsewhere is not what the changes are for, and can be mounted.
	dir := mountImage(t, s.copy)
	umount(t, dir)
	to := filepath.Join(t.TempDir(), "out")
	run(t, binary(t), "replay", "extract", path, to)
	if got, err := os.ReadFile(filepath.Join(to, "late")); err != nil || !bytes.Equal(got, s.text) {
		t.Errorf("extracted: %d bytes, %v", len(got), err)
	}
	run(t, binary(t), "replay", "discard", path)
	dir = mountImage(t, s.img)
	if got, err := os.ReadFile(filepath.Join(dir, "OTHER")); err != nil || string(got) != "from elsewhere\n" {
		t.Errorf("OTHER: %q, %v", got, err)
	}
	umount(t, dir)
}

// With nothing unsynced, the mount goes on with what something else has made of the volume. What was open
// is of another time.
func TestChangedElsewhereWithoutUnsynced(t *testing.T) {
	need(t, "mcopy", "mdel")
	st := fileStage(t, deleted)
	dir, s := mountStage(t, st)
	writeSynced(t, filepath.Join(dir, "OLD"), "old\n")
	known := filepath.Join(dir, "DIR", "KNOWN")
	if err := os.Mkdir(filepath.Dir(known), 0o777); err != nil {
		t.Fatal(err)
	}
	writeSynced(t, known, "known\n")
	open, err := os.Open(filepath.Join(dir, "OLD"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	await(t, dir, "synced", func(st mediumStatus) bool { return st.Unsynced == 0 && !st.Names })
	copied, other := filepath.Join(t.TempDir(), "copy.img"), filepath.Join(t.TempDir(), "other")
	copyFile(t, st.img, copied)
	deleted(t, st.img)
	await(t, dir, "gone", isGone)
	if err := os.WriteFile(other, []byte("from elsewhere\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	run(t, "mdel", "-i", copied, "::OLD")
	run(t, "mcopy", "-i", copied, other, "::OTHER")
	put(t, copied, st.img)
	await(t, dir, "back", isPresent)
	// What the kernel knew by name is there at once, if it is there.
	if got, err := os.ReadFile(known); err != nil || string(got) != "known\n" {
		t.Errorf("KNOWN: %q, %v", got, err)
	}
	if names, err := os.ReadDir(filepath.Dir(known)); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "OLD")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OLD: %v", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2 || names[0].Name() != "DIR" || names[1].Name() != "OTHER" {
		t.Errorf("%v, %v", names, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "OTHER")); err != nil || string(got) != "from elsewhere\n" {
		t.Errorf("OTHER: %q, %v", got, err)
	}
	if n, err := open.ReadAt(make([]byte, 4), 0); err == nil || n > 0 {
		t.Errorf("a file that was open reads %d bytes, %v", n, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "NEW"), []byte("new\n"), 0o666); err != nil {
		t.Error(err)
	}
	open.Close()
	umount(t, dir)
	if out := run(t, "mdir", "-b", "-i", st.img, "::"); out != "::/OTHER\n::/DIR/\n::/NEW\n" {
		t.Errorf("mdir: %s", out)
	}
	if n := logLines(s, "the volume was changed elsewhere"); n != 1 {
		t.Errorf("%d lines about it:\n%s", n, s.log)
	}
}

// A volume whose last changes are still in the memory of a mount that waits for it, at another path say, is not mounted
// beside that: what would be written to it now would keep them from ever getting there.
func TestMountWhileAnotherWaits(t *testing.T) {
	needFUSE(t)
	s := lose(t)
	moved := filepath.Join(t.TempDir(), "moved.img")
	copyFile(t, s.copy, moved)
	dir := newDir(t)
	for _, opt := range []string{"rw", "ro"} {
		out, code := runCode(t, binary(t), "mount", "-o", opt, moved, dir)
		if code != 32 || strings.Count(out, "\n") != 1 || !strings.Contains(out, "fatvol umount "+s.dir) || !strings.Contains(out, "replay=ignore") {
			t.Errorf("mount -o %s beside it: exit code %d: %s", opt, code, out)
		}
	}
	umount(t, mountImage(t, moved, "ro", "replay=ignore"))
	s.umountKept(t)
	umount(t, mountImage(t, moved))
	s.mustHaveAll(t, moved)
}

// Nor do commands write to such a volume, wherever it is; and to one that a replay file fits, neither.
func TestCommandsWhileAMountWaits(t *testing.T) {
	needFUSE(t)
	s := lose(t, "return=never")
	put(t, s.copy, s.img)
	moved := filepath.Join(t.TempDir(), "moved.img")
	copyFile(t, s.copy, moved)
	file := filepath.Join(t.TempDir(), "new")
	if err := os.WriteFile(file, []byte("new\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused := func(img, want string, fail int, args ...string) {
		t.Helper()
		before, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		out, code := runCode(t, binary(t), args...)
		if code != fail || strings.Count(out, "\n") != 1 || !strings.Contains(out, want) {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
		if now, err := os.ReadFile(img); err != nil || !bytes.Equal(now, before) {
			t.Fatalf("%v: the image was written to: %v", args, err)
		}
	}
	for _, img := range []string{s.img, moved} {
		want := "fatvol umount " + s.dir
		refused(img, want, 8, "check", "--repair", img)
		refused(img, want, 32, "defrag", img)
		refused(img, want, 32, "resize", img, "max")
	}
	for _, img := range []string{s.img, moved} {
		refused(img, s.dir, 1, "label", img, "OTHER")
		refused(img, s.dir, 1, "cp", file, img+":/")
	}
	path := s.umountKept(t)
	for _, img := range []string{s.img, moved} {
		refused(img, path, 8, "check", "--repair", img)
		refused(img, path, 1, "label", img, "OTHER")
		refused(img, path, 1, "cp", file, img+":/")
	}
	run(t, binary(t), "replay", "apply", "--image", moved, path)
	run(t, binary(t), "cp", file, moved+":/")
	s.mustHaveAll(t, moved)
}

// With return=never, nothing brings it back.
func TestReturnNever(t *testing.T) {
	needFUSE(t)
	s := lose(t, "return=never")
	put(t, s.copy, s.img)
	// Twice as long as the probes' interval, so that whoever looks would have.
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if st := statusOf(t, s.dir); !isGone(st) || st.Looks != 0 {
			t.Fatalf("%+v", st)
		}
	}
	s.umountKept(t)
	dir := mountImage(t, s.img)
	umount(t, dir)
	s.mustHaveAll(t, s.img)
}

// Where nothing is missing on the medium, an unmount without it is none of anybody's worries.
func TestUmountWhileGoneWithNothingUnsaved(t *testing.T) {
	st := fileStage(t, deleted)
	dir, _ := mountStage(t, st)
	deleted(t, st.img)
	await(t, dir, "gone", isGone)
	umount(t, dir)
}

// A signal ends a mount whose medium is gone as an unmount does.
func TestSignalWhileGone(t *testing.T) {
	st := fileStage(t, deleted)
	dir, s := mountStage(t, st)
	if err := os.WriteFile(filepath.Join(dir, "late"), []byte("late words\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	deleted(t, st.img)
	await(t, dir, "gone", isGone)
	mounts.Lock()
	delete(servers, dir)
	mounts.Unlock()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(3 * time.Second):
		t.Fatal("it does not end")
	}
	forgetMount(dir)
	m := keptIn.FindStringSubmatch(s.log.String())
	if code := s.cmd.ProcessState.ExitCode(); code != 32 || m == nil {
		t.Fatalf("exit code %d:\n%s", code, s.log)
	}
	os.Remove(m[1])
}

func TestStatusWatch(t *testing.T) {
	st := fileStage(t, deleted)
	dir, _ := mountStage(t, st)
	st.snapshot()
	watch := newLines(t, binary(t), "status", "--json", "--watch", dir)
	watch.expect(`"state":"present"`)
	st.away()
	watch.expect(`"state":"gone"`)
	st.back()
	watch.expect(`"state":"present".*"generation":2`)
	umount(t, dir)
	if err := watch.cmd.Wait(); err != nil {
		t.Errorf("status --watch at the end of the mount: %v", err)
	}
}

// Another volume in the place of the one that the changes are for is not written to, and can be mounted; the
// changes can still be had.
func TestReplayFileOfAnotherVolume(t *testing.T) {
	needFUSE(t)
	s := lose(t)
	path := s.umountKept(t)
	put(t, mkfsFAT(t, 40<<20, "-F", "32", "-s", "1", "-i", "12345678"), s.img)
	before, err := os.ReadFile(s.img)
	if err != nil {
		t.Fatal(err)
	}
	if out, code := runCode(t, binary(t), "replay", "apply", path); code != 32 || !strings.Contains(out, "another volume: serial number 1234-5678") || strings.Count(out, "\n") != 1 {
		t.Errorf("apply: exit code %d: %s", code, out)
	}
	if now, err := os.ReadFile(s.img); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the other volume was written to: %v", err)
	}
	umount(t, mountImage(t, s.img))
	to := filepath.Join(t.TempDir(), "out")
	run(t, binary(t), "replay", "extract", path, to)
	if got, err := os.ReadFile(filepath.Join(to, "late")); err != nil || !bytes.Equal(got, s.text) {
		t.Errorf("extracted: %d bytes, %v", len(got), err)
	}
}
