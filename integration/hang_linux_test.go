package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hostErrnos are what hosts answer with whose medium is gone, or whose server is.
var hostErrnos = []syscall.Errno{
	syscall.EIO, syscall.ENXIO, syscall.ENODEV, syscall.ENOMEDIUM, syscall.ESTALE, syscall.ENOTCONN,
	syscall.EREMOTEIO, syscall.ESHUTDOWN, syscall.EBADF, syscall.ETIMEDOUT, syscall.EROFS,
}

const (
	hangTimeout = 500 * time.Millisecond // iotimeout where the host hangs
	failTimeout = 20 * time.Second       // where it does not
	callLimit   = hangTimeout + time.Second
	umountLimit = hangTimeout + 2*time.Second
)

// hangCalls are the calls of the host, counted from the mount, at which it begins to hang, or to fail.
func hangCalls() (calls []int) {
	if testing.Short() {
		return []int{1, 3, 10}
	}
	for k := range 50 {
		calls = append(calls, k+1)
	}
	return calls
}

// hangMount is a mount of the image on a host, and what was written there and acknowledged.
type hangMount struct {
	t     *testing.T
	h     *host
	dir   string
	pid   int // of the server
	mu    sync.Mutex
	acked map[string][]byte
}

// mountOnHost mounts the image of a host in the background.
func mountOnHost(t *testing.T, h *host, timeout time.Duration) *hangMount {
	t.Helper()
	m := &hangMount{t: t, h: h, dir: newDir(t), acked: map[string][]byte{}}
	if out, code := runCode(t, binary(t), "mount", "-o", "iotimeout="+timeout.String(), h.img, m.dir); code != 0 {
		t.Fatalf("mount: %s", out)
	}
	m.pid = statusOf(t, m.dir).PID
	noteMount(m.dir, m.pid)
	return m
}

// use makes one round of calls, in all the ways that make calls of the host. Each may fail, but with EIO,
// or with EROFS where the host says so, and in time. The content is of the name and the version, and large enough
// now and then to be acknowledged before the host has it.
func (m *hangMount) use(name string, version int) {
	lost := stallsOf(m.pid, m.h.pid)
	call := func(what string, do func() error) error {
		began := time.Now()
		err := do()
		if took := time.Since(began); took > callLimit {
			within(m.t, what, took, callLimit, lost.lap())
		}
		if err != nil && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EROFS) {
			m.t.Errorf("%s: %v", what, err)
		}
		return err
	}
	path := filepath.Join(m.dir, name)
	line := fmt.Sprintf("%s, version %d\n", name, version)
	size := 300_000
	if version%4 == 1 {
		size = 1_200_000
	}
	content := bytes.Repeat([]byte(line), size/len(line))
	m.acknowledge(name, nil)
	var f *os.File
	if call("create", func() (err error) { f, err = os.Create(path); return err }) != nil {
		return
	}
	if call("write", func() error { _, err := f.Write(content); return err }) == nil {
		m.acknowledge(name, content)
	}
	call("fsync", func() error { return f.Sync() })
	call("close", func() error { return f.Close() })
	made := fmt.Sprintf("%s.%d", path, version)
	if call("mkdir", func() error { return os.Mkdir(made, 0o777) }) == nil {
		call("rmdir", func() error { return syscall.Rmdir(made) })
	}
	call("readdir", func() error { _, err := os.ReadDir(m.dir); return err })
	call("read", func() error { _, err := os.ReadFile(path); return err })
	call("statfs", func() error { var st syscall.Statfs_t; return syscall.Statfs(m.dir, &st) })
}

// acknowledge notes what a file holds; nil where nobody can tell.
func (m *hangMount) acknowledge(name string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if content == nil {
		delete(m.acked, name)
	} else {
		m.acked[name] = content
	}
}

// useUntilGone has several callers use the mount until it is gone. That it returns shows that none of them
// hangs in the kernel.
func (m *hangMount) useUntilGone() {
	m.t.Helper()
	var wg sync.WaitGroup
	end := time.Now().Add(patience)
	for _, caller := range []string{"a", "b", "c"} {
		wg.Go(func() {
			for round := 0; time.Now().Before(end); round++ {
				m.use(fmt.Sprint(caller, round%50), round)
				if _, err := os.ReadDir(m.dir); errors.Is(err, syscall.EIO) {
					return
				}
			}
		})
	}
	wg.Wait()
}

// umount unmounts in time, whatever the host does. What is not on it is kept, and nothing is lost.
func (m *hangMount) umount() (out string, code int) {
	m.t.Helper()
	lost := stallsOf(m.pid, m.h.pid)
	began := time.Now()
	stop := lost.follow()
	out, code = runCode(m.t, binary(m.t), "umount", m.dir)
	within(m.t, "umount", time.Since(began), umountLimit, stop())
	if code != 0 && (code != 32 || keptIn.FindStringSubmatch(out) == nil) || strings.Contains(out, "LOST") {
		m.t.Errorf("umount: exit code %d: %s", code, out)
	}
	forgetMount(m.dir)
	return out, code
}

// mustHaveAll mounts the image again, with the host in order, and finds everything that was acknowledged.
func (m *hangMount) mustHaveAll() {
	m.t.Helper()
	m.awaitDeath()
	dir := mountImage(m.t, m.h.img)
	m.compare(dir)
	umount(m.t, dir)
	fsck(m.t, m.h.backing)
}

// awaitDeath waits until nothing is left of the server. Threads of it that hung keep the image open, and
// locked, until the host lets them go.
func (m *hangMount) awaitDeath() {
	m.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", m.pid))
		if err != nil || len(threads) == 0 {
			return
		}
		// Nobody may be there to bury it.
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.pid))
		if len(threads) == 1 && bytes.Contains(stat, []byte(") Z ")) {
			return
		}
	}
	m.t.Error("the server does not end")
}

// compare looks for what was acknowledged in a later mount.
func (m *hangMount) compare(dir string) {
	m.t.Helper()
	for name, want := range m.acked {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			m.t.Errorf("%s: %d bytes read otherwise, %v", name, len(got), err)
		}
	}
}

// Whatever call of the host hangs, no call of ours outlives its deadline, the unmount works, and the next
// mount has everything that was acknowledged.
func TestHungHost(t *testing.T) {
	sideBySide(t, 4, hangCalls(), func(t *testing.T, k int) {
		h := newHostOf(t, 32<<20)
		m := mountOnHost(t, h, hangTimeout)
		h.hang(k)
		m.useUntilGone()
		if st := statusOf(t, m.dir); st.State == "present" {
			t.Errorf("%+v", st)
		}
		m.umount()
		h.heal()
		m.mustHaveAll()
	})
}

// A host that hangs while nobody uses the mount is noticed, and when it answers again, all goes on.
func TestHungHostComesBack(t *testing.T) {
	h := newHost(t)
	m := mountOnHost(t, h, hangTimeout)
	text := strings.Repeat("words\n", 1000)
	writeSynced(t, filepath.Join(m.dir, "file"), text)
	f, err := os.Open(filepath.Join(m.dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		h.hang(1)
		await(t, m.dir, "gone", isGone)
		if _, err := f.ReadAt(make([]byte, 10), 0); !errors.Is(err, syscall.EIO) {
			t.Errorf("read: %v", err)
		}
		h.heal()
		await(t, m.dir, "back", isPresent)
		got := make([]byte, len(text))
		if _, err := f.ReadAt(got, 0); err != nil || string(got) != text {
			t.Errorf("read: %v", err)
		}
	}
	f.Close()
	if out, code := m.umount(); code != 0 {
		t.Error(out)
	}
}

// Unmounted while the host hangs and nothing is known of it yet, and while what came back hangs in the
// middle of being verified.
func TestUmountOfHungHost(t *testing.T) {
	for _, c := range []struct {
		state string
		hang  func(m *hangMount)
	}{
		{"present", func(m *hangMount) { m.h.hang(1) }},
		{"gone", func(m *hangMount) {
			m.h.hang(1)
			await(t, m.dir, "gone", isGone)
		}},
		{"verifying", func(m *hangMount) {
			m.h.fail(1, syscall.ENODEV)
			await(t, m.dir, "gone", isGone)
			m.h.hang(6) // opened and looked at, but not compared
			await(t, m.dir, "being verified", func(st mediumStatus) bool { return st.State == "verifying" })
		}},
	} {
		t.Run(c.state, func(t *testing.T) {
			h := newHost(t)
			m := mountOnHost(t, h, hangTimeout)
			m.acked["file"] = []byte("words\n")
			if err := os.WriteFile(filepath.Join(m.dir, "file"), m.acked["file"], 0o666); err != nil {
				t.Fatal(err)
			}
			c.hang(m)
			if out, code := m.umount(); code != 32 {
				t.Errorf("exit code %d: %s", code, out)
			}
			h.heal()
			m.mustHaveAll()
		})
	}
}

// Whatever errno the host answers with, and from whatever call on, no caller sees another than EIO, or
// EROFS, the unmount works, and the next mount has everything that was acknowledged.
func TestHostErrnos(t *testing.T) {
	sideBySide(t, 3, hostErrnos, func(t *testing.T, errno syscall.Errno) {
		h := newHost(t)
		m := mountOnHost(t, h, failTimeout)
		for _, k := range hangCalls() {
			h.fail(k, errno)
			for i, name := range []string{"a", "b", "c", "d"} {
				m.use(name, 4*k+i)
			}
			m.umount()
			h.heal()
			m.awaitDeath()
			before := m
			m = mountOnHost(t, h, failTimeout)
			before.compare(m.dir)
			if t.Failed() {
				t.Fatalf("the host failed from call %d on", k)
			}
		}
		m.umount()
		m.mustHaveAll()
	})
}
