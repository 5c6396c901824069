package fat_test

import (
	"log/slog"
	"testing"
	"time"

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
				<-v.Repaired()
				if state := v.Repair(); state != fat.RepairDone {
					t.Errorf("FAT%d: the repair ended as %v", l.Width, state)
				}
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
				check(t, m)
				if !contains(e.Report(), string(want), "twice.txt", "moved.txt") && !(what == "written anew" && contains(e.Report(), anew, "twice.txt")) {
					t.Errorf("FAT%d: what had two names is gone", l.Width)
				}
			}
		})
	}
}
