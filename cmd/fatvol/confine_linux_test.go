package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// confinedVariable makes the test binary confine itself to the image that it names, and then answer what
// it may do, line by line.
const confinedVariable = "FATVOL_TEST_CONFINED"

func init() {
	image := os.Getenv(confinedVariable)
	if image == "" {
		return
	}
	if err := confineTo(imagePlaces(image), []string{os.Getenv(confinedVariable + "_OWN")}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("confined")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		verb, path, _ := strings.Cut(lines.Text(), " ")
		fmt.Println(attempt(verb, path))
	}
	os.Exit(0)
}

// attempt tries something, and says "ok" or why not.
func attempt(verb, path string) string {
	var err error
	switch verb {
	case "read":
		var f *os.File
		if f, err = os.Open(path); err == nil {
			f.Close()
		}
	case "write":
		var f *os.File
		if f, err = os.OpenFile(path, os.O_RDWR, 0); err == nil {
			f.Close()
		}
	case "create":
		var f *os.File
		if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			f.Close()
		}
	case "remove":
		err = os.Remove(path)
	case "run":
		err = exec.Command(path).Run()
	case "unmount":
		err = unix.Unmount(path, unix.MNT_DETACH)
	case "dial":
		var c net.Conn
		if c, err = net.Dial("tcp", path); err == nil {
			c.Close()
		}
	case "threads":
		all, _ := filepath.Glob("/proc/self/task/*/status")
		for _, status := range all {
			text, _ := os.ReadFile(status)
			if !strings.Contains(string(text), "NoNewPrivs:\t1") {
				return "a thread may gain privileges"
			}
		}
		if len(all) < 2 {
			return "there is only one thread"
		}
	}
	var no syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &no):
		return no.Error()
	}
	return err.Error()
}

// confined is a process that confined itself.
type confined struct {
	t   *testing.T
	in  interface{ Write([]byte) (int, error) }
	out *bufio.Reader
}

func startConfined(t *testing.T, image, own string) *confined {
	t.Helper()
	if _, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1); e != 0 {
		t.Fatalf("this kernel has no Landlock: %v", e)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), confinedVariable+"="+image, confinedVariable+"_OWN="+own)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	c := &confined{t, in, bufio.NewReader(out)}
	if line, _ := c.out.ReadString('\n'); line != "confined\n" {
		t.Fatalf("the process says %q", line)
	}
	return c
}

func (c *confined) expect(want string, words ...string) {
	c.t.Helper()
	fmt.Fprintln(c.in, strings.Join(words, " "))
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	if strings.TrimSpace(line) != want {
		c.t.Errorf("%v: %s, want %s", words, strings.TrimSpace(line), want)
	}
}

func writeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestConfined: what serves a mount can use the image, keep its own files, and do nothing else.
func TestConfined(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"host", "own", "other"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, sub, "file"))
	}
	image := filepath.Join(dir, "host", "file")
	c := startConfined(t, image, filepath.Join(dir, "own"))
	const no = "permission denied"
	c.expect("ok", "threads")
	c.expect("ok", "write", image)
	c.expect(no, "create", filepath.Join(dir, "host", "new"))
	c.expect(no, "remove", image)
	c.expect("ok", "create", filepath.Join(dir, "own", "new"))
	c.expect("ok", "remove", filepath.Join(dir, "own", "new"))
	c.expect(no, "read", filepath.Join(dir, "other", "file"))
	c.expect(no, "read", "/etc/passwd")
	c.expect("ok", "read", "/proc/self/mountinfo")
	c.expect(no, "write", "/proc/self/oom_score_adj")
	c.expect(no, "run", "/bin/true")
	c.expect(no, "dial", "127.0.0.1:9")
	// Another image in its place, as after a copy.
	if err := os.Rename(filepath.Join(dir, "other", "file"), image); err != nil {
		t.Fatal(err)
	}
	c.expect("ok", "write", image)
}

// TestConfinedReturn: an image is found again on a host that was mounted anew, even on a new directory.
func TestConfinedReturn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a host takes root")
	}
	media := t.TempDir()
	host := filepath.Join(media, "STICK")
	plug := func() {
		t.Helper()
		if err := os.Mkdir(host, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("none", host, "tmpfs", 0, "size=64k"); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(host, "images"), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(host, "images", "card.img"))
	}
	pull := func() {
		t.Helper()
		if err := unix.Unmount(host, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(host); err != nil {
			t.Fatal(err)
		}
	}
	plug()
	image := filepath.Join(host, "images", "card.img")
	c := startConfined(t, image, t.TempDir())
	for range 3 {
		c.expect("ok", "write", image)
		c.expect("permission denied", "create", image+".new")
		pull()
		c.expect("no such file or directory", "write", image)
		plug()
	}
	c.expect("ok", "write", image)
	c.expect("operation not permitted", "unmount", host) // Landlock's
	pull()
}

// TestUnmounter unmounts the mount that it was made for, and no other.
func TestUnmounter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting takes root")
	}
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		if err := unix.Mount("none", d, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(d, unix.MNT_DETACH) })
	}
	m, err := mountAt(dir)
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	var in, out strings.Builder
	for _, d := range []string{other, dir, dir} {
		if err := json.NewEncoder(&in).Encode(unmountOrder{Dir: d}); err != nil {
			t.Fatal(err)
		}
	}
	if err := serveUnmounts(deviceNumber(m), strings.NewReader(in.String()), &out); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(strings.NewReader(out.String()))
	for i, none := range []bool{true, false, true} {
		var a unmountAnswer
		if err := answers.Decode(&a); err != nil || a.None != none || !none && a.Error != "" {
			t.Errorf("answer %d: %+v, %v", i, a, err)
		}
	}
	if m, err := mountAt(other); err != nil || m == nil {
		t.Errorf("the other mount: %v, %v", m, err)
	}
}
