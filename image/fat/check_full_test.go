package fat_test

import (
	"bytes"
	"fmt"
	"testing"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestCheckKeepFull: where the root directory has no room for the files that lost clusters are to become, these stay lost,
// which is told, and everything else is repaired.
func TestCheckKeepFull(t *testing.T) {
	m := damageable(t, fattest.Layout{Width: 12, Clusters: 900, RootEntries: 32})
	e := fattest.NewEditor(t, m)
	v := e.Report().Volume
	for i := range 32 {
		if off := v.RootStart + int64(i)*32; bytes.IndexByte([]byte{0, 0xe5}, e.Bytes(off, 1)[0]) >= 0 {
			s := make([]byte, 32)
			copy(s, fmt.Sprintf("FULL%04dTXT", i))
			e.Write(s, off)
		}
	}
	e.Leak(7)
	e.LagFAT()
	before := readable(t, m)
	var left []fat.Finding
	if _, err := fat.Check(m, fat.CheckOptions{Repair: true, Keep: true, Found: func(f fat.Finding) {
		if !f.Fixed {
			left = append(left, f)
		}
	}}); err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0].Kind != fat.Leaked {
		t.Errorf("left: %+v", left)
	}
	r := e.Report()
	if r.Count(fattest.LagFAT) > 0 || r.Count(fattest.Leaked) == 0 || !r.Dirty {
		t.Errorf("%v, dirty: %v", r.Err(), r.Dirty)
	}
	for sum := range readable(t, m) {
		delete(before, sum)
	}
	if len(before) > 0 {
		t.Error("a file is lost")
	}
}
