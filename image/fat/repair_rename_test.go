package fat_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestRenameBesideRepairCut: a file that a cut has left two names is renamed by either while the repair looks for such names, and
// the mount is cut as well. The next repair finds out which name is the newest, and leaves that one.
func TestRenameBesideRepairCut(t *testing.T) {
	for _, l := range cutLayouts[:2] {
		for _, old := range []string{"OLDER.TXT", "twice.txt"} {
			t.Run(fmt.Sprintf("FAT%d, %s", l.Width, old), func(t *testing.T) {
				base := wide(t, l)
				rec := faultdev.NewRecorder(base.Clone())
				v, err := fat.Open(slow{rec}, fat.Options{Log: slog.New(slog.DiscardHandler), CommitDelay: -time.Second})
				if err != nil {
					t.Fatal(err)
				}
				const to = "directory 7/the name that it has now"
				s := fattest.NewScene(t, engineTree{v}, rec.Len, 1)
				refused := engineTree{v}.Rename(old, to, 0)
				s.Sync()
				synced := rec.Len()
				if cerr := v.Close(); cerr != nil {
					t.Fatal(cerr)
				}
				rng := rand.New(rand.NewPCG(1, 5))
				err = faultdev.EachCut(base, rec.Log(), func(x *faultdev.Cut) error {
					m, cerr := x.Scattered(rng)
					if cerr != nil {
						return cerr
					}
					if state, cerr := repaired(m, fat.Options{}); cerr != nil || state == fat.RepairDamage {
						return fmt.Errorf("cut after %d of %d: the repair ended as %v, %v", x.At, rec.Len(), state, cerr)
					}
					r := fattest.NewEditor(t, m).Report()
					n := 0
					for _, name := range []string{"OLDER.TXT", "twice.txt", to} {
						if r.Find(name) != nil {
							n++
						}
					}
					if n != 1 || r.Err() != nil || refused == nil && x.At >= synced && r.Find(to) == nil {
						return fmt.Errorf("cut after %d of %d: renamed %v, there are%s, %v", x.At, rec.Len(), refused, paths(r), r.Err())
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}
