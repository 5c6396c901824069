package integration

import (
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

// A worker uses a mount in all the ways that make calls of the host, and measures how long each takes.
type hangWorker struct {
	t       *testing.T
	dir     string
	prefix  string // of the names that it makes
	longest time.Duration
	wrong   []string
}

// use makes one round of calls; each may fail, but with EIO, or EROFS from a host that says so.
func (w *hangWorker) use(round int) {
	call := func(what string, do func() error) error {
		began := time.Now()
		err := do()
		w.longest = max(w.longest, time.Since(began))
		if err != nil && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EROFS) {
			w.wrong = append(w.wrong, fmt.Sprintf("%s: %v", what, err))
		}
		return err
	}
	name := filepath.Join(w.dir, fmt.Sprintf("%sfile %d", w.prefix, round))
	var f *os.File
	if call("create", func() (err error) { f, err = os.Create(name); return err }) != nil {
		return
	}
	call("write", func() error { _, err := f.Write(make([]byte, 300_000)); return err })
	call("fsync", func() error { return f.Sync() })
	call("close", func() error { return f.Close() })
	call("mkdir", func() error {
		if err := os.Mkdir(name+".d", 0o777); err != nil {
			return err
		}
		return nil
	})
	call("readdir", func() error { _, err := os.ReadDir(w.dir); return err })
	call("read", func() error { _, err := os.ReadFile(name); return err })
	call("statfs", func() error { var st syscall.Statfs_t; return syscall.Statfs(w.dir, &st) })
}

const (
	hangTimeout = 500 * time.Millisecond // iotimeout of these tests
	hangGrace   = time.Second            // what a call may take beyond that
	umountGrace = 2 * time.Second        // what an unmount may take beyond that
)

// useUntilGone has several workers use the mount until it is gone.
func useUntilGone(t *testing.T, dir string) {
	t.Helper()
	const workers = 3
	var wg sync.WaitGroup
	all := make([]hangWorker, workers)
	end := time.Now().Add(patience)
	for i := range all {
		all[i] = hangWorker{t: t, dir: dir}
		wg.Go(func() {
			for round := i; time.Now().Before(end); round += workers {
				all[i].use(round)
				if got, err := os.ReadDir(dir); errors.Is(err, syscall.EIO) || len(got) > 200 {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, w := range all {
		if w.longest > hangTimeout+hangGrace {
			t.Errorf("a call took %v", w.longest)
		}
		for _, line := range w.wrong {
			t.Error(line)
		}
	}
}

// umountSoon unmounts what hangs, and returns what that says and its exit code.
func umountSoon(t *testing.T, dir string) (out string, code int) {
	t.Helper()
	began := time.Now()
	out, code = runCode(t, binary(t), "umount", dir)
	if took := time.Since(began); took > hangTimeout+umountGrace {
		t.Errorf("umount took %v", took)
	}
	if code != 0 && (code != 32 || keptIn.FindStringSubmatch(out) == nil) {
		t.Errorf("umount: exit code %d: %s", code, out)
	}
	if strings.Contains(out, "LOST") {
		t.Log(out) // what was made in memory, and needs a block of the medium that was never read
	}
	if m := keptIn.FindStringSubmatch(out); m != nil {
		os.Remove(m[1])
	}
	forgetMount(dir)
	return out, code
}

// mountOnHost mounts the image of a host in the background.
func mountOnHost(t *testing.T, h *host) (dir string) {
	t.Helper()
	dir = newDir(t)
	if out, code := runCode(t, binary(t), "mount", "-o", "iotimeout="+hangTimeout.String(), h.img, dir); code != 0 {
		t.Fatalf("mount: %s", out)
	}
	noteMount(dir, 0)
	return dir
}

// hangCalls are the calls of the host at which it begins to hang, or to fail: each of the first few, and
// then some.
func hangCalls() []int {
	if testing.Short() {
		return []int{1, 3, 10}
	}
	return []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50}
}

// Whatever call of the host hangs, no call of ours outlives its deadline, and the unmount works.
func TestHungHost(t *testing.T) {
	for _, k := range hangCalls() {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			dir := mountOnHost(t, h)
			h.hang(k)
			useUntilGone(t, dir)
			if st := statusOf(t, dir); st.State == "present" {
				t.Errorf("%+v", st)
			}
			umountSoon(t, dir)
			h.heal()
		})
	}
}

// A host that hangs while nobody uses the mount is noticed, and when it answers again, all goes on.
func TestHungHostComesBack(t *testing.T) {
	h := newHost(t)
	dir := mountOnHost(t, h)
	text := strings.Repeat("words\n", 1000)
	writeSynced(t, filepath.Join(dir, "file"), text)
	f, err := os.Open(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		h.hang(1)
		await(t, dir, "gone", isGone)
		if _, err := f.ReadAt(make([]byte, 10), 0); !errors.Is(err, syscall.EIO) {
			t.Errorf("read: %v", err)
		}
		h.heal()
		await(t, dir, "back", isPresent)
		got := make([]byte, len(text))
		if _, err := f.ReadAt(got, 0); err != nil || string(got) != text {
			t.Errorf("read: %v", err)
		}
	}
	f.Close()
	if out, code := umountSoon(t, dir); code != 0 {
		t.Error(out)
	}
}

// Unmounted while the host hangs and nothing is known of it yet.
func TestUmountOfHungHost(t *testing.T) {
	h := newHost(t)
	dir := mountOnHost(t, h)
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("words\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	h.hang(1)
	if out, code := umountSoon(t, dir); code != 32 {
		t.Errorf("exit code %d: %s", code, out)
	}
	h.heal()
}

// Whatever errno the host answers with, and from whatever call on, no caller sees another than EIO, or
// EROFS, and the unmount works.
func TestHostErrnos(t *testing.T) {
	for _, errno := range hostErrnos {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			for _, k := range hangCalls() {
				dir := mountOnHost(t, h)
				h.fail(k, errno)
				worker := hangWorker{t: t, dir: dir, prefix: fmt.Sprintf("%d ", k)}
				for round := range 4 {
					worker.use(round)
				}
				for _, line := range worker.wrong {
					t.Errorf("from call %d on: %s", k, line)
				}
				if worker.longest > hangTimeout+hangGrace {
					t.Errorf("from call %d on: a call took %v", k, worker.longest)
				}
				umountSoon(t, dir)
				h.heal()
				if t.Failed() {
					return
				}
			}
		})
	}
}
