package fat_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// repairLayouts are small enough that a cut of each kind can be repaired many times.
var repairLayouts = []fattest.Layout{{Width: 12, Clusters: 900}, {Width: 16, Clusters: 4200}, {Width: 32, Clusters: 65600}}

// repaired opens a volume, waits until its repair is over, and closes it.
func repaired(dev device.Device, opt fat.Options) (fat.RepairState, error) {
	opt.CommitDelay = -time.Second
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	v, err := fat.Open(dev, opt)
	if err != nil {
		return 0, err
	}
	<-v.Repaired()
	state := v.Repair()
	return state, v.Close()
}

// TestRepairCuts repairs what cuts of every workload leave: nothing is wrong any more, and what was
// promised is there. Some of the repairs are cut as well, and repaired again.
func TestRepairCuts(t *testing.T) {
	step := 7
	if testing.Short() {
		step = 60
	}
	shown := 0
	for name, work := range fattest.Workloads {
		for _, l := range repairLayouts {
			t.Run(fmt.Sprintf("%s/FAT%d", name, l.Width), func(t *testing.T) {
				c, base := recordScene(t, l, shared(work))
				rng := rand.New(rand.NewPCG(*sceneSeed, 5))
				for upTo := rng.IntN(step); upTo <= c.rec.Len(); upTo += 1 + rng.IntN(2*step) {
					mixed := base.Clone()
					if err := c.rec.Scatter(mixed, upTo, rng); err != nil {
						t.Fatal(err)
					}
					again := rng.IntN(4) == 0
					if err := c.repairs(mixed, upTo, again, rng); err != nil {
						t.Fatalf("cut after write %d of %d: %v\n-run '%s' -scene-seed %d", upTo, c.rec.Len(), err, t.Name(), *sceneSeed)
					}
				}
				shown += c.shown
			})
		}
	}
	t.Logf("fsck.fat looked at %d repaired volumes", shown)
}

// recordScene runs a workload, and returns what was written and the volume as it was before.
func recordScene(t testing.TB, l fattest.Layout, work func(*scene)) (*scene, *device.Mem) {
	t.Helper()
	mem := fattest.Formatted(t, l)
	base := mem.Clone()
	c := &scene{t: t, rec: faultdev.NewRecorder(mem)}
	c.record(c.rec, work)
	return c, base
}

// repairs repairs one state of the medium, with again through a second cut.
func (c *scene) repairs(m *device.Mem, upTo int, again bool, rng *rand.Rand) error {
	if again {
		rec := faultdev.NewRecorder(m.Clone())
		if _, err := repaired(rec, fat.Options{}); err != nil {
			return err
		}
		second := m.Clone()
		at := rng.IntN(rec.Len() + 1)
		if err := rec.Scatter(second, at, rng); err != nil {
			return err
		}
		if _, err := c.Promises.Judge(second, upTo); err != nil {
			return fmt.Errorf("after entry %d of the repair: %w", at, err)
		}
		m = second
	}
	state, err := repaired(m, fat.Options{})
	if err != nil {
		return err
	}
	r, err := fattest.Check(m)
	if err == nil {
		err = r.Err()
	}
	if err == nil && r.Dirty {
		err = fmt.Errorf("the volume is still marked dirty")
	}
	if err == nil {
		err = c.Promises.Kept(r, upTo)
	}
	if err == nil {
		err = fattest.Unmingled(r)
	}
	// The checker is ours: a part of them is shown to somebody else's.
	if err == nil && rng.IntN(2) == 0 {
		c.shown++
		err = fsckMem(m, filepath.Join(c.t.TempDir(), "repaired.img"))
	}
	if err != nil {
		return fmt.Errorf("repair %v: %w", state, err)
	}
	return nil
}

// TestRepairArrangeCuts repairs what cuts leave while files and directories are moved about: nothing is wrong any
// more, "..", which may name the old place of a directory, included.
func TestRepairArrangeCuts(t *testing.T) {
	for i, l := range arrangeLayouts[:3] {
		for _, a := range arrangements(l) {
			t.Run(fmt.Sprintf("%d_FAT%d/%s", i, l.Width, a.name), func(t *testing.T) {
				t.Parallel()
				mem := scattered(t, l, 15)
				want, _ := treeOf(t, mem)
				c := &cutter{base: mem.Clone(), rec: faultdev.NewRecorder(mem)}
				v, err := fat.Open(c.rec, arrangeOptions)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(a.run(context.Background(), v), v.Close()); err != nil {
					t.Fatal(err)
				}
				step := 1 + c.rec.Len()/150
				if testing.Short() {
					step *= 3
				}
				old, failed := 0, 0
				if err := c.cuts(rand.New(rand.NewPCG(*seed, 5)), step, func(x cut) {
					_, before := treeOf(t, x.m)
					old += before.Count(fattest.OldParent)
					_, err := repaired(x.m, fat.Options{})
					if err == nil {
						got, r := treeOf(t, x.m)
						err = errors.Join(r.Err(), sameTree(got, want))
					}
					if err != nil && failed < 3 {
						failed++
						t.Errorf("cut after entry %d of %d, %s: %v", x.at, c.rec.Len(), x.what, err)
					}
				}); err != nil {
					t.Fatal(err)
				}
				if old == 0 && a.moves && !testing.Short() {
					t.Error("no cut has left an old parent")
				}
			})
		}
	}
}

// withLeftovers makes a volume with each of them, as a cut would leave them.
func withLeftovers(t testing.TB, l fattest.Layout) *device.Mem {
	t.Helper()
	c, base := recordScene(t, l, func(c *scene) {
		c.Create("kept file.txt", c.Data(3000)).Close()
		c.Sync()
	})
	m := base.Clone()
	if err := c.rec.Replay(m, c.rec.Len()); err != nil {
		t.Fatal(err)
	}
	e := fattest.NewEditor(t, m)
	e.Leak(5)
	e.Lengthen("kept file.txt", 2)
	e.OrphanSlot()
	e.LagFAT()
	e.MarkDirty()
	return m
}

// TestRepairReports has one line for each thing that is done.
func TestRepairReports(t *testing.T) {
	for _, l := range repairLayouts {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			m := withLeftovers(t, l)
			var log strings.Builder
			state, err := repaired(m, fat.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil || state != fat.RepairDone {
				t.Fatalf("%v, %v\n%s", state, err, &log)
			}
			check(t, m)
			for _, want := range []string{"kept file.txt: the clusters beyond its size are freed (2)", "parts of long names that no entry follows are removed (1)",
				"clusters that no file uses are freed (5", "the other FATs are brought up", "the volume, which was not unmounted properly, is whole"} {
				if strings.Count(log.String(), want) == 0 {
					t.Errorf("no line says %q:\n%s", want, &log)
				}
			}
		})
	}
}

// TestRepairReportEnds has a bound on the lines, each of which says which file it is about, and sums up all.
func TestRepairReportEnds(t *testing.T) {
	const files = 150
	c, base := recordScene(t, repairLayouts[1], func(c *scene) {
		for i := range files {
			c.Create(fmt.Sprintf("file %d", i), c.Data(10)).Close()
		}
		c.Sync()
	})
	m := base.Clone()
	if err := c.rec.Replay(m, c.rec.Len()); err != nil {
		t.Fatal(err)
	}
	e := fattest.NewEditor(t, m)
	for i := range files {
		e.Lengthen(fmt.Sprintf("file %d", i), 1)
	}
	e.MarkDirty()
	var log strings.Builder
	state, err := repaired(m, fat.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil || state != fat.RepairDone {
		t.Fatalf("%v, %v\n%s", state, err, &log)
	}
	check(t, m)
	lines, named := strings.Count(log.String(), "are freed"), strings.Count(log.String(), "repair: /file ")
	if lines == 0 || lines >= 100 || named != lines {
		t.Errorf("%d lines about chains, %d of which name a file, want the same and fewer than 100:\n%s", lines, named, &log)
	}
	for _, want := range []string{"there is more, which is not listed", fmt.Sprintf("chains cut to the size of their file: %d", files)} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("not one line says %q:\n%s", want, &log)
		}
	}
}

// TestRepairKeep makes files of what nobody uses.
func TestRepairKeep(t *testing.T) {
	for _, l := range repairLayouts {
		m := withLeftovers(t, l)
		if state, err := repaired(m, fat.Options{Repair: fat.RepairKeep}); err != nil || state != fat.RepairDone {
			t.Fatalf("FAT%d: %v, %v", l.Width, state, err)
		}
		check(t, m)
		r, err := fattest.Check(m)
		if err != nil {
			t.Fatal(err)
		}
		f := r.Find("FSCK0000.REC")
		if f == nil || f.Chain != 5 || f.Size != 5*int64(r.Volume.ClusterSize) {
			t.Errorf("FAT%d: kept as %+v, want a file of 5 clusters", l.Width, f)
		}
	}
}

// TestRepairNo leaves the volume as it is.
func TestRepairNo(t *testing.T) {
	m := withLeftovers(t, repairLayouts[1])
	before := m.Clone()
	for _, opt := range []fat.Options{{Repair: fat.RepairNo}, {ReadOnly: true}} {
		if state, err := repaired(m, opt); err != nil || state != fat.RepairNone {
			t.Fatalf("%v, %v", state, err)
		}
		if at, same := m.Equal(before); !same {
			t.Errorf("%+v: something was written at offset %d", opt, at)
		}
	}
}
