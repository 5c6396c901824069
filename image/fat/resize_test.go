package fat_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// longer is a device with the contents of another one at its beginning, and something else behind.
func longer(t testing.TB, mem *device.Mem, size int64) *device.Mem {
	t.Helper()
	out := device.NewMem(max(size, mem.Size()))
	buf := make([]byte, 1<<20)
	for off := int64(0); off < mem.Size(); off += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), mem.Size()-off)]
		if _, err := mem.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
		if _, err := out.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
	}
	for off := mem.Size(); off+512 <= out.Size(); off += 64 << 10 {
		if _, err := out.WriteAt([]byte("what was here before"), off); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// resizings of a layout: the new size, as sectors more or less than there are.
var resizings = []struct {
	name    string
	layout  fattest.Layout
	sectors int64
	shifted bool
}{
	{"FAT12 within the FAT", fattest.Layout{Width: 12, Clusters: 701}, 200, false},
	{"FAT12 larger FAT", fattest.Layout{Width: 12, Clusters: 700}, 2500, true},
	{"FAT12 smaller", fattest.Layout{Width: 12, Clusters: 1100}, -500, false},
	{"FAT12 one FAT", fattest.Layout{Width: 12, Clusters: 500, ClusterSize: 2048, FATs: 1, RootEntries: 112}, 4000, true},
	{"FAT16 within the FAT", fattest.Layout{Width: 16, Clusters: 4100}, 200, false},
	{"FAT16 larger FAT", fattest.Layout{Width: 16, Clusters: 4100}, 5000, true},
	{"FAT16 16-bit count of sectors", fattest.Layout{Width: 16, Clusters: 16000, ClusterSize: 1024}, 60000, true},
	{"FAT16 smaller", fattest.Layout{Width: 16, Clusters: 4600}, -500, false},
	{"FAT32 within the FAT", fattest.Layout{Width: 32, Clusters: 65600}, 30, false},
	{"FAT32 larger FAT", fattest.Layout{Width: 32, Clusters: 65600, ClusterSize: 1024}, 40000, true},
	{"FAT32 smaller, root at the end", fattest.Layout{Width: 32, Clusters: 66000, RootCluster: 65900}, -400, false},
}

func TestResize(t *testing.T) {
	for _, tc := range resizings {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			base := scattered(t, tc.layout, 40)
			want, before := treeOf(t, base)
			size := base.Size() + tc.sectors*512
			mem := longer(t, base, size)
			r, err := fat.PlanResize(mem, fat.GeometryOptions{}, size)
			if err != nil {
				t.Fatal(err)
			}
			if r.Shifted != tc.shifted {
				t.Errorf("larger FATs: %v, want %v", r.Shifted, tc.shifted)
			}
			if err := r.Run(context.Background(), mem, arrangeOptions, nil); err != nil {
				t.Fatal(err)
			}
			check(t, mem)
			got, after := treeOf(t, mem)
			if err := sameTree(got, want); err != nil {
				t.Error(err)
			}
			if after.Volume.Size != size || after.Volume.Width != before.Volume.Width || after.Volume.FATs != before.Volume.FATs {
				t.Errorf("FAT%d, %d bytes, %d FATs; want %d bytes", after.Volume.Width, after.Volume.Size, after.Volume.FATs, size)
			}
			if after.Used != before.Used || after.Dirty {
				t.Errorf("%d clusters used, want %d; dirty: %v", after.Used, before.Used, after.Dirty)
			}
			// And it works.
			v, err := fat.Open(mem, arrangeOptions)
			if err != nil {
				t.Fatal(err)
			}
			n, err := v.Create(v.Root(), "one more file.txt", 0)
			if err != nil {
				t.Fatal(err)
			}
			st, err := v.Stat()
			if err != nil {
				t.Fatal(err)
			}
			data := make([]byte, int(min(st.Free-4, 100))*st.ClusterSize)
			if k, err := n.WriteAt(data, 0); err != nil || k != len(data) {
				t.Errorf("%d of %d bytes: %v", k, len(data), err)
			}
			n.Release(1)
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			check(t, mem)
		})
	}
}

// TestResizePowerCut cuts the power at every moment: the volume is the old one or the new one, and all
// files are there.
func TestResizePowerCut(t *testing.T) {
	for _, tc := range resizings {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			base := scattered(t, tc.layout, 12)
			want, _ := treeOf(t, base)
			size := base.Size() + tc.sectors*512
			mem := longer(t, base, size)
			c := &cutter{base: mem.Clone(), rec: faultdev.NewRecorder(mem)}
			r, err := fat.PlanResize(c.rec, fat.GeometryOptions{}, size)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Run(context.Background(), c.rec, arrangeOptions, nil); err != nil {
				t.Fatal(err)
			}
			step := 1
			if c.rec.Len() > 150 || testing.Short() {
				step = 1 + c.rec.Len()/60
			}
			failed, sizes := 0, map[int64]int{}
			if err := c.cuts(rand.New(rand.NewPCG(*seed, 4)), step, func(x cut) {
				if failed > 3 {
					return
				}
				rep, err := c.checkCut(x)
				if err == nil {
					sizes[rep.Volume.Size]++
					var got map[string]digest
					if got, err = digests(rep); err == nil {
						err = sameTree(got, want)
					}
				}
				if err != nil {
					failed++
					t.Errorf("cut after entry %d of %d, %s: %v", x.at, c.rec.Len(), x.what, err)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if len(sizes) != 2 || sizes[base.Size()] == 0 || sizes[size] == 0 {
				t.Errorf("sizes after a cut, and how often: %v; want %d and %d", sizes, base.Size(), size)
			}
		})
	}
}

// TestResizeFault lets each operation of the device fail: the volume is the old one or the new one.
func TestResizeFault(t *testing.T) {
	for _, tc := range resizings {
		if tc.layout.Width == 32 {
			continue // the same code, and a hundred times the time
		}
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			base := scattered(t, tc.layout, 12)
			want, _ := treeOf(t, base)
			size := base.Size() + tc.sectors*512
			base = longer(t, base, size)
			step := int64(1)
			for k := int64(1); ; k += step {
				mem := base.Clone()
				dev := faultdev.New(mem)
				r, err := fat.PlanResize(dev, fat.GeometryOptions{}, size)
				if err != nil {
					t.Fatal(err)
				}
				dev.Inject(faultdev.FailAt(k, nil))
				err = r.Run(context.Background(), dev, arrangeOptions, nil)
				hit := dev.Injected() > 0
				got, rep := treeOf(t, mem)
				if err := errors.Join(rep.DamageErr(), sameTree(got, want)); err != nil {
					t.Errorf("operation %d failed: %v", k, err)
				}
				// What counts free clusters in the background is not told of a failure.
				if !hit {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				if step = 1 + k/30; testing.Short() {
					step *= 3
				}
			}
		})
	}
}

func TestResizeRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		layout  fattest.Layout
		sectors int64
	}{
		{"FAT12 would be FAT16", fattest.Layout{Width: 12, Clusters: 4000}, 200},
		{"FAT16 would be FAT12", fattest.Layout{Width: 16, Clusters: 4100}, -100},
		{"FAT16 would be FAT32", fattest.Layout{Width: 16, Clusters: 65000}, 2000},
		{"FAT32 would be FAT16", fattest.Layout{Width: 32, Clusters: 65600}, -200},
		{"nothing would be left", fattest.Layout{Width: 12, Clusters: 100}, -120},
		{"reserved area too large", fattest.Layout{Width: 32, Clusters: 65600, Reserved: 65000}, 40000},
	} {
		size, err := fattest.VolumeSize(tc.layout)
		if err != nil {
			t.Fatal(err)
		}
		mem := device.NewMem(size + max(0, tc.sectors*512))
		if err := fattest.Format(mem, tc.layout); err != nil {
			t.Fatal(err)
		}
		if _, err := fat.PlanResize(mem, fat.GeometryOptions{}, size+tc.sectors*512); !errors.Is(err, fat.ErrResize) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	// What does not fit, what is damaged, and what is lost.
	l := fattest.Layout{Width: 12, Clusters: 700}
	base := scattered(t, l, 40)
	_, before := treeOf(t, base)
	for name, tc := range map[string]struct {
		clusters uint32
		spoil    func(mem *device.Mem)
		want     error
	}{
		"full":    {before.Used - 10, func(*device.Mem) {}, fat.ErrNoSpace},
		"damaged": {600, func(mem *device.Mem) { mem.WriteAt([]byte{2, 0x20}, before.Volume.FATStart+3) }, fat.ErrCorrupt},
		"lost":    {600, func(mem *device.Mem) { mem.WriteAt([]byte{0xff, 0xff, 0xff}, before.Volume.FATStart+3*345) }, fat.ErrLost},
	} {
		mem := base.Clone()
		tc.spoil(mem)
		r, err := fat.PlanResize(mem, fat.GeometryOptions{}, before.Volume.DataStart+int64(tc.clusters)*512)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(context.Background(), mem, arrangeOptions, nil); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if after, err := fattest.Check(mem); err != nil || after.Volume.Size != before.Volume.Size {
			t.Errorf("%s: the size changed (%v)", name, err)
		}
	}
}

// TestResizeBadCluster: larger FATs do not get where the medium is bad.
func TestResizeBadCluster(t *testing.T) {
	for _, l := range []fattest.Layout{{Width: 12, Clusters: 700}, {Width: 16, Clusters: 4100}, {Width: 32, Clusters: 65600}} {
		base := fattest.Formatted(t, l)
		e := fattest.NewEditor(t, base)
		v := e.Report().Volume
		e.SetEntry(6, v.BadMark())
		mem := longer(t, base, base.Size()+40000*512)
		was := mem.Clone()
		r, err := fat.PlanResize(mem, fat.GeometryOptions{}, base.Size()+3000*512)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Shifted {
			t.Fatalf("FAT%d: its FATs are large enough", l.Width)
		}
		for what, do := range map[string]func() error{
			"run":    func() error { return r.Run(context.Background(), mem, arrangeOptions, nil) },
			"resize": func() error { return r.Resize(context.Background(), mem, arrangeOptions) },
		} {
			if err := do(); !errors.Is(err, fat.ErrResize) {
				t.Errorf("FAT%d, %s: %v", l.Width, what, err)
			}
		}
		if at, same := mem.Equal(was); !same {
			t.Errorf("FAT%d: written at offset %d", l.Width, at)
		}
	}
}

// TestResizeSteps: where the volume has too few clusters for larger FATs to take the place of, the error names a size
// from which it works, and it does.
func TestResizeSteps(t *testing.T) {
	l := fattest.Layout{Width: 12, Clusters: 1, ClusterSize: 4096}
	size, err := fattest.VolumeSize(l)
	if err != nil {
		t.Fatal(err)
	}
	const wanted = 3 << 20
	mem := device.NewMem(wanted)
	if err := fattest.Format(mem, l); err != nil {
		t.Fatal(err)
	}
	var step int64
	_, err = fat.PlanResize(mem, fat.GeometryOptions{}, wanted)
	if !errors.Is(err, fat.ErrResize) {
		t.Fatalf("from %d bytes at once: %v", size, err)
	}
	text := err.Error()
	if _, err := fmt.Sscanf(text[strings.LastIndex(text, ": ")+2:], "make it at most %d bytes large first", &step); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, size := range []int64{step, wanted} {
		r, err := fat.PlanResize(mem, fat.GeometryOptions{}, size)
		if err == nil {
			err = r.Run(context.Background(), mem, fat.Options{}, nil)
		}
		if err != nil {
			t.Fatalf("to %d bytes: %v", size, err)
		}
	}
}
