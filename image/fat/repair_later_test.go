package fat_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestRepairLater: a file that a cut has left two names is renamed and written to by one of them, while nobody repairs the volume.
// A later repair leaves what was written, however often it was renamed.
func TestRepairLater(t *testing.T) {
	for what, repair := range map[string]func(m *device.Mem) error{
		"mount": func(m *device.Mem) error { _, err := repaired(m, fat.Options{}); return err },
		"check": func(m *device.Mem) error { _, err := fat.Check(m, fat.CheckOptions{Repair: true}); return err },
	} {
		for _, from := range []string{"twice.txt", "OLDER.TXT"} {
			for n := range 5 {
				m := wide(t, cutLayouts[1])
				e := fattest.NewEditor(t, m)
				before, err := e.Report().Find("OLDER.TXT").Contents()
				if err != nil {
					t.Fatal(err)
				}
				at := time.Now().Add(time.Minute)
				v, err := fat.Open(m, fat.Options{Log: slog.New(slog.DiscardHandler), CommitDelay: -time.Second, Repair: fat.RepairNo,
					Now: func() time.Time { return at }})
				if err != nil {
					t.Fatal(err)
				}
				s := fattest.NewScene(t, engineTree{v}, func() int { return 0 }, 1)
				name := from
				for i := range n {
					to := fmt.Sprintf("name %d", i)
					s.Rename(name, to)
					s.Sync()
					name = to
				}
				f, more := s.Open(name), s.Data(2000)
				f.Append(more)
				f.Sync()
				f.Close()
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
				if err := repair(m); err != nil {
					t.Fatal(err)
				}
				check(t, m)
				if !contains(e.Report(), string(before)+more, name) {
					t.Errorf("%s: of %s, renamed %d times, what was synced is gone", what, from, n)
				}
			}
		}
	}
}
