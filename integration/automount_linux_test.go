package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// automountHelper is a running `fatvol automount` that finds media in the mount table.
type automountHelper struct {
	t      testing.TB
	dir    string // where it mounts
	config string
	cmd    *exec.Cmd
	ended  chan error
	mu     sync.Mutex
	log    bytes.Buffer
}

func (h *automountHelper) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(p)
}

func (h *automountHelper) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// newAutomount configures a helper for the stick, and for nothing else.
func newAutomount(t testing.TB, s *loopStick, keep string) *automountHelper {
	t.Helper()
	needFUSE(t)
	h := &automountHelper{t: t, dir: filepath.Join(t.TempDir(), "media"), config: filepath.Join(t.TempDir(), "automount.toml")}
	text := fmt.Sprintf("source = 'mountinfo'\nnotify = false\n[media]\nalso = [%q]\n[gone]\nkeep = %q\n", s.host, keep)
	if err := os.WriteFile(h.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	h.start()
	t.Cleanup(func() {
		h.end(syscall.SIGTERM)
		freeMount(h.volume())
		if t.Failed() {
			t.Logf("log of the helper:\n%s", h.logged())
		}
	})
	return h
}

func (h *automountHelper) start() {
	h.t.Helper()
	h.cmd = exec.Command(binary(h.t), "automount", "-c", h.config, "-d", h.dir)
	h.cmd.Stderr = h
	h.cmd.WaitDelay = time.Second
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(h.cmd, h.ended)
}

// end ends the helper, if it runs.
func (h *automountHelper) end(sig syscall.Signal) (err error) {
	h.t.Helper()
	if h.cmd == nil {
		return nil
	}
	if err := h.cmd.Process.Signal(sig); err != nil {
		h.t.Error(err)
	}
	select {
	case err = <-h.ended:
	case <-time.After(patience):
		h.t.Errorf("the helper does not end after %v", sig)
		_ = h.cmd.Process.Kill()
	}
	h.cmd = nil
	return err
}

// volume is where the volume of the stick is mounted.
func (h *automountHelper) volume() string { return filepath.Join(h.dir, "STICK") }

// mounted waits until the volume is mounted and can be used.
func (h *automountHelper) mounted() {
	h.t.Helper()
	h.until("mounted", func() bool { return mountTable(h.t, h.volume()) != "" })
	await(h.t, h.volume(), "present", func(st mediumStatus) bool { return st.State == "present" })
}

// clean waits until nothing is mounted, and nothing is left in the directory.
func (h *automountHelper) clean() {
	h.t.Helper()
	h.until("clean", func() bool {
		entries, err := os.ReadDir(h.dir)
		return err == nil && len(entries) == 0 && mountTable(h.t, h.volume()) == ""
	})
}

func (h *automountHelper) until(what string, right func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !right(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("the volume is never %s", what)
		}
	}
}

// says waits for text in the log.
func (h *automountHelper) says(text string) {
	h.t.Helper()
	h.until("logged with "+text, func() bool { return strings.Contains(h.logged(), text) })
}

// TestAutomount: a volume comes and goes with its medium, however that goes, and whoever dies meanwhile.
func TestAutomount(t *testing.T) {
	s, _ := newLoopStick(t)
	h := newAutomount(t, s, "1h")
	h.mounted()
	file := filepath.Join(h.volume(), "file")
	if err := os.WriteFile(file, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}

	// The medium is busy because of the image; eject knows what to do.
	if out, code := runCode(t, "umount", s.host); code == 0 {
		t.Fatalf("the medium can be unmounted under the image: %s", out)
	}
	out := run(t, binary(t), "eject", "-c", h.config, h.volume())
	if !strings.Contains(out, "volume.img is complete") || !strings.Contains(out, "can be taken out") {
		t.Errorf("eject: %s", out)
	}
	if mountTable(t, s.host) != "" {
		t.Error("the medium is still mounted")
	}
	h.clean()
	run(t, "mount", s.loop, s.host)
	h.mounted()

	// Nobody uses it: it does not stay when the medium goes.
	s.unplug()
	h.clean()
	s.plug()
	h.mounted()

	// A program uses it: it waits, and the program goes on.
	open, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	s.unplug()
	h.says("still mounted")
	if _, err := open.WriteAt([]byte("lost"), 0); err == nil {
		t.Error("a write to a medium that is gone succeeds")
	}
	s.plug()
	await(t, h.volume(), "present again", func(st mediumStatus) bool { return st.State == "present" && st.Generation == 2 })
	h.says("STICK is back")
	if _, err := open.WriteAt([]byte("CONTENT"), 0); err != nil {
		t.Error(err)
	}

	// It cannot be ejected while it is used, and the message says by whom.
	if out, code := runCode(t, binary(t), "eject", "-c", h.config, s.host); code != 32 || !strings.Contains(out, fmt.Sprintf("PID %d", os.Getpid())) {
		t.Errorf("eject of a volume in use: exit code %d: %s", code, out)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}

	// The helper is killed: its successor looks after what is mounted.
	h.end(syscall.SIGKILL)
	if got, err := os.ReadFile(file); err != nil || string(got) != "CONTENT" {
		t.Errorf("without a helper: %q, %v", got, err)
	}
	run(t, binary(t), "automount", "--clean-up", "-c", h.config, "-d", h.dir)
	if mountTable(t, h.volume()) == "" {
		t.Error("the clean-up has unmounted what is served")
	}
	h.start()
	h.says("look after " + h.volume())

	// The serving process is killed: nothing dead is left.
	var st struct{ PID int }
	jsonOf(t, &st, binary(t), "status", "--json", h.volume())
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.says("was closed by a fault")
	h.clean()

	run(t, "umount", s.host)
	run(t, "mount", s.loop, s.host)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		h.mounted()
		if err := h.end(sig); err != nil {
			t.Errorf("the helper ends with %v after %v", err, sig)
		}
		h.clean()
		h.start()
	}
	h.mounted()
	h.end(syscall.SIGTERM)
	run(t, "umount", s.host)
}

// TestAutomountStaysAway: a medium does not come back in time while a program uses the volume and something
// is unsaved. Nothing stays mounted; what is unsaved is on the medium when that is back.
func TestAutomountStaysAway(t *testing.T) {
	s, _ := newLoopStick(t)
	h := newAutomount(t, s, "1s")
	h.mounted()
	copyFile(t, s.flash, s.flash+".saved")
	file := filepath.Join(h.volume(), "file")
	open, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	s.kill()
	// Between the death and its discovery writes are acknowledged; these are what must not be lost.
	written := 0
	for end := time.Now().Add(patience); time.Now().Before(end); written++ {
		if _, err := fmt.Fprintf(open, "line %d\n", written); err != nil {
			break
		}
	}
	h.says("detach " + h.volume())
	h.clean()
	if _, err := open.WriteString("x"); err == nil {
		t.Error("a write to a detached volume succeeds")
	}
	open.Close() // its error has been told
	s.unplug()
	h.until("let go of", func() bool { return run(t, "losetup", "-j", s.flash) == "" })
	copyFile(t, s.flash+".saved", s.flash)
	s.plug()
	h.mounted()
	got, err := os.ReadFile(file)
	if lines := strings.Count(string(got), "\n"); err != nil || lines != written {
		t.Errorf("%d lines of %d are there: %v", lines, written, err)
	}
	run(t, binary(t), "eject", "-c", h.config, s.host)
	h.clean()
}

// TestAutomountExplains: --once --dry-run tells what would be done, and does nothing.
func TestAutomountExplains(t *testing.T) {
	s, _ := newLoopStick(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(s.host, "link.img")); err != nil {
		t.Fatal(err)
	}
	h := newAutomount(t, s, "1h")
	h.mounted()
	h.end(syscall.SIGTERM)
	out := run(t, binary(t), "automount", "--once", "--dry-run", "-c", h.config, "-d", h.dir)
	for _, want := range []string{
		"would search " + s.host,
		"would mount " + s.host + "/volume.img on " + h.volume() + ": it holds a FAT32 volume",
		"would not mount " + s.host + "/link.img: a symbolic link",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if mountTable(t, h.volume()) != "" {
		t.Error("a dry run has mounted")
	}
	run(t, binary(t), "automount", "--once", "-c", h.config, "-d", h.dir)
	if mountTable(t, h.volume()) == "" {
		t.Error("--once has not mounted, or not left it mounted")
	}
	run(t, binary(t), "eject", "-c", h.config, s.host)
}

// jsonOf decodes what a program prints.
func jsonOf(t testing.TB, into any, name string, args ...string) {
	t.Helper()
	out := run(t, name, args...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
