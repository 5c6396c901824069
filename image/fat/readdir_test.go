package fat_test

import (
	"testing"

	"fatvol/image/fat"
)

// TestEntryPair: what the ioctls of vfat give follows shortname= as the listing does, and a name without long-name slots
// has no long form, whatever its case.
func TestEntryPair(t *testing.T) {
	for mode, want := range map[fat.ShortNameMode]map[string][2]string{
		fat.ShortWinNT: {"lower.txt": {"lower.txt", ""}, "UPPER.low": {"UPPER.low", ""}, "Mixed.txt": {"MIXED.TXT", "Mixed.txt"}},
		fat.ShortMixed: {"lower.txt": {"LOWER.TXT", "lower.txt"}, "UPPER.TXT": {"UPPER.TXT", ""}},
		fat.ShortLower: {"lower.txt": {"lower.txt", "lower.txt"}, "A long name": {"alongn~1", "A long name"}},
	} {
		v, _ := open(t, layouts[0], fat.Options{Names: fat.NameOptions{ShortName: mode}})
		for name := range want {
			n, err := v.Create(v.Root(), name, 0)
			if err != nil {
				t.Fatal(err)
			}
			n.Release(1)
		}
		err := v.ReadDir(v.Root(), 0, func(e *fat.Entry) bool {
			if short, long := e.Pair(); want[e.Name] != [2]string{short, long} {
				t.Errorf("shortname mode %v, %q: %q, %q, want %q", mode, e.Name, short, long, want[e.Name])
			}
			delete(want, e.Name)
			return true
		})
		if err != nil || len(want) > 0 {
			t.Errorf("shortname mode %v: %v, not listed: %v", mode, err, want)
		}
	}
}
