package device_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
)

// devices makes one of each kind of device, of size zero bytes that read as zeros.
var devices = map[string]func(t *testing.T, size int64) device.Device{
	"mem": func(t *testing.T, size int64) device.Device { return device.NewMem(size) },
	"host": func(t *testing.T, size int64) device.Device {
		return openHost(t, newFile(t, size), true)
	},
	"section": func(t *testing.T, size int64) device.Device {
		d, err := device.NewSection(device.NewMem(size+1500), 700, size)
		if err != nil {
			t.Fatal(err)
		}
		return d
	},
	"faultdev": func(t *testing.T, size int64) device.Device { return faultdev.New(device.NewMem(size)) },
	"recorder": func(t *testing.T, size int64) device.Device { return faultdev.NewRecorder(device.NewMem(size)) },
	"crash":    func(t *testing.T, size int64) device.Device { return faultdev.NewCrash(device.NewMem(size)) },
	"plain":    func(t *testing.T, size int64) device.Device { return plain{device.NewMem(size)} },
}

// plain hides everything but the five methods of a Device.
type plain struct{ device.Device }

func newFile(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return path
}

func openHost(t *testing.T, path string, writable bool) *device.Host {
	t.Helper()
	h, err := device.OpenHost(path, writable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// TestModel compares each device with a slice of bytes over random operations.
func TestModel(t *testing.T) {
	const size = 300_000
	for name, open := range devices {
		t.Run(name, func(t *testing.T) {
			d := open(t, size)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			checkModel(t, d, make([]byte, size), rand.New(rand.NewPCG(seed, 0)), 400)
		})
	}
}

func checkModel(t *testing.T, d device.Device, model []byte, rng *rand.Rand, ops int) {
	t.Helper()
	size := int64(len(model))
	for i := range ops {
		off := rng.Int64N(size)
		n := min(rng.Int64N(100_000), size-off)
		if rng.IntN(2) == 0 {
			n = min(n, 2000)
		}
		p := make([]byte, n)
		switch op := rng.IntN(5); op {
		case 0, 1:
			if _, err := d.ReadAt(p, off); err != nil {
				t.Fatalf("operation %d: %v", i, err)
			}
			if !bytes.Equal(p, model[off:off+n]) {
				t.Fatalf("operation %d: %d bytes at %d differ", i, n, off)
			}
		case 2:
			for j := range p {
				p[j] = byte(rng.Uint32())
			}
			if m, err := d.WriteAt(p, off); err != nil || m != len(p) {
				t.Fatalf("operation %d: write %d, %v", i, m, err)
			}
			copy(model[off:], p)
		case 3:
			if err := device.ZeroAt(d, off, n); err != nil {
				t.Fatalf("operation %d: %v", i, err)
			}
			clear(model[off : off+n])
		case 4:
			if err := d.Sync(); err != nil {
				t.Fatalf("operation %d: %v", i, err)
			}
			// What a discard leaves is not defined, so it is overwritten.
			if err := device.DiscardAt(d, off, n); err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Fatalf("operation %d: %v", i, err)
			}
			if _, err := d.WriteAt(model[off:off+n], off); err != nil {
				t.Fatalf("operation %d: %v", i, err)
			}
		}
	}
	p := make([]byte, size)
	if _, err := d.ReadAt(p, 0); err != nil || !bytes.Equal(p, model) {
		t.Fatalf("in the end, contents differ (%v)", err)
	}
}

// TestBounds checks that every device refuses what lies outside of it, with numbers made to
// overflow, and that what is refused changes nothing.
func TestBounds(t *testing.T) {
	const size = 10_000
	const huge = math.MaxInt64
	cases := []struct {
		off, n int64
		ok     bool
	}{
		{0, size, true}, {size, 0, true}, {0, 0, true}, {size - 1, 1, true},
		{-1, 1, false}, {size, 1, false}, {size - 1, 2, false}, {size + 1, 0, false},
		{huge, 1, false}, {huge - 5, 10, false}, {math.MinInt64, 1, false}, {-1, 0, false},
	}
	wide := []struct{ off, n int64 }{ // lengths that only ZeroAt and DiscardAt can be given
		{0, huge}, {size - 1, huge}, {huge, huge}, {0, -1}, {5, math.MinInt64},
	}
	for name, open := range devices {
		t.Run(name, func(t *testing.T) {
			d := open(t, size)
			if d.Size() != size {
				t.Fatalf("Size() = %d", d.Size())
			}
			expect := func(op string, off, n int64, ok bool, err error) {
				t.Helper()
				if ok && err != nil && !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s(%d, %d): %v", op, off, n, err)
				}
				if !ok && !errors.Is(err, device.ErrBounds) {
					t.Errorf("%s(%d, %d) = %v, want ErrBounds", op, off, n, err)
				}
			}
			for _, c := range cases {
				_, err := d.ReadAt(make([]byte, c.n), c.off)
				expect("ReadAt", c.off, c.n, c.ok, err)
				_, err = d.WriteAt(make([]byte, c.n), c.off)
				expect("WriteAt", c.off, c.n, c.ok, err)
				expect("ZeroAt", c.off, c.n, c.ok, device.ZeroAt(d, c.off, c.n))
				if _, ok := d.(device.Discarder); ok {
					expect("DiscardAt", c.off, c.n, c.ok, device.DiscardAt(d, c.off, c.n))
				}
			}
			for _, c := range wide {
				expect("ZeroAt", c.off, c.n, false, device.ZeroAt(d, c.off, c.n))
				if _, ok := d.(device.Discarder); ok {
					expect("DiscardAt", c.off, c.n, false, device.DiscardAt(d, c.off, c.n))
				}
			}
		})
	}
}
