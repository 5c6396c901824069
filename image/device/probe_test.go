package device_test

import (
	"errors"
	"os"
	"sync"
	"testing"

	"fatvol/image/device"
)

func isLost(err error) bool {
	var l interface{ Lost() bool }
	return errors.As(err, &l) && l.Lost()
}

func TestProbe(t *testing.T) {
	const size = 64 << 10
	for _, c := range []struct {
		name string
		do   func(t *testing.T, path string) error
		want error
	}{
		{"nothing", func(*testing.T, string) error { return nil }, nil},
		{"deleted", func(_ *testing.T, p string) error { return os.Remove(p) }, device.ErrDeleted},
		{"moved", func(_ *testing.T, p string) error { return os.Rename(p, p+".moved") }, nil},
		{"replaced", func(t *testing.T, p string) error { return os.Rename(newFile(t, size), p) }, device.ErrDeleted},
		{"another name left", func(_ *testing.T, p string) error {
			return errors.Join(os.Link(p, p+".link"), os.Remove(p))
		}, nil},
		{"shorter by a byte", func(_ *testing.T, p string) error { return os.Truncate(p, size-1) }, device.ErrShrank},
		{"empty", func(_ *testing.T, p string) error { return os.Truncate(p, 0) }, device.ErrShrank},
		{"longer", func(_ *testing.T, p string) error { return os.Truncate(p, 2*size) }, nil},
		{"no permissions", func(_ *testing.T, p string) error { return os.Chmod(p, 0) }, nil},
	} {
		for _, writable := range []bool{true, false} {
			for _, before := range []bool{true, false} { // is the second descriptor open already?
				path := newFile(t, size)
				h := openHost(t, path, writable)
				if before {
					if err := h.Probe(); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.do(t, path); err != nil {
					t.Fatal(err)
				}
				err := h.Probe()
				if !errors.Is(err, c.want) || isLost(err) != (c.want != nil) {
					t.Errorf("%s, writable %v, probed before %v: %v, want %v", c.name, writable, before, err, c.want)
				}
			}
		}
	}
}

func TestProbeOfShortFile(t *testing.T) {
	for _, size := range []int64{1, 511, 512, 4095, 4096, 4097} {
		h := openHost(t, newFile(t, size), true)
		for range 2 {
			if err := h.Probe(); err != nil {
				t.Errorf("file of %d bytes: %v", size, err)
			}
		}
	}
}

func TestProbeClosed(t *testing.T) {
	h := openHost(t, newFile(t, 4096), true)
	h.Close()
	if err := h.Probe(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("probe of a closed host: %v", err)
	}
}

// TestProbeWhileClosing has first probes race with one another and with Close. No descriptor stays.
func TestProbeWhileClosing(t *testing.T) {
	path := newFile(t, 8192)
	before := openDescriptors(t)
	for range 200 {
		h, err := device.OpenHost(path, true)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := h.Probe(); err != nil && !errors.Is(err, os.ErrClosed) {
					t.Error(err)
				}
			})
		}
		wg.Go(func() { h.Close() })
		wg.Wait()
	}
	if after := openDescriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}
