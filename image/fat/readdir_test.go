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

// TestListedNumber: a file whose place another one still has the number of, which was moved away and is in use, is listed with
// the number that it has, and has the same whenever it is looked at anew.
func TestListedNumber(t *testing.T) {
	v, _ := open(t, layouts[0], fat.Options{CommitDelay: -1})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := v.Mkdir(v.Root(), "d", 0)
	must(err)
	defer d.Release(1)
	seen := make(map[uint64]string)
	listed := func(name string) (found *fat.Entry) {
		t.Helper()
		must(v.ReadDir(v.Root(), 0, func(e *fat.Entry) bool {
			if e.Name == name {
				kept := *e
				found = &kept
			}
			return true
		}))
		return found
	}
	for _, name := range []string{"1ST", "2ND", "3RD"} {
		n, err := v.Create(v.Root(), name, 0)
		must(err)
		must(v.Sync()) // which also makes the slot free for the next one, once the name went
		if other := seen[n.Ino()]; other != "" {
			t.Errorf("%s has number %d, as %s has", name, n.Ino(), other)
		}
		seen[n.Ino()] = name
		for range 2 {
			was := n.Ino()
			n.Release(1)
			e := listed(name)
			n, err = v.EntryNode(v.Root(), e)
			must(err)
			if n.Ino() != was || e.Ino != was {
				t.Errorf("%s: number %d, then %d; listed: %d", name, was, n.Ino(), e.Ino)
			}
		}
		must(v.Rename(v.Root(), name, d, name, 0))
		must(v.Sync())
		defer n.Release(1)
	}
}
