package fat_test

import (
	"testing"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestRepairManyInOneDirectory repairs a directory in which every entry has the same name. What that takes grows with
// their number, not with its square.
func TestRepairManyInOneDirectory(t *testing.T) {
	const entries = 4000
	m := fattest.Formatted(t, fattest.Layout{Width: 16, Clusters: 5000, RootEntries: 4096})
	boot := make([]byte, 512)
	if _, err := m.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	geo, err := fat.ParseGeometry(boot, m.Size(), fat.GeometryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slots := make([]byte, entries*32)
	for i := range entries {
		s := slots[i*32:]
		copy(s, "SAME    TXT\x20")
		for _, date := range []int{16, 18, 24} { // made, read, changed
			copy(s[date:], "\x21\x5a")
		}
	}
	if _, err := m.WriteAt(slots, geo.RootStart); err != nil {
		t.Fatal(err)
	}
	fattest.Contained(t, hostileMemory, func() { mended(t, m) })
	r, err := fattest.Check(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) > 0 {
		t.Errorf("after the repair: %v …", r.Findings[0])
	}
	if len(r.Files) != entries {
		t.Errorf("%d files, want %d", len(r.Files), entries)
	}
}
