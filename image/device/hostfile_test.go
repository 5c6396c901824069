package device_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fatvol/image/device"
)

func TestOpenHostRefuses(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		want       error
	}{
		{"missing", filepath.Join(dir, "missing"), fs.ErrNotExist},
		{"directory", dir, device.ErrNotStorage},
		{"fifo", fifo, device.ErrNotStorage},
		{"character device", "/dev/null", device.ErrNotStorage},
	} {
		for _, writable := range []bool{false, true} {
			h, err := device.OpenHost(c.path, writable)
			if err == nil {
				h.Close()
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("%s, writable %v: %v, want %v and the path", c.name, writable, err, c.want)
			}
			if strings.Count(err.Error(), c.path) != 1 {
				t.Errorf("%s: the path is not in %q just once", c.name, err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("OpenHost made a file")
	}
}

func TestHostKeepsContents(t *testing.T) {
	path := newFile(t, 100)
	if err := os.WriteFile(path, []byte(strings.Repeat("x", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	h := openHost(t, path, true)
	if h.Size() != 100 || !h.Writable() || h.IsDisk() || h.Path() != path || h.SectorSize() != 0 {
		t.Errorf("size %d, writable %v, disk %v", h.Size(), h.Writable(), h.IsDisk())
	}
	if b, _ := os.ReadFile(path); string(b) != strings.Repeat("x", 100) {
		t.Error("OpenHost changed the file")
	}
	if _, err := h.WriteAt([]byte("ab"), 99); !errors.Is(err, device.ErrBounds) {
		t.Errorf("write across the end: %v", err)
	}
	if st, _ := h.Stat(); st.Size() != 100 {
		t.Errorf("the file has %d bytes now", st.Size())
	}
}

func TestHostReadOnly(t *testing.T) {
	h := openHost(t, newFile(t, 1<<20), false)
	if _, err := h.WriteAt([]byte{1}, 0); !errors.Is(err, device.ErrReadOnly) {
		t.Errorf("WriteAt: %v", err)
	}
	if err := h.ZeroAt(0, 1<<20); !errors.Is(err, device.ErrReadOnly) {
		t.Errorf("ZeroAt: %v", err)
	}
	if err := h.DiscardAt(0, 1<<20); !errors.Is(err, device.ErrReadOnly) {
		t.Errorf("DiscardAt: %v", err)
	}
	if err := h.Sync(); err != nil {
		t.Errorf("Sync: %v", err)
	}
}

// TestHostShrunk reads a file that became shorter: an error which says where it ends, no zeros.
func TestHostShrunk(t *testing.T) {
	path := newFile(t, 8192)
	h := openHost(t, path, true)
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{4096, 5000, 8000} {
		n, err := h.ReadAt(make([]byte, 100), off)
		if off+100 <= 5000 {
			if err != nil {
				t.Errorf("read at %d: %v", off, err)
			}
			continue
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || n != 0 || !strings.Contains(err.Error(), path) {
			t.Errorf("read at %d = %d, %v", off, n, err)
		}
	}
	n, err := h.ReadAt(make([]byte, 2000), 4000)
	if n != 1000 || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "ends at 5000") {
		t.Errorf("read across the end = %d, %v", n, err)
	}
}

func TestHostClosed(t *testing.T) {
	h := openHost(t, newFile(t, 4096), true)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	_, rerr := h.ReadAt(make([]byte, 1), 0)
	_, werr := h.WriteAt(make([]byte, 1), 0)
	for what, err := range map[string]error{
		"read": rerr, "write": werr, "sync": h.Sync(), "zero": h.ZeroAt(0, 4096), "close": h.Close(),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s of a closed host: %v", what, err)
		}
	}
}

func TestIsWriteProtected(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EROFS: true, syscall.EACCES: true, syscall.EPERM: true,
		syscall.EBUSY: false, syscall.ENOENT: false, syscall.EIO: false,
	} {
		if got := device.IsWriteProtected(&fs.PathError{Err: err}); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// TestHostZeroAndDiscard checks lengths around what is written and what the host is asked for.
func TestHostZeroAndDiscard(t *testing.T) {
	const size = 1 << 20
	path := newFile(t, size)
	h := openHost(t, path, true)
	for _, r := range []struct{ off, n int64 }{
		{0, 0}, {1, 1}, {0, size}, {4096, 64 << 10}, {4097, 64<<10 + 1}, {511, 300_000}, {size - 1, 1},
	} {
		for _, op := range []string{"zero", "discard"} {
			fill := make([]byte, size)
			for i := range fill {
				fill[i] = 0xff
			}
			if _, err := h.WriteAt(fill, 0); err != nil {
				t.Fatal(err)
			}
			var err error
			if op == "zero" {
				err = h.ZeroAt(r.off, r.n)
			} else if err = h.DiscardAt(r.off, r.n); errors.Is(err, errors.ErrUnsupported) {
				continue
			}
			if err != nil {
				t.Fatalf("%s of %d at %d: %v", op, r.n, r.off, err)
			}
			got, _ := os.ReadFile(path)
			for i, b := range got {
				inside := int64(i) >= r.off && int64(i) < r.off+r.n
				if !inside && b != 0xff || inside && b != 0 && op == "zero" {
					t.Fatalf("%s of %d at %d: byte %d is %#x", op, r.n, r.off, i, b)
				}
			}
			if len(got) != size {
				t.Fatalf("%s changed the length to %d", op, len(got))
			}
		}
	}
}
