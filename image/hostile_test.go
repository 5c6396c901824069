package image

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// fenced is a device of which only a part may be written.
type fenced struct {
	device.Device
	t      testing.TB
	lo, hi int64
}

func (f fenced) WriteAt(p []byte, off int64) (int, error) {
	f.check(off, int64(len(p)))
	return f.Device.WriteAt(p, off)
}

func (f fenced) ZeroAt(off, n int64) error {
	f.check(off, n)
	return device.ZeroAt(f.Device, off, n)
}

func (f fenced) check(off, n int64) {
	if off < f.lo || off+n > f.hi {
		f.t.Errorf("%d bytes written at %d, outside of the partition from %d to %d", n, off, f.lo, f.hi)
	}
}

// useEach opens every volume that can be opened on the device, as a mount would, and writes into it. Nothing
// is written outside of what the partition table gave it.
func useEach(t *testing.T, m *device.Mem) {
	l, err := Scan(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Partitions[:min(len(l.Partitions), 8)] {
		opt := OpenOptions{Partition: fmt.Sprint(p.Number)}
		if p.Number == 0 {
			opt = OpenOptions{NoTable: true}
		}
		v, err := Locate(m, opt)
		if err == nil {
			part := v.Partition
			v, err = Locate(fenced{m, t, part.Start, part.Start + part.Size}, opt)
		}
		if err == nil {
			useVolume(t, v.Device())
		} else if err.Error() == "" {
			t.Error("an error without words")
		}
	}
}

// useVolume lists and writes, and does not mind errors.
func useVolume(t *testing.T, dev device.Device) {
	v, err := fat.Open(dev, fat.Options{CommitDelay: -time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	within := func(err error) {
		if errors.Is(err, device.ErrBounds) {
			t.Errorf("outside of the volume: %v", err)
		}
	}
	entries := 0
	within(v.ReadDir(v.Root(), 0, func(*fat.Entry) bool { entries++; return entries < 1000 }))
	n, err := v.Create(v.Root(), "a file of ours", 0)
	within(err)
	if err == nil {
		_, err = n.WriteAt(make([]byte, 100_000), 0)
		within(err)
		n.Release(1)
	}
	within(v.Sync())
	within(v.Close())
}

// TestHostileTables: whatever a partition table says, what is written to a volume stays in its partition.
func TestHostileTables(t *testing.T) {
	bases := fuzzBases(t)
	run := func(seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 3))
		patches := make([]byte, 4*rng.IntN(12))
		for i := range patches {
			patches[i] = byte(rng.Uint32())
		}
		patched(t, bases[seed%uint64(len(bases))], rng.IntN(2) == 0, patches)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	n := uint64(300)
	if testing.Short() {
		n = 60
	}
	for seed := range n {
		run(seed)
	}
	first := rand.Uint64()
	t.Logf("random tables from seed %d on", first)
	for seed := range n / 3 {
		run(first + seed)
	}
}
