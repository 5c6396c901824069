package fs

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The kernel is asked for awake processors once requests have been dense for some ticks, and told otherwise once they
// have not been: never for a single tick, and never twice the same.
func TestWakeup(t *testing.T) {
	const many, few = 2 * denseTick, denseTick - 1
	name := filepath.Join(t.TempDir(), "device")
	file, err := os.Create(name)
	must(t, err)
	w := &wakeup{file: file, wish: 2}
	said := func() (list []int32) {
		t.Helper()
		b, err := os.ReadFile(name)
		must(t, err)
		for ; len(b) >= 4; b = b[4:] {
			list = append(list, int32(binary.NativeEndian.Uint32(b)))
		}
		return list
	}
	for i, step := range []struct {
		requests uint64
		ticks    int
		said     []int32 // so far
	}{
		{few, 100, nil},
		{many, denseTicks - 1, nil},
		{few, 1, nil},
		{many, denseTicks - 1, nil},
		{many, 1, []int32{2}},
		{many, 100, []int32{2}},
		{few, sparseTicks - 1, []int32{2}},
		{many, 1, []int32{2}},
		{0, sparseTicks, []int32{2, noLatency}},
		{0, 100, []int32{2, noLatency}},
		{many, denseTicks, []int32{2, noLatency, 2}},
	} {
		for range step.ticks {
			w.tick(step.requests)
		}
		if got := said(); !slices.Equal(got, step.said) {
			t.Fatalf("step %d: the kernel was told %v, want %v", i, got, step.said)
		}
	}
	w.set(false)
	w.set(false)
	if got, want := said(), []int32{2, noLatency, 2, noLatency}; !slices.Equal(got, want) {
		t.Errorf("at the end, the kernel was told %v, want %v", got, want)
	}

	// A device that fails is let go of.
	file.Close()
	w.tick(many)
	w.tick(many)
	if w.file != nil {
		t.Error("what failed is used on")
	}
	w.tick(many)
	w.close()
}

// Where nothing is to be asked for, nothing is opened.
func TestWakeupNormal(t *testing.T) {
	w := newWakeup(&Options{Wakeup: WakeupNormal})
	if w.file != nil {
		t.Error("the device is open")
	}
	w.tick(1000)
	w.set(true)
	w.close()
}
