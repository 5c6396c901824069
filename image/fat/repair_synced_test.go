package fat_test

import (
	"log/slog"
	"testing"
	"time"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestSyncBesideRepair: a file that a cut has left two names is written by the older one, and synced, while the repair looks for such
// names. A cut right after the sync does not take back what was written.
func TestSyncBesideRepair(t *testing.T) {
	for _, l := range cutLayouts[:2] {
		for _, how := range []string{"file", "volume", "option"} {
			m := wide(t, l)
			e := fattest.NewEditor(t, m)
			before, err := e.Report().Find("OLDER.TXT").Contents()
			if err != nil {
				t.Fatal(err)
			}
			v, err := fat.Open(slow{m}, fat.Options{Log: slog.New(slog.DiscardHandler), CommitDelay: -time.Second, Sync: how == "option"})
			if err != nil {
				t.Fatal(err)
			}
			s := fattest.NewScene(t, engineTree{v}, func() int { return 0 }, 1)
			f, more := s.Open("OLDER.TXT"), s.Data(2000)
			f.Append(more)
			switch how {
			case "file":
				f.Sync()
			case "volume":
				s.Sync()
			}
			cut := m.Clone()
			f.Close()
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := repaired(cut, fat.Options{}); err != nil {
				t.Fatal(err)
			}
			check(t, cut)
			if r := fattest.NewEditor(t, cut).Report(); !contains(r, string(before)+more, "twice.txt", "OLDER.TXT") {
				t.Errorf("FAT%d, %s: what was synced is gone; there are%s", l.Width, how, paths(r))
			}
		}
	}
}
