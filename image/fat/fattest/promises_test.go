package fattest

import (
	"encoding/binary"
	"testing"
)

// addFile puts a file of one cluster in the root directory.
func addFile(t *testing.T, m Medium, short, contents string) {
	t.Helper()
	e := NewEditor(t, m)
	cs := e.FreeClusters(1)
	e.Chain(cs)
	v := e.volume()
	e.Write([]byte(contents), v.DataStart+int64(cs[0]-2)*int64(v.ClusterSize))
	slot := make([]byte, slotSize)
	copy(slot, short)
	binary.LittleEndian.PutUint16(slot[24:], 0x21) // 1980-01-01
	binary.LittleEndian.PutUint16(slot[26:], uint16(cs[0]))
	binary.LittleEndian.PutUint32(slot[28:], uint32(len(contents)))
	e.Write(slot, e.FreeSlot())
}

// TestPromises looks at a volume with one file, of one cluster, with promises that it keeps and others.
func TestPromises(t *testing.T) {
	m := Formatted(t, Layout{Width: 12, Clusters: 100})
	text := Records(1, 300)
	addFile(t, m, "THERE   BIN", text)
	for _, c := range []struct {
		what string
		ps   Promises
		kept bool
	}{
		{"its contents", Promises{{Path: "THERE.BIN", Allowed: []string{text}}}, true},
		{"these or others", Promises{{Path: "THERE.BIN", Allowed: []string{"x", text}}}, true},
		{"others", Promises{{Path: "THERE.BIN", Allowed: []string{"x"}}}, false},
		{"a part of them", Promises{{Path: "THERE.BIN", Allowed: []string{text[:299]}}}, false},
		{"absent", Promises{{Path: "THERE.BIN", Absent: true}}, false},
		{"absent or its contents", Promises{{Path: "THERE.BIN", Allowed: []string{text}, Absent: true}}, true},
		{"anything", Promises{{Path: "THERE.BIN", Any: true}}, true},
		{"another file", Promises{{Path: "OTHER.BIN", Allowed: []string{text}}}, false},
		{"another file, perhaps", Promises{{Path: "OTHER.BIN", Allowed: []string{text}, Absent: true}}, true},
		{"no other file", Promises{{Path: "OTHER.BIN", Absent: true}}, true},
		{"what a later promise takes back", Promises{{Path: "OTHER.BIN", Allowed: []string{text}}, {From: 5, Path: "OTHER.BIN", Any: true}}, true},
		{"what comes later", Promises{{From: 6, Path: "OTHER.BIN", Allowed: []string{text}}}, true},
	} {
		if _, err := c.ps.Judge(m, 5); (err == nil) != c.kept {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	// The same bytes in another file are not its own.
	addFile(t, m, "OTHER   BIN", text)
	if err := Unmingled(check(t, m)); err == nil {
		t.Error("bytes of one file in another are not noticed")
	}
}
