package fat_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestRepairAfterOneNameWent: of two names that a cut has left to one file, one is removed, written anew, replaced or changed before
// the repair has come to its directory, but not before it has seen the other. What the other leads to stays, or is what was
// written.
func TestRepairAfterOneNameWent(t *testing.T) {
	const other = "directory 59/old file"
	anew := fattest.Records(1<<20, 300)
	for what, work := range map[string]func(s *fattest.Scene){
		"removed":      func(s *fattest.Scene) { s.Unlink(other) },
		"written anew": func(s *fattest.Scene) { s.Open(other).Truncate(0); s.Open(other).Append(anew) },
		"replaced":     func(s *fattest.Scene) { s.Rename("directory 58/old file", other) },
		"renamed":      func(s *fattest.Scene) { s.Rename(other, "moved.txt") },
	} {
		t.Run(what, func(t *testing.T) {
			for _, l := range cutLayouts[:2] {
				m := wide(t, l)
				e := fattest.NewEditor(t, m)
				want, err := e.Report().Find("twice.txt").Contents()
				if err != nil {
					t.Fatal(err)
				}
				s, twice := e.Slot(other), e.Slot("twice.txt")
				copy(s[26:], twice[26:]) // cluster and size
				copy(s[20:22], twice[20:22])
				e.SetSlot(other, s)
				e.SetSlot("OLDER.TXT", append([]byte{0xe5}, twice[1:]...))

				v, err := fat.Open(slow{m}, fat.Options{Log: slog.New(slog.DiscardHandler), CommitDelay: time.Millisecond}.NotWaiting())
				if err != nil {
					t.Fatal(err)
				}
				work(fattest.NewScene(t, engineTree{v}, func() int { return 0 }, 1))
				if err := v.Sync(); err != nil {
					t.Fatal(err)
				}
				closeRepaired(t, l, v)
				check(t, m)
				if !contains(e.Report(), string(want), "twice.txt", "moved.txt") && !(what == "written anew" && contains(e.Report(), anew, "twice.txt")) {
					t.Errorf("FAT%d: what had two names is gone", l.Width)
				}
			}
		})
	}
}

// TestRepairAfterLastNameWent: a file had two names; the repair removes the older one, and while that goes to the medium somebody
// removes the other. What it had is nobody's then, but not free before the medium knows that, whenever the next cut comes.
func TestRepairAfterLastNameWent(t *testing.T) {
	for _, l := range cutLayouts[:2] {
		m := wide(t, l)
		base, rec := m.Clone(), faultdev.NewRecorder(m)
		dev := newGated(t, rec)
		v, err := fat.Open(dev, fat.Options{Log: slog.New(slog.DiscardHandler), CommitDelay: -1}.NotWaiting())
		if err != nil {
			t.Fatal(err)
		}
		removed := false
		dev.hook.Store(new(func() {
			_, _, err := v.Lookup(v.Root(), "OLDER.TXT")
			if !removed && errors.Is(err, fat.ErrNotExist) {
				removed = true
				if err := v.Unlink(v.Root(), "twice.txt"); err != nil {
					t.Error(err)
				}
			}
		}))
		close(dev.gate)
		<-v.Repaired()
		dev.hook.Store(nil)
		if !removed {
			t.Errorf("FAT%d: no name was removed beside the repair", l.Width)
		}
		closeRepaired(t, l, v)
		soundCuts(t, l, base, rec)
	}
}

// TestRepairBeforeRename: of two names of a file the newer one is removed while the repair looks for them. The other gets a new name
// when the medium knows that, and not before: with three names, nothing would tell which is the newest.
func TestRepairBeforeRename(t *testing.T) {
	for _, l := range cutLayouts[:2] {
		m := wide(t, l)
		base, rec := m.Clone(), faultdev.NewRecorder(m)
		dev := newGated(t, slow{rec})
		v, err := fat.Open(dev, fat.Options{Log: slog.New(slog.DiscardHandler), CommitDelay: -1})
		if err != nil {
			t.Fatal(err)
		}
		err = v.Unlink(v.Root(), "twice.txt")
		close(dev.gate)
		if err != nil {
			t.Fatal(err)
		}
		if err := (engineTree{v}).Rename("OLDER.TXT", "new.txt", 0); err != nil {
			t.Fatal(err)
		}
		closeRepaired(t, l, v)
		soundCuts(t, l, base, rec)
	}
}

// closeRepaired closes a volume once it is repaired, as it can be.
func closeRepaired(t *testing.T, l fattest.Layout, v *fat.Volume) {
	t.Helper()
	<-v.Repaired()
	if state := v.Repair(); state != fat.RepairDone {
		t.Errorf("FAT%d: the repair ended as %v", l.Width, state)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
}

// soundCuts cuts what was recorded at every moment, and finds no damage.
func soundCuts(t *testing.T, l fattest.Layout, base *device.Mem, rec *faultdev.Recorder) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	err := faultdev.EachCut(base, rec.Log(), func(x *faultdev.Cut) error {
		for range 20 {
			c, err := x.Scattered(rng)
			if err != nil {
				return err
			}
			r, err := fattest.Check(c)
			if err == nil {
				err = r.DamageErr()
			}
			if err != nil {
				return fmt.Errorf("cut after %d of %d: %w", x.At, rec.Len(), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("FAT%d: %v", l.Width, err)
	}
}

// gated has reads of the data area, where directories below the root are, wait until the gate is closed, and calls a function
// before each write. So a test can be sure that a repair has not come further than the root.
type gated struct {
	device.Device
	data int64 // offset of the data area
	gate chan struct{}
	hook atomic.Pointer[func()]
}

func newGated(t *testing.T, dev device.Device) *gated {
	t.Helper()
	boot := make([]byte, 512)
	if _, err := dev.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	geo, err := fat.ParseGeometry(boot, dev.Size(), fat.GeometryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &gated{Device: dev, data: geo.DataStart, gate: make(chan struct{})}
}

func (g *gated) ReadAt(p []byte, off int64) (int, error) {
	if off >= g.data {
		<-g.gate
	}
	return g.Device.ReadAt(p, off)
}

func (g *gated) WriteAt(p []byte, off int64) (int, error) {
	if hook := g.hook.Load(); hook != nil {
		(*hook)()
	}
	return g.Device.WriteAt(p, off)
}
