package fat_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestCheckCuts cuts the repair of each damage, and repairs what that leaves: every file that could be read can be
// read, and nothing is wrong.
func TestCheckCuts(t *testing.T) {
	for name, do := range damages {
		l := repairLayouts[0]
		t.Run(fmt.Sprintf("%s/FAT%d", name, l.Width), func(t *testing.T) {
			m := damageable(t, l)
			do(fattest.NewEditor(t, m))
			before := readable(t, m)
			rec := faultdev.NewRecorder(m.Clone())
			if _, err := fat.Check(rec, fat.CheckOptions{Repair: true}); err != nil {
				t.Fatal(err)
			}
			c := &cutter{base: m, rec: rec}
			if err := c.cuts(rand.New(rand.NewPCG(*sceneSeed, 8)), 1, func(x cut) {
				if !lookedAt(x.at) {
					return
				}
				if _, err := fat.Check(x.m, fat.CheckOptions{Repair: true}); err != nil {
					t.Fatal(err)
				}
				r, err := fattest.Check(x.m)
				if err == nil {
					err = r.Err()
				}
				if err != nil {
					t.Fatalf("cut after entry %d of %d, %s: %v", x.at, rec.Len(), x.what, err)
				}
				after := readable(t, x.m)
				for sum := range before {
					if after[sum] == 0 {
						t.Fatalf("cut after entry %d of %d, %s: a file is lost", x.at, rec.Len(), x.what)
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
