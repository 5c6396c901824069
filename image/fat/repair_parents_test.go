package fat_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestRepairParentCut: ".." of a directory names the old place of its parent, as a cut leaves it while that is moved. A cut of the
// repair does not free the old place before ".." names the new one: the next repair would not know it any more.
func TestRepairParentCut(t *testing.T) {
	for _, l := range cutLayouts[:2] {
		c, base := recordScene(t, l, func(c *scene) {
			c.Mkdir("parent")
			c.Mkdir("parent/below")
		})
		if err := c.rec.Replay(base, c.rec.Len()); err != nil {
			t.Fatal(err)
		}
		e := fattest.NewEditor(t, base)
		r := e.Report()
		parent, below := r.Find("parent"), r.Find("parent/below")
		at := func(c uint32) int64 { return r.Volume.DataStart + int64(c-2)*int64(r.Volume.ClusterSize) }
		old := e.FreeClusters(1)
		e.Chain(old)
		place := e.Bytes(at(parent.First), int(r.Volume.ClusterSize))
		fattest.SetFirst(place[:32], old[0])
		e.Write(place, at(old[0]))
		up := e.Bytes(at(below.First)+32, 32)
		fattest.SetFirst(up, old[0])
		e.Write(up, at(below.First)+32)
		e.MarkDirty()

		rec := faultdev.NewRecorder(base.Clone())
		if _, err := repaired(rec, fat.Options{}); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(*sceneSeed, 11))
		if err := faultdev.EachCut(base, rec.Log(), func(x *faultdev.Cut) error {
			for range 10 {
				m, err := x.Scattered(rng)
				if err == nil {
					_, err = repaired(m, fat.Options{})
				}
				if err != nil {
					return err
				}
				r, err := fattest.Check(m)
				if err == nil {
					err = r.Err()
				}
				if err != nil {
					return fmt.Errorf("cut after %d of %d: %w", x.At, rec.Len(), err)
				}
			}
			return nil
		}); err != nil {
			t.Errorf("FAT%d: %v", l.Width, err)
		}
	}
}
