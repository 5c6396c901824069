package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mountTable returns the line of the mount table for a directory, or "".
func mountTable(t testing.TB, dir string) string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == dir {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// newDir makes a directory to mount on, which is free again when the test ends.
func newDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if mountTable(t, dir) != "" {
			freeMount(dir)
		}
	})
	return dir
}

// quiet takes out of a command's output the line that tells of a missing system logger, which
// depends on the machine.
func quiet(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "no system logger") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// servedBy returns the process that serves the mount of an image, by its record.
func servedBy(t testing.TB, dir string) int {
	t.Helper()
	places := []string{"/run/fatvol", os.Getenv("XDG_RUNTIME_DIR") + "/fatvol"}
	for _, place := range places {
		paths, _ := filepath.Glob(filepath.Join(place, "mount-*.json"))
		for _, path := range paths {
			var start struct {
				PID int    `json:"pid"`
				Dir string `json:"dir"`
			}
			text, _ := os.ReadFile(path)
			line, _, _ := bytes.Cut(text, []byte("\n"))
			if json.Unmarshal(line, &start) == nil && start.Dir == dir {
				return start.PID
			}
		}
	}
	t.Fatalf("no record of a mount on %s", dir)
	return 0
}

// awaitDeath waits for the end of a process that is not a child of this one.
func awaitDeath(t testing.TB, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d lives on", pid)
		}
	}
}

// awaitTrue polls for what nobody announces.
func awaitTrue(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func TestMountInBackground(t *testing.T) {
	needFUSE(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	out, code := runCode(t, binary(t), "mount", img, dir)
	if code != 0 || quiet(out) != "" {
		t.Fatalf("exit code %d, says %q", code, out)
	}
	line := strings.Fields(mountTable(t, dir))
	if len(line) < 4 || line[0] != img || line[2] != "fuse.fatvol" || !strings.HasPrefix(line[3], "rw,nosuid,nodev,") {
		t.Errorf("mount table: %q", line)
	}
	if err := os.WriteFile(filepath.Join(dir, "Hello.txt"), []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	pid := servedBy(t, dir)
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || cwd != "/" {
		t.Errorf("the serving process sits in %q, %v", cwd, err)
	}
	if sid, err := sessionOf(pid); err != nil || sid != pid {
		t.Errorf("session of the serving process %d: %d, %v", pid, sid, err)
	}
	if out, code := runCode(t, binary(t), "umount", "-v", dir); code != 0 || !strings.Contains(out, img+" is complete") {
		t.Errorf("umount: exit code %d, says %q", code, out)
	}
	fsck(t, img)
	// What is left of the process is at most its end, without the image.
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	for _, fd := range fds {
		if path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name())); err == nil && strings.HasPrefix(path, filepath.Dir(img)) {
			t.Errorf("umount returned while the serving process had %s open", path)
		}
	}
	awaitTrue(t, "the serving process has ended", func() bool {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		return err != nil || len(fds) == 0
	})
	if left, _ := filepath.Glob("/run/fatvol/mount-*.json"); len(left) > 0 {
		for _, path := range left {
			if text, _ := os.ReadFile(path); bytes.Contains(text, []byte(dir)) {
				t.Errorf("the record %s is left behind", path)
			}
		}
	}
}

func sessionOf(pid int) (int, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if len(f) < 4 {
		return 0, errors.New("short stat")
	}
	return strconv.Atoi(f[3])
}

// Whoever waits for the end of the caller's output must not wait for the mount.
func TestBackgroundHoldsNothingOpen(t *testing.T) {
	needFUSE(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(binary(t), "mount", img, dir)
	cmd.ExtraFiles = []*os.File{w, w, w}
	if out, code := runCmd(t, cmd); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	w.Close()
	r.SetReadDeadline(time.Now().Add(patience))
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the serving process holds the caller's descriptors: %d, %v", n, err)
	}
	run(t, binary(t), "umount", dir)
}

// TestMountFewDescriptors: with whatever number of descriptors it may have, a mount is made or fails; nobody is left to
// wait for it.
func TestMountFewDescriptors(t *testing.T) {
	needFUSE(t)
	img := mkfsFAT(t, 4<<20)
	dir := newDir(t)
	made := 0
	for n := 13; n <= 24; n++ { // the runtime of Go itself needs a dozen
		out, code := runCode(t, "sh", "-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(n), binary(t), "mount", img, dir)
		mounted := mountTable(t, dir) != ""
		if (code == 0) != mounted {
			t.Errorf("%d descriptors: exit code %d, mounted %v\n%s", n, code, mounted, out)
		}
		if mounted {
			made++
			run(t, binary(t), "umount", dir)
		}
	}
	if made == 0 {
		t.Error("no number was enough")
	}
	fsck(t, img)
}

func TestMountErrors(t *testing.T) {
	needFUSE(t)
	img := mkfsFAT(t, 4<<20)
	dir := newDir(t)
	place := filepath.Dir(img)
	garbage := filepath.Join(place, "garbage.img")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("garbage "), 1<<16), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(place, "empty.img")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	truncated := filepath.Join(place, "truncated.img")
	run(t, "cp", img, truncated)
	if err := os.Truncate(truncated, 2<<20); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(place, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(place, "missing")

	for _, tc := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"no image", []string{missing, dir}, 32, []string{missing, "no such image: 'fatvol create' makes one"}},
		{"no mount point", []string{img, missing}, 32, []string{missing, "does not exist", "mkdir"}},
		{"mount point is a file", []string{img, file}, 32, []string{file, "is not a directory"}},
		{"image is a directory", []string{place, dir}, 32, []string{place, "is a directory"}},
		{"image in a file", []string{img + "/x", dir}, 32, []string{"not a directory"}},
		{"empty image", []string{empty, dir}, 32, []string{empty}},
		{"garbage", []string{garbage, dir}, 32, []string{garbage, "fatvol info"}},
		{"truncated", []string{truncated, dir}, 32, []string{truncated, "truncated", "4194304", "2097152"}},
		{"no such partition", []string{"-o", "partition=2", img, dir}, 32, []string{"partition"}},
		{"unknown option", []string{"-o", "umsk=022", img, dir}, 1, []string{"umsk=022", "umask"}},
		{"bad value", []string{"-o", "umask=888", img, dir}, 1, []string{"umask=888", "octal"}},
		{"one argument", []string{img}, 1, []string{"IMAGE and DIR"}},
		{"unknown flag", []string{"--frob", img, dir}, 1, []string{"--frob"}},
		{"no option value", []string{img, dir, "-o"}, 1, []string{"-o"}},
		{"mtools' offset of nothing", []string{"-o", "offset=4M", img, dir}, 32, []string{"offset=4194304", "4194304 bytes"}},
	} {
		for _, foreground := range []bool{false, true} {
			args := append([]string{"mount"}, tc.args...)
			if foreground {
				args = append(args[:1], append([]string{"-f"}, args[1:]...)...)
			}
			t.Run(fmt.Sprintf("%s/foreground=%v", tc.name, foreground), func(t *testing.T) {
				out, code := runCode(t, binary(t), args...)
				if code != tc.code {
					t.Errorf("exit code %d, want %d", code, tc.code)
				}
				if !strings.HasPrefix(out, "fatvol: mount") || strings.Count(out, "\n") != 1 {
					t.Errorf("not one line that begins with fatvol: %q", out)
				}
				for _, want := range tc.says {
					if !strings.Contains(out, want) {
						t.Errorf("%q is not in %q", want, out)
					}
				}
				if mountTable(t, dir) != "" {
					t.Fatal("mounted all the same")
				}
			})
		}
	}
}

func TestSecondMountIsRefused(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	dir := mountImage(t, img)
	out, code := runCode(t, binary(t), "mount", img, dir)
	if code != 32 || !strings.Contains(out, "already mounted on "+dir) {
		t.Errorf("on the same directory: exit code %d, says %q", code, out)
	}
	link := filepath.Join(t.TempDir(), "hard link.img")
	if err := os.Link(img, link); err != nil {
		t.Fatal(err)
	}
	for _, again := range []string{img, link} {
		for _, option := range []string{"rw", "ro"} {
			out, code := runCode(t, binary(t), "mount", "-o", option, again, newDir(t))
			if code != 32 || !strings.Contains(out, "in use") || !strings.Contains(out, strconv.Itoa(servedBy(t, dir))) {
				t.Errorf("-o %s: exit code %d, says %q", option, code, out)
			}
		}
	}
}

func TestManyReaders(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	a, b := mountImage(t, img, "ro"), mountImage(t, img, "ro")
	for _, dir := range []string{a, b} {
		if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o644); !errors.Is(err, syscall.EROFS) {
			t.Errorf("write to a read-only mount: %v", err)
		}
	}
	if out, code := runCode(t, binary(t), "mount", img, newDir(t)); code != 32 || !strings.Contains(out, "in use") {
		t.Errorf("a writer next to readers: exit code %d, says %q", code, out)
	}
}

// Of several mounts at the same moment exactly one comes about.
func TestMountsAtOnce(t *testing.T) {
	needFUSE(t)
	img := mkfsFAT(t, 4<<20)
	binary(t)
	const n = 4
	codes := make(chan int, n)
	var dirs []string
	for range n {
		dir := newDir(t)
		dirs = append(dirs, dir)
		go func() {
			_, code := runCode(t, binary(t), "mount", img, dir)
			codes <- code
		}()
	}
	done := 0
	for range n {
		if code := <-codes; code == 0 {
			done++
		} else if code != 32 {
			t.Errorf("exit code %d", code)
		}
	}
	mounted := 0
	for _, dir := range dirs {
		if mountTable(t, dir) != "" {
			mounted++
			run(t, binary(t), "umount", dir)
		}
	}
	if done != 1 || mounted != 1 {
		t.Errorf("%d mounts succeeded, %d are there", done, mounted)
	}
}

func TestPaths(t *testing.T) {
	needFUSE(t)
	img := mkfsFAT(t, 4<<20)
	place := filepath.Dir(img)
	odd := filepath.Join(place, "my disk, with\tall\\of it.img")
	if err := os.Rename(img, odd); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mnt", "link's target"} {
		if err := os.Mkdir(filepath.Join(place, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(place, "link")
	if err := os.Symlink("link's target", link); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(link, "mnt here")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", inside).Run() })

	mount := exec.Command(binary(t), "mount", "./"+filepath.Base(odd), "link/../link/mnt here")
	mount.Dir = place
	if out, code := runCmd(t, mount); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	source := strings.NewReplacer(" ", `\040`, "\t", `\011`, `\`, `\134`).Replace(odd)
	real := filepath.Join(place, `link's\040target/mnt\040here`)
	if line := mountTable(t, real); !strings.HasPrefix(line, source+" ") {
		t.Errorf("mount table: %q, want source %q", line, source)
	}
	if err := os.WriteFile(filepath.Join(inside, "a"), nil, 0o644); err != nil {
		t.Error(err)
	}
	umount := exec.Command(binary(t), "umount", "link/mnt here")
	umount.Dir = place
	if out, code := runCmd(t, umount); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	fsck(t, odd)
}

func TestVersionAndHelp(t *testing.T) {
	if out := run(t, binary(t), "version"); !strings.HasPrefix(out, "fatvol ") || strings.Count(out, "\n") != 1 {
		t.Errorf("version: %q", out)
	}
	for _, args := range [][]string{{}, {"--help"}, {"help", "mount"}, {"mount", "--help"}, {"umount", "-h"}, {"info", "-h"}} {
		if out := run(t, binary(t), args...); !strings.Contains(out, "Usage:") || !strings.Contains(out, "Examples:") {
			t.Errorf("%q says %q", args, out)
		}
	}
	if out := run(t, binary(t), "mount", "-o", "help"); !strings.Contains(out, "allow_utime=OCTAL") {
		t.Errorf("-o help says %q", out)
	}
	out, code := runCode(t, binary(t), "muont", "a", "b")
	if code != 1 || !strings.Contains(out, "did you mean mount") || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, says %q", code, out)
	}
}
