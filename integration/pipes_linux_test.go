package integration

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is at the other end of a pipe may be slow, or gone.

// TestFilesBlockedPipe: the first interrupt ends a command that waits for whoever is at the other end of a pipe. Others
// send only one, timeout(1) for instance, and the image would stay locked.
func TestFilesBlockedPipe(t *testing.T) {
	type stage struct {
		cmd   *exec.Cmd
		fifo  string
		input io.Writer
		out   io.Reader
	}
	openFIFO := func(t *testing.T, s *stage, flag int) *os.File {
		f, err := os.OpenFile(s.fifo, flag|syscall.O_NONBLOCK, 0)
		if errors.Is(err, syscall.ENXIO) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	for _, tc := range []struct {
		name string
		args string // FIFO stands for its path
		wait func(t *testing.T, s *stage)
	}{
		{"reads a FIFO", "cp FIFO volume.img:/new", func(t *testing.T, s *stage) {
			var f *os.File
			awaitTrue(t, "a reader", func() bool { f = openFIFO(t, s, os.O_WRONLY); return f != nil })
			if _, err := f.Write(make([]byte, 1<<20)); err != nil { // more than a pipe holds: it reads
				t.Fatal(err)
			}
		}},
		{"opens a FIFO that nobody reads", "cp volume.img:/big FIFO", func(t *testing.T, s *stage) {
			awaitTrue(t, "the image being open", func() bool { return hasOpen(s.cmd.Process.Pid, "volume.img") })
		}},
		{"writes to a FIFO", "cp volume.img:/big FIFO", func(t *testing.T, s *stage) {
			f := openFIFO(t, s, os.O_RDONLY)
			awaitTrue(t, "something from it", func() bool { n, _ := f.Read(make([]byte, 1)); return n == 1 })
		}},
		{"reads standard input", "cp - volume.img:/new", func(t *testing.T, s *stage) {
			if _, err := s.input.Write(make([]byte, 1<<20)); err != nil { // more than a pipe holds
				t.Fatal(err)
			}
		}},
		{"prints", "cat volume.img:/big", func(t *testing.T, s *stage) {
			if _, err := io.ReadFull(s.out, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			img := mkfsFAT(t, 64<<20)
			dir := filepath.Dir(img)
			files(t, dir, "cp", binary(t), "volume.img:/big")
			s := &stage{fifo: filepath.Join(dir, "fifo")}
			if err := syscall.Mkfifo(s.fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			s.cmd = exec.Command(binary(t), strings.Fields(strings.ReplaceAll(tc.args, "FIFO", s.fifo))...)
			s.cmd.Dir = dir
			var words bytes.Buffer
			s.cmd.Stderr = &words
			s.input, _ = s.cmd.StdinPipe()
			s.out, _ = s.cmd.StdoutPipe()
			if err := s.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(patience, func() { s.cmd.Process.Kill() })
			defer late.Stop()
			tc.wait(t, s)
			s.cmd.Process.Signal(syscall.SIGTERM)
			blocked := time.AfterFunc(patience/6, func() { s.cmd.Process.Kill() })
			defer blocked.Stop()
			_ = s.cmd.Wait()
			if s.cmd.ProcessState.ExitCode() != 8 || !strings.Contains(words.String(), "interrupted: what was done until then is whole") {
				t.Errorf("%v\n%s", s.cmd.ProcessState, words.String())
			}
			run(t, "fsck.fat", "-n", img)
			if out := files(t, dir, "ls", "-a", "volume.img"); out != "big\n" {
				t.Errorf("left are\n%s", out)
			}
		})
	}
}

// hasOpen reports whether a process has a file of that name open.
func hasOpen(pid int, name string) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && filepath.Base(path) == name {
			return true
		}
	}
	return false
}

// TestFilesNobodyReads: where nobody reads the output any more, as behind "| head", a command that has begun with a
// volume ends in good order before it dies: what it has done is there, and the volume is clean.
func TestFilesNobodyReads(t *testing.T) {
	tree := t.TempDir()
	for i := range 400 { // the names of which are more than is held back
		if err := os.WriteFile(filepath.Join(tree, fmt.Sprintf("%s %03d", strings.Repeat("x", 200), i)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		args  []string
		names string // what the root has then
	}{
		{[]string{"mkdir", "-v", "volume.img:/new"}, "dir/\nfile\nnew/\n"},
		{[]string{"rm", "-rv", "volume.img:/dir"}, "file\n"},
		{[]string{"mv", "-v", "volume.img:/file", "volume.img:/other"}, "dir/\nother\n"},
		{[]string{"cp", "-v", os.DevNull, "volume.img:/new"}, "dir/\nfile\nnew\n"},
		{[]string{"cp", "-rv", tree, "volume.img:/new"}, "dir/\nfile\nnew/\n"},
		{[]string{"ls", "volume.img"}, "dir/\nfile\n"},
		{[]string{"cat", "volume.img:/file"}, "dir/\nfile\n"},
	} {
		t.Run(strings.Join(tc.args[:2], " "), func(t *testing.T) {
			img := mkfsFAT(t, 64<<20)
			dir := filepath.Dir(img)
			files(t, dir, "cp", binary(t), "volume.img:/file")
			files(t, dir, "mkdir", "volume.img:/dir")
			if said, code := toNobody(t, dir, tc.args...); code != 128+int(syscall.SIGPIPE) || said != "" {
				t.Errorf("exit code %d\n%s", code, said)
			}
			if out := run(t, "fsck.fat", "-n", img); strings.Contains(out, "Dirty bit") {
				t.Error(out)
			}
			if out := files(t, dir, "ls", "-a", "volume.img"); out != tc.names {
				t.Errorf("in the volume are\n%s", out)
			}
		})
	}
}

// TestCheckNobodyReads: a repair is brought to its end as well.
func TestCheckNobodyReads(t *testing.T) {
	img := mkfsFAT(t, 8<<20, "-F", "12", "-R", "1", "-a")
	dir := filepath.Dir(img)
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// A chain that no file uses, in the first FAT only: two findings.
	if _, err := f.WriteAt([]byte{0xff, 0x0f}, 512+3); err != nil {
		t.Fatal(err)
	}
	if _, code := inDirectory(t, dir, "check", "volume.img"); code != 4 {
		t.Fatalf("nothing is wrong: %d", code)
	}
	if said, code := toNobody(t, dir, "check", "--repair", "volume.img"); code != 128+int(syscall.SIGPIPE) || said != "" {
		t.Errorf("exit code %d\n%s", code, said)
	}
	if out, code := inDirectory(t, dir, "check", "volume.img"); code != 0 {
		t.Errorf("%d\n%s", code, out)
	}
}

// toNobody runs fatvol in a directory, with a standard output that nobody reads, and returns what it says on
// standard error. The exit code is as a shell has it.
func toNobody(t testing.TB, dir string, args ...string) (said string, code int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := exec.Command(binary(t), args...)
	cmd.Dir = dir
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &words
	_ = cmd.Run() // its exit code tells
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return words.String(), 128 + int(status.Signal())
	}
	return words.String(), status.ExitStatus()
}

// TestClosedDescriptors: where standard descriptors are closed, nothing else gets their numbers: what is printed does not
// go into the image. The runtime of Go sees to it.
func TestClosedDescriptors(t *testing.T) {
	needFUSE(t)
	img := mkfsFAT(t, 8<<20)
	mnt := newDir(t)
	files(t, "", "cp", "/dev/null", img+":/file")
	before := digest(t, img)
	for _, closed := range []string{"<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"} {
		for _, args := range []string{
			"ls -l", "info", "check", "label", "defrag -n", "check --nonsense", "resize -n IMAGE max", "cat IMAGE:/file", "cat IMAGE:/nothing",
			"mount -o ro,noatime IMAGE " + mnt, "umount -v IMAGE",
		} {
			if !strings.Contains(args, "IMAGE") {
				args += " IMAGE"
			}
			runCode(t, "sh", append([]string{"-c", `exec "$@" ` + closed, "sh", binary(t)}, strings.Fields(strings.ReplaceAll(args, "IMAGE", img))...)...)
			if now := digest(t, img); now != before {
				t.Fatalf("fatvol %s %s changed the image", args, closed)
			}
		}
		if mountTable(t, mnt) != "" {
			t.Errorf("%s: still mounted", closed)
		}
	}
}

func digest(t testing.TB, path string) [sha256.Size]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}
