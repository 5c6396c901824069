package device_test

import (
	"bytes"
	"errors"
	"math"
	"syscall"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
)

func TestNewSectionBounds(t *testing.T) {
	m := device.NewMem(1000)
	for _, c := range []struct {
		off, n int64
		ok     bool
	}{
		{0, 1000, true}, {0, 0, true}, {1000, 0, true}, {10, 990, true},
		{10, 991, false}, {-1, 10, false}, {0, -1, false}, {1001, 0, false},
		{math.MaxInt64, 1, false}, {1, math.MaxInt64, false},
	} {
		s, err := device.NewSection(m, c.off, c.n)
		if (err == nil) != c.ok || (!c.ok && !errors.Is(err, device.ErrBounds)) {
			t.Errorf("NewSection(%d, %d): %v", c.off, c.n, err)
		}
		if c.ok && s.Size() != c.n {
			t.Errorf("NewSection(%d, %d).Size() = %d", c.off, c.n, s.Size())
		}
	}
}

// TestSectionTouchesNothingElse fills a section of a section and looks at what is around it.
func TestSectionTouchesNothingElse(t *testing.T) {
	m := device.NewMem(4000)
	if _, err := m.WriteAt(bytes.Repeat([]byte{0xaa}, 4000), 0); err != nil {
		t.Fatal(err)
	}
	outer, err := device.NewSection(m, 500, 3000)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := device.NewSection(outer, 500, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inner.WriteAt(bytes.Repeat([]byte{0x55}, 1000), 0); err != nil {
		t.Fatal(err)
	}
	if err := device.ZeroAt(inner, 100, 900); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{999, 1000, -1} {
		if _, err := inner.WriteAt([]byte{1, 2}, off); !errors.Is(err, device.ErrBounds) {
			t.Errorf("write at %d of 1000: %v", off, err)
		}
	}
	want := bytes.Repeat([]byte{0xaa}, 4000)
	copy(want[1000:], bytes.Repeat([]byte{0x55}, 100))
	clear(want[1100:2000])
	got := make([]byte, 4000)
	if _, err := m.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("bytes around the section changed (%v)", err)
	}
}

// TestWrappersForward checks that sections and the read-only wrapper pass on what they should.
func TestWrappersForward(t *testing.T) {
	f := faultdev.New(device.NewMem(1000))
	s, err := device.NewSection(f, 100, 500)
	if err != nil {
		t.Fatal(err)
	}
	r := device.ReadOnly(s)
	for _, d := range []device.Device{s, r} {
		if err := device.Check(d); err != nil {
			t.Errorf("Check: %v", err)
		}
	}
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	if err := device.ZeroAt(s, 0, 10); err != nil {
		t.Error(err)
	}
	if err := device.DiscardAt(s, 0, 10); err != nil {
		t.Error(err)
	}
	if c := f.Counts(); c.Sync != 1 || c.Zero != 1 || c.Discard != 1 || c.Write != 0 {
		t.Errorf("calls below the section: %+v", c)
	}
	f.Vanish(syscall.ENODEV)
	for _, d := range []device.Device{s, r} {
		if err := device.Check(d); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("Check of a device that is gone: %v", err)
		}
	}
	if err := s.Sync(); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("Sync of a device that is gone: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	f := faultdev.New(device.NewMem(1000))
	r := device.ReadOnly(f)
	if device.ReadOnly(r) != r {
		t.Error("a read-only device was wrapped again")
	}
	if _, err := r.WriteAt([]byte{1}, 0); !errors.Is(err, device.ErrReadOnly) {
		t.Errorf("WriteAt: %v", err)
	}
	if err := device.ZeroAt(r, 0, 1); !errors.Is(err, device.ErrReadOnly) {
		t.Errorf("ZeroAt: %v", err)
	}
	if err := device.DiscardAt(r, 0, 1); !errors.Is(err, device.ErrReadOnly) {
		t.Errorf("DiscardAt: %v", err)
	}
	if err := r.Sync(); err != nil {
		t.Errorf("Sync: %v", err)
	}
	if _, err := r.ReadAt(make([]byte, 10), 0); err != nil {
		t.Errorf("ReadAt: %v", err)
	}
	if c := f.Counts(); c.Changes() != 0 {
		t.Errorf("changes reached the device: %+v", c)
	}
}
