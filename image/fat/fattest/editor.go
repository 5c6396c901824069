package fattest

import (
	"encoding/binary"
	"io"
	"testing"
)

// Medium is a volume that an Editor changes.
type Medium interface {
	Source
	io.WriterAt
}

// An Editor does to a volume what a cut, a fault or malice would have done. It has a look at the volume
// for each step, and fails the test where that cannot be taken.
type Editor struct {
	t testing.TB
	m Medium
}

// NewEditor returns an Editor of m.
func NewEditor(t testing.TB, m Medium) *Editor { return &Editor{t, m} }

// Report is what Check says of the volume.
func (e *Editor) Report() *Report {
	e.t.Helper()
	r, err := Check(e.m)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func (e *Editor) volume() *Volume {
	e.t.Helper()
	v, err := readVolume(e.m)
	if err == nil {
		v.fat, err = v.readFAT(v.Active)
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return v
}

// Write puts bytes at an offset of the volume.
func (e *Editor) Write(p []byte, off int64) {
	e.t.Helper()
	if _, err := e.m.WriteAt(p, off); err != nil {
		e.t.Fatal(err)
	}
}

// Bytes are n bytes at an offset of the volume.
func (e *Editor) Bytes(off int64, n int) []byte {
	e.t.Helper()
	p := make([]byte, n)
	if _, err := e.m.ReadAt(p, off); err != nil {
		e.t.Fatal(err)
	}
	return p
}

// End is the value of an entry that ends a chain, Bad that of a cluster that is not to be used.
func (v *Volume) End() uint32     { return map[int]uint32{12: 0xfff, 16: 0xffff, 32: 0x0fffffff}[v.Width] }
func (v *Volume) BadMark() uint32 { return v.End() - 8 }

// SetEntry gives a cluster's entry a value, in every FAT.
func (e *Editor) SetEntry(c, value uint32) {
	e.t.Helper()
	v := e.volume()
	for k := 0; k < v.FATs; k++ {
		e.setEntry(v, k, c, value)
	}
}

func (e *Editor) setEntry(v *Volume, k int, c, value uint32) {
	e.t.Helper()
	off := v.FATStart + int64(k)*v.FATBytes
	switch v.Width {
	case 12:
		off += int64(c + c/2)
		p := e.Bytes(off, 2)
		old := binary.LittleEndian.Uint16(p)
		if c&1 == 1 {
			old = old&0x000f | uint16(value)<<4
		} else {
			old = old&0xf000 | uint16(value)&0xfff
		}
		binary.LittleEndian.PutUint16(p, old)
		e.Write(p, off)
	case 16:
		e.Write(binary.LittleEndian.AppendUint16(nil, uint16(value)), off+int64(c)*2)
	default:
		e.Write(binary.LittleEndian.AppendUint32(nil, value), off+int64(c)*4)
	}
}

// FreeClusters are the last n free clusters, in ascending order.
func (e *Editor) FreeClusters(n int) []uint32 {
	e.t.Helper()
	v := e.volume()
	out := make([]uint32, n)
	for c := uint32(len(v.fat)) - 1; c >= 2 && n > 0; c-- {
		if v.fat[c] == entryFree {
			n--
			out[n] = c
		}
	}
	if n > 0 {
		e.t.Fatal("not enough free clusters")
	}
	return out
}

// Chain links clusters, and ends the chain.
func (e *Editor) Chain(cs []uint32) {
	e.t.Helper()
	for i, c := range cs {
		value := e.volume().End()
		if i+1 < len(cs) {
			value = cs[i+1]
		}
		e.SetEntry(c, value)
	}
}

// Find is the file at a path, which has to be there.
func (e *Editor) Find(path string) *File {
	e.t.Helper()
	f := e.Report().Find(path)
	if f == nil {
		e.t.Fatalf("%q is not there", path)
	}
	return f
}

// Clusters are those of a file's chain.
func (f *File) Clusters() (cs []uint32) {
	for _, x := range f.Extents {
		for i := range x.Count {
			cs = append(cs, x.Start+i)
		}
	}
	return cs
}

// Slot is a file's short entry.
func (e *Editor) Slot(path string) []byte {
	e.t.Helper()
	return e.Bytes(e.Find(path).Offset, slotSize)
}

// SetSlot replaces a file's short entry.
func (e *Editor) SetSlot(path string, s []byte) {
	e.t.Helper()
	e.Write(s, e.Find(path).Offset)
}

// SetFirst makes a short entry start at a cluster.
func SetFirst(s []byte, c uint32) {
	binary.LittleEndian.PutUint16(s[26:], uint16(c))
	if c>>16 != 0 || s[20] != 0 || s[21] != 0 {
		binary.LittleEndian.PutUint16(s[20:], uint16(c>>16))
	}
}

// SetSize gives a short entry a size.
func SetSize(s []byte, n uint32) { binary.LittleEndian.PutUint32(s[28:], n) }

// FreeSlot is the offset of a slot of the root directory that was never used.
func (e *Editor) FreeSlot() int64 {
	e.t.Helper()
	v := e.volume()
	off, n := v.RootStart, int64(v.RootEntries)
	if v.Width == 32 {
		off, n = v.DataStart+int64(v.RootCluster-2)*int64(v.ClusterSize), int64(v.ClusterSize)/slotSize
	}
	for ; n > 0; n, off = n-1, off+slotSize {
		if e.Bytes(off, 1)[0] == slotEnd {
			return off
		}
	}
	e.t.Fatal("the root directory is full")
	return 0
}

// Leak makes a chain of n clusters that nothing leads to.
func (e *Editor) Leak(n int) { e.t.Helper(); e.Chain(e.FreeClusters(n)) }

// Lengthen adds n clusters to a file's chain.
func (e *Editor) Lengthen(path string, n int) {
	e.t.Helper()
	e.Chain(append(e.Find(path).Clusters(), e.FreeClusters(n)...))
}

// OrphanSlot puts a part of a long name into the root directory that no entry follows.
func (e *Editor) OrphanSlot() {
	e.t.Helper()
	s := make([]byte, slotSize)
	s[0], s[11], s[13] = 0x41, attrLong, 0x5a
	copy(s[1:], "l\x00o\x00s\x00t\x00\x00\x00")
	for _, at := range []int{14, 16, 18, 20, 22, 24, 28, 30} {
		s[at], s[at+1] = 0xff, 0xff
	}
	e.Write(s, e.FreeSlot())
}

// Double gives a file a second name, 8.3, in the root directory; its entry is otherwise the same.
func (e *Editor) Double(path, short string) {
	e.t.Helper()
	s := e.Slot(path)
	copy(s, short)
	e.Write(s, e.FreeSlot())
}

// LagFAT makes the second FAT, where there is one, differ from the first.
func (e *Editor) LagFAT() {
	e.t.Helper()
	if v := e.volume(); v.FATs > 1 {
		for c := v.Clusters / 2; c < v.Clusters/2+10; c++ {
			e.setEntry(v, 1, c, 1)
		}
	}
}

// MarkDirty marks the volume as not unmounted.
func (e *Editor) MarkDirty() {
	e.t.Helper()
	v := e.volume()
	e.Write([]byte{e.Bytes(int64(v.State), 1)[0] | 1}, int64(v.State))
}
