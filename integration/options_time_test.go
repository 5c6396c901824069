package integration

import (
	le "encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTimeOptions(t *testing.T) {
	need(t, "mdir")
	const zone = "Etc/GMT-3" // three hours ahead of UTC
	if _, err := time.LoadLocation(zone); err != nil {
		lacks(t, "needs the time zone data of the system: %v", err)
	}
	t.Setenv("TZ", zone)
	when := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	for _, tc := range []struct{ options, disk string }{
		{"rw", "6:04"},
		{"tz=UTC", "3:04"},
		{"time_offset=90", "4:34"},
		{"time_offset=-120", "1:04"},
	} {
		img := mkfsFAT(t, 4<<20)
		dir := mountImage(t, img, tc.options)
		name := filepath.Join(dir, "a.txt")
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(name); err != nil || !st.ModTime().Equal(when) {
			t.Errorf("-o %s: %v, %v", tc.options, st.ModTime(), err)
		}
		umount(t, dir)
		if out := run(t, "mdir", "-i", img, "::a.txt"); !strings.Contains(out, "2026-01-02   "+tc.disk) {
			t.Errorf("-o %s: on the disk it is\n%s", tc.options, out)
		}
	}
}

func TestAtimeOptions(t *testing.T) {
	old := time.Date(2020, 5, 6, 0, 0, 0, 0, time.Local)
	for options, changes := range map[string]bool{"rw": true, "relatime": true, "strictatime": true, "noatime": false} {
		img := volume(t)
		dir := mountImage(t, img, options)
		name := filepath.Join(dir, "plain.txt")
		if err := os.Chtimes(name, old, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
		umount(t, dir)
		_, entry := shortEntry(t, img, "PLAIN   TXT")
		date := le.LittleEndian.Uint16(entry[18:])
		if changed := date != 40<<9|5<<5|6; changed != changes {
			t.Errorf("-o %s: access date %#x, changed %v, want %v", options, date, changed, changes)
		}
	}
}
