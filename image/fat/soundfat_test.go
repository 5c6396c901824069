package fat_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// badFirstFATs are ways to lose the beginning of the first FAT.
var badFirstFATs = map[string]func(m *device.Mem, v *fattest.Volume) error{
	"a sector of zeros": func(m *device.Mem, v *fattest.Volume) error {
		_, err := m.WriteAt(make([]byte, 512), v.FATStart)
		return err
	},
	"all of noise": func(m *device.Mem, v *fattest.Volume) error {
		noise := make([]byte, v.FATBytes)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		noise[0] = 0x12
		_, err := m.WriteAt(noise, v.FATStart)
		return err
	},
}

// TestBadFirstFAT: where the first FAT lost its beginning, the second has everything still. It is read, nothing
// is written by a mount, and a check copies it; a cut in the middle of that loses nothing.
func TestBadFirstFAT(t *testing.T) {
	for name, damage := range badFirstFATs {
		for _, l := range repairLayouts {
			t.Run(fmt.Sprintf("%s/FAT%d", name, l.Width), func(t *testing.T) {
				m := spread(t, l)
				before := readable(t, m)
				fattest.NewEditor(t, m).Leak(3) // to be repaired as well, but later
				runs := scanned(t, m)
				r, err := fattest.Check(m)
				if err != nil {
					t.Fatal(err)
				}
				if err := damage(m, r.Volume); err != nil {
					t.Fatal(err)
				}
				if now := scanned(t, m); !slices.Equal(now, runs) {
					t.Errorf("ScanTable: %v, want %v", now, runs)
				}
				mountedReadOnly(t, m)
				cutChecks(t, m, before)
				inspect(t, m, before)
				if said, code, _ := fsckFat(t, m, "-n"); code != 0 {
					t.Errorf("after the repair, fsck.fat finds:\n%s", said)
				}
			})
		}
	}
}

// spread is a volume whose files have their entries in several sectors of the FAT.
func spread(t *testing.T, l fattest.Layout) *device.Mem {
	t.Helper()
	c, base := recordScene(t, l, func(c *scene) {
		cs := c.v.Geometry().ClusterSize
		c.Create("a.bin", c.Data(600*cs)).Close()
		c.Mkdir("dir")
		c.Create("dir/b.bin", c.Data(4*cs+9)).Close()
		c.Create("dir/A long name.data", c.Data(300)).Close()
	})
	if err := c.rec.Replay(base, c.rec.Len()); err != nil {
		t.Fatal(err)
	}
	return base
}

func scanned(t *testing.T, m *device.Mem) (runs []fat.Run) {
	t.Helper()
	boot := make([]byte, fat.BootSize)
	if _, err := m.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	g, err := fat.ParseGeometry(boot, m.Size(), fat.GeometryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := fat.ScanTable(m, g, func(r fat.Run) error { runs = append(runs, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return runs
}

// mountedReadOnly opens a volume as a mount does.
func mountedReadOnly(t *testing.T, m *device.Mem) {
	t.Helper()
	was := m.Clone()
	opt := fat.Options{Log: slog.New(slog.DiscardHandler), Errors: fat.ErrorsContinue}
	v, err := fat.Open(m, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Create(v.Root(), "new", 0); !errors.Is(err, fat.ErrReadOnly) {
		t.Errorf("create: %v, want ErrReadOnly", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if at, same := m.Equal(was); !same {
		t.Errorf("the mount has written at offset %d", at)
	}
	opt.Errors = fat.ErrorsPanic
	if v, err := fat.Open(m, opt); !errors.Is(err, fat.ErrCorrupt) {
		t.Errorf("open with errors=panic: %v, %v, want ErrCorrupt", v, err)
	}
}

// cutChecks cuts a repair at every write: what could be read before it, the next one keeps.
func cutChecks(t *testing.T, m *device.Mem, before map[[32]byte]int) {
	t.Helper()
	rec := faultdev.NewRecorder(m.Clone())
	if _, err := fat.Check(rec, fat.CheckOptions{Repair: true}); err != nil {
		t.Fatal(err)
	}
	c := &cutter{base: m, rec: rec}
	rng := rand.New(rand.NewPCG(*sceneSeed, 7))
	check := func(x cut) {
		if !lookedAt(x.at) {
			return
		}
		if _, err := fat.Check(x.m, fat.CheckOptions{Repair: true}); err != nil {
			t.Fatal(err)
		}
		after := readable(t, x.m)
		for sum := range before {
			if after[sum] == 0 {
				t.Fatalf("cut after entry %d of %d, %s: a file is lost", x.at, rec.Len(), x.what)
			}
		}
	}
	rounds := 4
	if m.Size() > 16<<20 {
		rounds = 1
	}
	for range rounds {
		if err := c.cuts(rng, 1, check); err != nil {
			t.Fatal(err)
		}
	}
}
