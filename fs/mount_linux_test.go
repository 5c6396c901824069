package fs

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// patience is how long a mount of a test may live before everybody who waits for it is let go.
const patience = 60 * time.Second

// fsck fails the test unless fsck.fat finds nothing to say about the device.
func fsck(t testing.TB, dev *device.Mem) {
	t.Helper()
	bin, err := exec.LookPath("fsck.fat")
	if err != nil {
		bin = "/usr/sbin/fsck.fat"
	}
	img := filepath.Join(t.TempDir(), "check.img")
	defer os.Remove(img)
	must(t, dev.WriteFile(img))
	if out, err := exec.Command(bin, "-n", img).CombinedOutput(); err != nil {
		t.Errorf("fsck.fat: %v\n%s", err, out)
	}
}

// A logBook is a log that the test reads.
type logBook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A mounted is a volume in memory, mounted for a test.
type mounted struct {
	*Server
	dir string
	vol *fat.Volume
	dev *device.Mem
	log *logBook

	once sync.Once
}

// A setup is what a test wants mounted.
type setup struct {
	size  int64    // 32 MiB if 0
	mkfs  []string // -F 16 if nil
	fat   fat.Options
	fs    Options
	dev   device.Device // if not nil, what the volume is on instead of a new device
	noisy bool          // errors in the log are expected
	// tune changes the file system before it is mounted.
	tune func(*fileSystem)
}

// mount mounts a volume and unmounts it at the test's end. The volume is checked then.
func mount(t testing.TB, c setup) *mounted {
	t.Helper()
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skipf("needs /dev/fuse: %v", err)
	} else {
		f.Close()
	}
	m := &mounted{dir: filepath.Join(t.TempDir(), "mnt"), log: new(logBook)}
	if err := os.Mkdir(m.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if c.size == 0 {
		c.size = 32 << 20
	}
	if c.mkfs == nil {
		c.mkfs = []string{"-F", "16"}
	}
	level := slog.LevelWarn
	if c.fs.Debug {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: level}))
	c.fat.Log, c.fs.Log = log, log
	dev := c.dev
	if dev == nil {
		m.dev = newDevice(t, c.size, c.mkfs...)
		dev = m.dev
	}
	vol, err := fat.Open(dev, c.fat)
	if err != nil {
		t.Fatal(err)
	}
	m.vol = vol
	if c.fs.UID == 0 && c.fs.GID == 0 {
		c.fs.UID, c.fs.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	}
	if m.Server, err = mountTuned(vol, m.dir, c.fs, c.tune); err != nil {
		vol.Close()
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(patience, func() {
		t.Errorf("the mount is still there after %v: aborted", patience)
		m.abort()
	})
	t.Cleanup(func() {
		m.unmount(t)
		watchdog.Stop()
		if m.dev != nil && !c.noisy {
			fsck(t, m.dev)
		}
		if s := m.log.String(); s != "" && (t.Failed() || !c.noisy) {
			t.Errorf("log of the mount:\n%s", s)
		}
	})
	m.sparePolls(t)
	return m
}

// abort takes the mount away, and lets go whoever waits for it.
func (m *mounted) abort() { unix.Unmount(m.dir, unix.MNT_FORCE|unix.MNT_DETACH) }

// sparePolls has the kernel learn that files cannot be polled. Go's runtime polls each file that it
// opens, and does so in a way that could wait for ever for a server in the same process.
func (m *mounted) sparePolls(t testing.TB) {
	t.Helper()
	fd, err := unix.Open(filepath.Join(m.dir, ".go-fuse-epoll-hack"), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, 0); err != unix.EINTR {
			break
		}
	}
}

// unmount unmounts and closes the volume, as the command does.
func (m *mounted) unmount(t testing.TB) {
	t.Helper()
	m.once.Do(func() {
		err := m.Unmount()
		for end := time.Now().Add(10 * time.Second); errors.Is(err, syscall.EBUSY) && time.Now().Before(end); {
			// A RELEASE that is still under way keeps a mount busy.
			time.Sleep(time.Millisecond)
			err = m.Unmount()
		}
		if err != nil {
			t.Errorf("unmount: %v", err)
			m.abort()
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done := make(chan struct{})
		go func() { m.Wait(); close(done) }()
		select {
		case <-done:
		case <-ctx.Done():
			t.Fatalf("still serving %v after the unmount", patience)
		}
		if err := m.vol.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func (m *mounted) path(name ...string) string {
	return filepath.Join(append([]string{m.dir}, name...)...)
}

// wantErrno fails the test unless err is what is wanted; 0 is no error.
func wantErrno(t testing.TB, what string, err error, want syscall.Errno) {
	t.Helper()
	if want == 0 && err == nil {
		return
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) || errno != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func write(t testing.TB, name, content string) {
	t.Helper()
	must(t, os.WriteFile(name, []byte(content), 0o666))
}

func wantContent(t testing.TB, name, want string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Error(err)
	} else if string(b) != want {
		t.Errorf("%s: %.60q, want %.60q", name, b, want)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// released waits for the ends of all open files, of which close(2) does not.
func (m *mounted) released(t testing.TB) {
	t.Helper()
	eventually(t, "all files are released", func() bool { return len(m.fs.handles.all()) == 0 })
}

// forgotten waits until the kernel has let go of all files that were removed.
func (m *mounted) forgotten(t testing.TB) {
	t.Helper()
	m.released(t)
	eventually(t, "the kernel forgets what was removed", func() bool { return m.fs.nodes.pins.Load() == 0 })
	m.fs.closing.Lock()
	m.fs.closing.Unlock()
}

// eventually waits for what happens soon without anybody saying so, as what follows a close(2) does.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(end) {
			t.Errorf("%s: not so after 10 s", what)
			return
		}
		time.Sleep(time.Millisecond)
	}
}
