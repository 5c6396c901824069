package fs

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The kernel is asked for awake processors once requests have been dense for some time, and told otherwise once they
// have not been: never for less, and never twice the same.
func TestWakeup(t *testing.T) {
	const many, few = 2 * denseRate, denseRate - 1 // a second
	const ms = time.Millisecond
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
		rate   int
		passed []time.Duration
		said   []int32 // so far
	}{
		{few, []time.Duration{ms, 100 * ms, time.Second}, nil},
		{many, []time.Duration{ms, denseFor - 2*ms}, nil},
		{few, []time.Duration{ms}, nil},
		{many, []time.Duration{denseFor - ms}, nil},
		{many, []time.Duration{ms}, []int32{2}},
		{many, []time.Duration{ms, 100 * ms, time.Second}, []int32{2}},
		{few, []time.Duration{ms, sparseFor - 2*ms}, []int32{2}},
		{many, []time.Duration{ms}, []int32{2}},
		{0, []time.Duration{sparseFor}, []int32{2, noLatency}},
		{0, []time.Duration{100 * ms}, []int32{2, noLatency}},
		{many, []time.Duration{denseFor}, []int32{2, noLatency, 2}},
	} {
		for _, passed := range step.passed {
			w.tick(float64(step.rate)*passed.Seconds(), passed)
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
	w.tick(many, time.Second)
	if w.file != nil {
		t.Error("what failed is used on")
	}
	w.tick(many, time.Second)
	w.close()
}

// Where nothing is to be asked for, nothing is opened.
func TestWakeupNormal(t *testing.T) {
	w := newWakeup(&Options{Wakeup: WakeupNormal})
	if w.file != nil {
		t.Error("the device is open")
	}
	w.tick(denseRate, time.Second)
	w.set(true)
	w.close()
}
