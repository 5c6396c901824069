package fat_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat/fattest"
)

// TestBehindEndCut: behind the end of a directory another system has left what looks like an entry, where the atom of the end
// is over. Entries that fill that atom do not let it be seen.
func TestBehindEndCut(t *testing.T) {
	const slot, perAtom = 32, 16
	for _, l := range cutLayouts[:2] {
		for before := range perAtom {
			t.Run(fmt.Sprintf("FAT%d, %d before", l.Width, before), func(t *testing.T) {
				base := fattest.Formatted(t, l)
				c := &scene{t: t, rec: faultdev.NewRecorder(base)}
				c.record(c.rec, func(c *scene) {
					for i := range before {
						c.Create(fmt.Sprintf("F%d", i), "").Close()
					}
				})
				e := fattest.NewEditor(t, base)
				var s [slot]byte
				copy(s[:], "PASSED  BIN")
				fattest.SetFirst(s[:], e.FreeClusters(1)[0])
				e.Write(s[:], e.Report().Volume.RootStart+perAtom*slot)

				mem := base.Clone()
				c = &scene{t: t, rec: faultdev.NewRecorder(mem)}
				c.record(c.rec, func(c *scene) {
					for i := before; i < perAtom; i++ {
						c.Create(fmt.Sprintf("F%d", i), "").Close()
					}
					c.Sync()
				})
				rng := rand.New(rand.NewPCG(*sceneSeed, 9))
				if err := faultdev.EachCut(base, c.rec.Log(), func(x *faultdev.Cut) error {
					for range 10 {
						m, err := x.Scattered(rng)
						if err != nil {
							return err
						}
						r, err := fattest.Check(m)
						if err != nil {
							return err
						}
						if r.Find("PASSED.BIN") != nil {
							return fmt.Errorf("cut after %d of %d: there are%s", x.At, c.rec.Len(), paths(r))
						}
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
