package device_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
)

// readsOf returns how many reads a block device has done.
func readsOf(t *testing.T, dev string) (reads int) {
	t.Helper()
	b, err := os.ReadFile("/sys/block/" + filepath.Base(dev) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(b), &reads); err != nil {
		t.Fatal(err)
	}
	return reads
}

// TestProbeReadsTheMedium counts the reads that arrive at the device under the host.
func TestProbeReadsTheMedium(t *testing.T) {
	for name, c := range map[string]struct{ mkfs, options string }{
		"direct":     {"", "defaults"},
		"journalled": {"", "data=journal"}, // takes O_DIRECT, and reads through the cache
	} {
		t.Run(name, func(t *testing.T) {
			needRoot(t, "mkfs.ext4", "losetup")
			fs := newFile(t, 24<<20)
			run(t, "mkfs.ext4", "-q", fs)
			dev := loopOf(t, fs)
			dir := mountTemp(t, "ext4", dev, c.options)
			path := filepath.Join(dir, "image")
			if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			h := openHost(t, path, true)
			if err := h.Sync(); err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				before := readsOf(t, dev)
				if err := h.Probe(); err != nil {
					t.Fatal(err)
				}
				if readsOf(t, dev) == before {
					t.Errorf("probe %d did not reach the device", i)
				}
			}
			h.Close()
		})
	}
}

// TestProbeWhereDirectIsRefused runs on hosts of memory alone.
func TestProbeWhereDirectIsRefused(t *testing.T) {
	for _, fstype := range []string{"tmpfs", "ramfs"} {
		path := filepath.Join(mountTemp(t, fstype, "none", "mode=0700"), "image")
		if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
			t.Fatal(err)
		}
		h := openHost(t, path, true)
		for range 2 {
			if err := h.Probe(); err != nil {
				t.Errorf("%s: %v", fstype, err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := h.Probe(); !errors.Is(err, device.ErrDeleted) {
			t.Errorf("%s: deleted: %v", fstype, err)
		}
		h.Close()
	}
}

func TestHostReadOnlyNow(t *testing.T) {
	dir := mountTemp(t, "tmpfs", "none", "size=1m")
	path := filepath.Join(dir, "image")
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	h := openHost(t, path, false)
	for _, option := range []string{"rw", "ro", "rw"} {
		run(t, "mount", "-o", "remount,"+option, dir)
		if ro, err := h.HostReadOnly(); err != nil || ro != (option == "ro") {
			t.Errorf("remounted %s: read-only %v, %v", option, ro, err)
		}
	}
	h.Close()
	if _, err := h.HostReadOnly(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	dev := openHost(t, loopOf(t, newFile(t, 1<<20), "--read-only"), false)
	if ro, err := dev.HostReadOnly(); err != nil || !ro {
		t.Errorf("write-protected disk: read-only %v, %v", ro, err)
	}
}

// TestReadNoWait reads what is cached, and only that, whoever says what is.
func TestReadNoWait(t *testing.T) {
	t.Run("cachestat", func(t *testing.T) { testReadNoWait(t, func(*device.Host) {}) })
	t.Run("mincore", func(t *testing.T) { testReadNoWait(t, device.ForgetCachestat) })
}

func testReadNoWait(t *testing.T, prepare func(*device.Host)) {
	path := newFile(t, 0)
	data := make([]byte, 1<<20)
	rand.Read(data)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	h := openHost(t, path, true)
	prepare(h)
	if err := h.Sync(); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10000)
	if done, _ := h.ReadNoWait(p, 0); !done {
		t.Skip("the host of the temporary directory, or the kernel, does not say what it has cached")
	}
	for _, r := range []struct{ off, n int }{{0, 1}, {1, 4096}, {4095, 2}, {5000, 10000}, {len(data) - 3, 3}} {
		p := make([]byte, r.n)
		done, err := h.ReadNoWait(p, int64(r.off))
		if err != nil || !done || !bytes.Equal(p, data[r.off:r.off+r.n]) {
			t.Errorf("%d bytes at %d: done %v, %v", r.n, r.off, done, err)
		}
	}
	if _, err := h.ReadNoWait(p, int64(len(data))-1); !errors.Is(err, device.ErrBounds) {
		t.Errorf("beyond the end: %v", err)
	}

	// With a page missing, nothing is read, and nothing is begun to be read.
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, int64(len(data)), unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if done, err := h.ReadNoWait(p, 8192); done || err != nil {
		t.Errorf("not cached: done %v, %v", done, err)
	}
	var s unix.Cachestat_t
	if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Len: uint64(len(data))}, &s, 0); err != nil || s.Cache != 0 {
		t.Errorf("%d pages are cached: %v", s.Cache, err)
	}
}

func BenchmarkHostRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	h, err := device.OpenHost(path, true)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	p := make([]byte, 4096)
	b.Run("ReadAt", func(b *testing.B) {
		for i := range b.N {
			if _, err := h.ReadAt(p, int64(i%200)*4096); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ReadNoWait", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			if done, err := h.ReadNoWait(p, int64(i%200)*4096); err != nil || !done {
				b.Skip("nothing is read without waiting here")
			}
		}
	})
	b.Run("Probe", func(b *testing.B) {
		for range b.N {
			if err := h.Probe(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestWriteBack looks at what is dirty in the host's cache.
func TestWriteBack(t *testing.T) {
	const size = 4 << 20
	path := newFile(t, size)
	h := openHost(t, path, true)
	if _, err := h.WriteAt(bytes.Repeat([]byte{1}, size), 0); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dirty := func(off, n int64) uint64 {
		var s unix.Cachestat_t
		if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &s, 0); err != nil {
			t.Skip(err)
		}
		return s.Dirty + s.Writeback
	}
	if dirty(0, size) == 0 {
		t.Skip("the host caches no writes")
	}
	if err := h.WriteBack(1<<20, 1<<20); err != nil {
		t.Fatal(err)
	}
	if n := dirty(1<<20, 1<<20); n != 0 {
		t.Errorf("%d pages are dirty after WriteBack", n)
	}
	if err := h.WriteBack(size, 1); !errors.Is(err, device.ErrBounds) {
		t.Errorf("beyond the end: %v", err)
	}
}

// TestMincoreOfAnother: who neither owns a file nor may write to it is told by mincore that all of it is cached.
// That is found out, and nothing is read without waiting.
func TestMincoreOfAnother(t *testing.T) {
	needRoot(t)
	path := newFile(t, 1<<20)
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	h := openHost(t, path, false)
	device.ForgetCachestat(h)
	p := make([]byte, 4096)
	if _, err := h.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		runtime.LockOSThread() // it ends with the goroutine
		_ = unix.Setfsuid(65534)
		ok, _ := h.ReadNoWait(p, 0)
		done <- ok
	}()
	if <-done {
		t.Error("it was read without waiting")
	}
}

// TestReadNoWaitWhileClosing: a host may be closed at any time.
func TestReadNoWaitWhileClosing(t *testing.T) {
	path := newFile(t, 1<<20)
	for range 50 {
		h, err := device.OpenHost(path, true)
		if err != nil {
			t.Fatal(err)
		}
		device.ForgetCachestat(h)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				p := make([]byte, 8192)
				for i := range int64(20) {
					if _, err := h.ReadNoWait(p, i*8192); err != nil {
						t.Error(err)
					}
				}
			})
		}
		h.Close()
		wg.Wait()
		if done, _ := h.ReadNoWait(make([]byte, 1), 0); done {
			t.Fatal("a closed host was read")
		}
	}
}
