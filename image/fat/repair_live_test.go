package fat_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// wide is a volume with many directories, so that looking through it takes a while, and with every
// leftover of a cut.
func wide(t testing.TB, l fattest.Layout) *device.Mem {
	t.Helper()
	c, base := recordScene(t, l, func(c *scene) {
		for i := range 60 {
			c.Mkdir(fmt.Sprintf("directory %d", i))
			c.Create(fmt.Sprintf("directory %d/old file", i), c.Data(700)).Close()
		}
		c.Create("long.txt", c.Data(100)).Close()
		c.Create("twice.txt", c.Data(900)).Close()
	})
	if err := c.rec.Replay(base, c.rec.Len()); err != nil {
		t.Fatal(err)
	}
	e := fattest.NewEditor(t, base)
	e.Leak(9)
	e.Lengthen("long.txt", 3)
	double(e)
	e.OrphanSlot()
	e.MarkDirty()
	return base
}

// double gives twice.txt another, older name, as a cut in the middle of a rename leaves it.
func double(e *fattest.Editor) {
	e.Double("twice.txt", "OLDER   TXT")
	s := e.Slot("twice.txt")
	s[12] |= 0x40
	e.SetSlot("twice.txt", s)
}

// slow delays reads, so that operations come in between.
type slow struct{ device.Device }

func (s slow) ReadAt(p []byte, off int64) (int, error) {
	time.Sleep(200 * time.Microsecond)
	return s.Device.ReadAt(p, off)
}

// TestRepairWhileInUse has programs write, rename and remove while the repair goes on: afterwards the
// volume is whole, and what they wrote last is there.
func TestRepairWhileInUse(t *testing.T) {
	for _, l := range []fattest.Layout{{Width: 12, Clusters: 900}, {Width: 16, Clusters: 4200}} {
		for round := range 3 {
			t.Run(fmt.Sprintf("FAT%d/%d", l.Width, round), func(t *testing.T) {
				m := wide(t, l)
				v, err := fat.Open(slow{m}, fat.Options{Log: slog.New(slog.DiscardHandler), CommitDelay: 3 * time.Millisecond}.NotWaiting())
				if err != nil {
					t.Fatal(err)
				}
				var users sync.WaitGroup
				for u := range 4 {
					users.Add(1)
					go func() {
						defer users.Done()
						rng := rand.New(rand.NewPCG(uint64(round), uint64(u)))
						for i := 0; i < 60; i++ {
							if err := rummage(v, rng, u); err != nil {
								t.Errorf("user %d, operation %d: %v", u, i, err)
								return
							}
						}
					}()
				}
				users.Wait()
				<-v.Repaired()
				if state := v.Repair(); state != fat.RepairDone {
					t.Errorf("the repair ended as %v", state)
				}
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
				check(t, m)
				e := fattest.NewEditor(t, m)
				if r := e.Report(); r.Dirty || r.Find("OLDER.TXT") != nil || r.Find("twice.txt") == nil {
					t.Errorf("dirty %v; of the two names, the wrong one is left", r.Dirty)
				}
			})
		}
	}
}

// rummage does something with the old files, and with some of its own.
func rummage(v *fat.Volume, rng *rand.Rand, user int) error {
	dir, err := lookup(v, v.Root(), fmt.Sprintf("directory %d", rng.IntN(60)))
	if err != nil {
		return nil // it was renamed
	}
	defer dir.Release(1)
	other, err := lookup(v, v.Root(), fmt.Sprintf("directory %d", rng.IntN(60)))
	if err != nil {
		return nil
	}
	defer other.Release(1)
	mine := fmt.Sprintf("new file of %d", user)
	switch rng.IntN(8) {
	case 0, 1:
		n, err := v.Create(dir, mine, 0)
		if err != nil {
			return unless(err, fat.ErrExist)
		}
		defer n.Release(1)
		_, err = n.WriteAt(make([]byte, rng.IntN(2000)), 0)
		return unless(err, fat.ErrNotExist) // it is not open: whoever removes it frees it
	case 2:
		return unless(v.Rename(dir, "old file", other, "old file", 0), fat.ErrNotExist)
	case 3:
		return unless(v.Rename(dir, mine, other, "old file", 0), fat.ErrNotExist)
	case 4:
		return unless(v.Unlink(dir, "old file"), fat.ErrNotExist)
	case 5:
		n, err := lookup(v, dir, "old file")
		if err != nil {
			return unless(err, fat.ErrNotExist)
		}
		defer n.Release(1)
		return unless(n.Truncate(rng.Int64N(2000)), fat.ErrNotExist)
	case 6:
		a, b := rng.IntN(60), rng.IntN(60)
		err := v.Rename(v.Root(), fmt.Sprintf("directory %d", a), dir, fmt.Sprintf("moved %d", b), 0)
		return unless(err, fat.ErrNotExist, fat.ErrLoop, fat.ErrNotEmpty)
	default:
		return v.Sync()
	}
}

func lookup(v *fat.Volume, dir *fat.Node, name string) (*fat.Node, error) {
	n, _, err := v.Lookup(dir, name)
	return n, err
}

func unless(err error, any ...error) error {
	for _, e := range any {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// TestRepairModel has the exerciser compare with its model while each mount looks through the volume.
func TestRepairModel(t *testing.T) {
	for i, l := range []fattest.Layout{{Width: 12, Clusters: 300}, {Width: 16, Clusters: 4100, RootEntries: 64}} {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			t.Parallel()
			cfg := engineConfig(t, cell{l, fat.Options{}})
			cfg.Seed, cfg.Ops, cfg.Remount, cfg.Deep = *seed+uint64(i), 1500, 60, nil
			cfg.New = func() (fattest.Target, error) {
				target, err := newEngineTarget(l, fat.Options{CommitDelay: time.Millisecond})
				return &dirtyTarget{target, t}, err
			}
			if err := fattest.Exercise(cfg); err != nil {
				t.Errorf("%v\nto repeat: go test -run '%s' -seed %d", err, t.Name(), *seed)
			}
		})
	}
}

// dirtyTarget finds its volume as after a cut, at each mount.
type dirtyTarget struct {
	*engineTarget
	t *testing.T
}

func (d *dirtyTarget) Mount() error {
	e := fattest.NewEditor(d.t, d.mem)
	e.LagFAT()
	e.MarkDirty()
	d.dev = slow{d.mem}
	return d.engineTarget.Mount()
}

// TestRepairFaults fails each operation of a repair. It is tried again, and at no time does damage.
func TestRepairFaults(t *testing.T) {
	for _, l := range repairLayouts {
		base := withLeftovers(t, l)
		for k := int64(1); ; k++ {
			m := base.Clone()
			fd := faultdev.New(m)
			fd.Inject(faultdev.FailAt(k, nil))
			state, err := repaired(fd, fat.Options{})
			if fd.Injected() == 0 {
				break
			}
			if err != nil && !errors.Is(err, faultdev.ErrInjected) {
				t.Fatalf("FAT%d, operation %d: %v", l.Width, k, err)
			}
			r, cerr := fattest.Check(m)
			if cerr == nil {
				cerr = r.DamageErr()
			}
			if cerr == nil && state == fat.RepairDone && err == nil {
				cerr = r.Err()
			}
			if cerr != nil {
				t.Errorf("FAT%d, operation %d fails (%v, %v): %v", l.Width, k, state, err, cerr)
			}
			if err == nil && state != fat.RepairDone {
				t.Errorf("FAT%d, operation %d fails: the repair ended as %v", l.Width, k, state)
			}
		}
	}
}

// TestRepairDamage: nothing is freed where there is more than leftovers, and errors= decides.
func TestRepairDamage(t *testing.T) {
	for _, policy := range []fat.ErrorPolicy{fat.ErrorsRemountRO, fat.ErrorsContinue} {
		m := damageable(t, repairLayouts[1])
		e := fattest.NewEditor(t, m)
		damages["cross link"](e)
		e.Leak(5)
		e.MarkDirty()
		before := e.Report()
		v, err := fat.Open(m, fat.Options{Log: slog.New(slog.DiscardHandler), Errors: policy})
		if err != nil {
			t.Fatal(err)
		}
		<-v.Repaired()
		if state, ro := v.Repair(), v.ReadOnly(); state != fat.RepairDamage || ro != (policy == fat.ErrorsRemountRO) {
			t.Errorf("the repair ended as %v, read-only %v", state, ro)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		after := e.Report()
		if len(after.Findings) != len(before.Findings) || !after.Dirty || after.Free != before.Free {
			t.Errorf("something was done: %d findings, dirty %v, %d free; before, %d, %d free",
				len(after.Findings), after.Dirty, after.Free, len(before.Findings), before.Free)
		}
	}
}
