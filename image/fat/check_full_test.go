package fat_test

import (
	"bytes"
	"fmt"
	"slices"
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

// TestCheckLongDir: files in a directory that is longer than any can be, which readers without a limit see, keep their
// clusters. Without entries, what is too long goes.
func TestCheckLongDir(t *testing.T) {
	for _, used := range []bool{false, true} {
		m := damageable(t, fattest.Layout{Width: 12, Clusters: 300, ClusterSize: 32 << 10})
		e := fattest.NewEditor(t, m)
		v := e.Report().Volume
		size := int64(v.ClusterSize)
		chain := append([]uint32{e.Find("dir").First}, e.FreeClusters(int(2<<20/size)+1)...)
		lost := e.FreeClusters(len(chain) + 7)[:8]
		filler := bytes.Repeat([]byte{0xe5}, int(size))
		for i, c := range chain[1:] {
			if e.Write(filler, v.DataStart+int64(c-2)*size); i == len(chain)-2 && used {
				s := e.Slot("a.txt")
				copy(s, "BEHIND  TXT")
				fattest.SetFirst(s, lost[0])
				e.Write(s, v.DataStart+int64(c-2)*size)
			}
		}
		full := e.Bytes(v.DataStart+int64(chain[0]-2)*size, int(size))
		for i := 0; i < len(full); i += 32 {
			if full[i] == 0 {
				full[i] = 0xe5
			}
		}
		e.Write(full, v.DataStart+int64(chain[0]-2)*size)
		e.Chain(chain)
		e.Chain(lost)
		res, err := fat.Check(m, fat.CheckOptions{Repair: true})
		if err != nil {
			t.Fatal(err)
		}
		if res.Left > 0 != used {
			t.Errorf("%v: %d left", used, res.Left)
		}
		free := e.FreeClusters(100)
		for _, c := range []uint32{chain[len(chain)-1], lost[0], lost[7]} {
			if slices.Contains(free, c) == used {
				t.Errorf("%v: cluster %d is free: %v", used, c, !used)
			}
		}
	}
}

// TestCheckDoubleFull: without room for a copy, the file whose size fits the chain keeps it.
func TestCheckDoubleFull(t *testing.T) {
	for _, l := range repairLayouts[:2] {
		m := damageable(t, l)
		e := fattest.NewEditor(t, m)
		whole, err := e.Find("b.bin").Contents()
		if err != nil {
			t.Fatal(err)
		}
		first := e.Find("b.bin").First
		slot("a.txt", func(_ *fattest.Editor, s []byte) { fattest.SetFirst(s, first) })(e)
		e.Leak(int(e.Report().Free))
		if res, err := fat.Check(m, fat.CheckOptions{Repair: true}); err != nil || res.Left > 0 {
			t.Fatalf("%+v, %v", res, err)
		}
		if got, err := e.Find("b.bin").Contents(); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("FAT%d: b.bin is not what it was: %d bytes, %v", l.Width, len(got), err)
		}
	}
}
