package fattest

import (
	"encoding/binary"
	"slices"

	"fatvol/image/device"
)

// A Mutator damages copies of a volume where it has a structure: boot sector and FSInfo, the FAT,
// directory entries and their long names.
type Mutator struct {
	v     *Volume
	files []*File
}

// NewMutator returns a Mutator for copies of m.
func NewMutator(m *device.Mem) (*Mutator, error) {
	r, err := Check(m)
	if err != nil {
		return nil, err
	}
	return &Mutator{r.Volume, r.Files}, nil
}

// Mutate damages m as data says, of which each change takes eight bytes. What a change refers to is found
// where it was on the volume before, so that changes add up. Any data is right; some change nothing.
func (u *Mutator) Mutate(m *device.Mem, data []byte) {
	for ; len(data) >= mutationSize; data = data[mutationSize:] {
		c := change{what: data[0], kind: data[1], at: binary.LittleEndian.Uint16(data[2:]), value: binary.LittleEndian.Uint32(data[4:])}
		mutations[int(c.what)%len(mutations)](&mutator{u, m}, c)
	}
}

const mutationSize = 8

// change says what is changed, and how.
type change struct {
	what, kind byte
	at         uint16
	value      uint32
}

type mutator struct {
	*Mutator
	m *device.Mem
}

// What is met oftener than its share is there more than once.
var mutations = []func(*mutator, change){
	(*mutator).boot, (*mutator).info, (*mutator).table, (*mutator).table, (*mutator).chain, (*mutator).entry, (*mutator).entry,
	(*mutator).ancestor, (*mutator).longName, (*mutator).longName, (*mutator).longUnits, (*mutator).shortName, (*mutator).dots,
	(*mutator).hugeDir, (*mutator).raw, (*mutator).dirty, (*mutator).dirty,
}

func (u *mutator) write(off int64, p []byte) {
	if off >= 0 && off+int64(len(p)) <= u.m.Size() {
		_, _ = u.m.WriteAt(p, off)
	}
}

func (u *mutator) number(off int64, size int, value uint32) {
	u.write(off, binary.LittleEndian.AppendUint32(nil, value)[:size])
}

// extreme are the values at which sums and products go wrong; others come from the change.
func (c change) extreme() uint32 {
	of := []uint32{0, 1, 2, 3, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xfff7, 0xfff8, 0xffff, 0x10000, 0x0ffffff6, 0x0fffffff,
		0x7fffffff, 0x80000000, 0xffffffff, c.value}
	return of[int(c.kind)%len(of)]
}

// bootFields are the offsets and sizes of the fields of a boot sector (FAT specification section 3).
var bootFields = [...]struct {
	off  int64
	size int
}{
	{0, 1}, {11, 2}, {13, 1}, {14, 2}, {16, 1}, {17, 2}, {19, 2}, {21, 1}, {22, 2}, {24, 2}, {26, 2}, {28, 4}, {32, 4}, {36, 4},
	{37, 1}, {38, 1}, {40, 2}, {42, 2}, {44, 4}, {48, 2}, {50, 2}, {65, 1}, {66, 1}, {510, 2},
}

func (u *mutator) boot(c change) {
	f := bootFields[int(c.at)%len(bootFields)]
	u.number(f.off, f.size, c.extreme())
}

func (u *mutator) info(c change) {
	if u.v.Info != 0 {
		u.number(u.v.Info+[...]int64{0, 484, 488, 492, 508}[c.at%5], 4, c.extreme())
	}
}

// file is one of those that there are.
func (u *mutator) file(n uint16) *File {
	if len(u.files) == 0 {
		return nil
	}
	return u.files[int(n)%len(u.files)]
}

// cluster is one that somebody has, or any.
func (u *mutator) cluster(n uint32) uint32 {
	if f := u.file(uint16(n)); f != nil && n&0x10000 == 0 {
		if i := int(n>>17) % max(1, len(f.Extents)); i < len(f.Extents) {
			e := f.Extents[i]
			return e.Start + n>>24%e.Count
		}
	}
	return 2 + n%u.v.Clusters
}

// link sets an entry of all FATs.
func (u *mutator) link(c, value uint32) {
	for i := range u.v.FATs {
		w := writer{d: u.m}
		if off := u.v.FATStart + int64(i)*u.v.FATBytes; off+int64(c)*int64(u.v.Width)/8+4 <= u.m.Size() {
			putEntry(&w, u.v.Width, off, c, value)
		}
	}
}

func (u *mutator) last() uint32 { return uint32(1)<<min(u.v.Width, 28) - 1 }

// table changes one entry of the FAT: to a loop, into another chain, out of the volume, free, bad.
func (u *mutator) table(c change) {
	at := u.cluster(uint32(c.at) | c.value<<16)
	to := []uint32{at, u.cluster(c.value), u.v.Clusters + 2 + c.value%3, 0, 1, u.last() &^ 8, u.last(), at + 1, at - 1, c.value}
	u.link(at, to[int(c.kind)%len(to)]&u.last())
}

// chain makes a file's chain go on over the clusters that follow, whosever they are.
func (u *mutator) chain(c change) {
	f := u.file(c.at)
	if f == nil || len(f.Extents) == 0 {
		return
	}
	e := f.Extents[len(f.Extents)-1]
	for at, n := e.Start+e.Count-1, c.value%(1<<(c.kind%17)); n > 0 && at <= u.v.Clusters; at, n = at+1, n-1 {
		u.link(at, at+1)
	}
}

// dirty marks the volume as one that was not unmounted properly, or the FAT copies as different.
func (u *mutator) dirty(c change) {
	if c.kind%4 == 3 {
		u.number(u.v.FATStart+u.v.FATBytes*int64(u.v.FATs-1)+int64(c.at), 1, c.value)
		return
	}
	u.number(int64(u.v.State), 1, 1)
	u.link(1, u.last()&^(1<<[...]int{0, 11, 15, 27}[c.kind/4%4]))
}

// slotFields are the offsets and sizes of the fields of a directory entry (section 6).
var slotFields = [...]struct {
	off  int64
	size int
}{{0, 1}, {8, 1}, {11, 1}, {12, 1}, {13, 1}, {14, 2}, {16, 2}, {18, 2}, {20, 2}, {22, 2}, {24, 2}, {26, 2}, {28, 4}}

func (u *mutator) entry(c change) {
	if f := u.file(c.at); f != nil {
		s := slotFields[int(c.value>>24)%len(slotFields)]
		u.number(f.Offset+s.off, s.size, c.extreme())
	}
}

func (u *mutator) first(f *File, first uint32) {
	u.number(f.Offset+26, 2, first)
	if u.v.Width == 32 {
		u.number(f.Offset+20, 2, first>>16)
	}
}

// ancestor makes an entry lead to a directory above it, or to itself, or to another file's clusters.
func (u *mutator) ancestor(c change) {
	f := u.file(c.at)
	if f == nil {
		return
	}
	up := f
	for range c.kind % 4 {
		if up.parent != nil {
			up = up.parent
		}
	}
	to := up.First
	switch c.kind / 4 % 4 {
	case 1:
		to = u.v.RootCluster
	case 2:
		to = u.cluster(c.value)
	}
	u.first(f, to)
	if c.kind&0x40 != 0 {
		u.number(f.Offset+11, 1, attrDir)
	}
}

// longName changes the ordinal, the type or the checksum of a slot of a long name.
func (u *mutator) longName(c change) {
	if f := u.file(c.at); f != nil && f.Slots > 1 {
		slot := f.Offset - slotSize*int64(1+c.value%uint32(f.Slots-1))
		u.number(slot+[...]int64{0, 11, 12, 13, 26}[c.value>>16%5], 1, c.extreme())
	}
}

// unitOffsets are where a slot of a long name has its characters.
var unitOffsets = [...]int64{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// longUnits puts characters into a long name that no name has.
func (u *mutator) longUnits(c change) {
	f := u.file(c.at)
	if f == nil || f.Slots < 2 {
		return
	}
	units := [][]uint16{{'/'}, {0}, {'.', '.', 0, 0xffff}, {'.', 0}, {1}, {0xd800}, {0xdc00}, {0xdfff, 0xd800}, {0xffff}, {'\\'}, {' ', 0},
		{'.', '.', '/', 'x', 0}, {':', '0', '0', '2', 'f'}, {0x202e}, {uint16(c.value)}}
	slot := f.Offset - slotSize*int64(1+c.value>>8%uint32(f.Slots-1))
	for i, unit := range units[int(c.kind)%len(units)] {
		if at := int(c.value%13)*int(c.kind>>7) + i; at < len(unitOffsets) {
			u.number(slot+unitOffsets[at], 2, uint32(unit))
		}
	}
}

// evilNames are short names that no system makes, of 11 bytes.
var evilNames = []string{"..         ", ".          ", "A/B        ", "../../X    ", "\x00          ", "\xe5FILE      ", "\x05          ",
	"A\x00B        ", "\x01\x02\x03        ", "           ", "CON        ", "lower      ", "A          ", "\xff\xfe\xfd        ", "A\\B     *?:"}

func (u *mutator) shortName(c change) {
	if f := u.file(c.at); f != nil {
		u.write(f.Offset, []byte(evilNames[int(c.kind)%len(evilNames)]))
	}
}

// dots changes the entries of a directory for itself and for the one above.
func (u *mutator) dots(c change) {
	f := u.file(c.at)
	if f == nil || !f.IsDir || len(f.Extents) == 0 {
		return
	}
	slot := u.v.DataStart + int64(f.First-2)*int64(u.v.ClusterSize) + slotSize*int64(c.value%2)
	switch c.kind % 3 {
	case 0:
		u.number(slot+26, 2, u.cluster(c.value))
	case 1:
		u.write(slot, []byte(evilNames[int(c.value>>8)%len(evilNames)]))
	default:
		u.number(slot+11, 1, c.value>>8)
	}
}

// hugeDir gives a directory as many entries as it may have, and one cluster more.
func (u *mutator) hugeDir(c change) {
	i := slices.IndexFunc(u.files, func(f *File) bool { return f.IsDir && len(f.Extents) > 0 })
	clusters := uint32(maxSlots*slotSize/u.v.ClusterSize) + 1
	if i < 0 || c.kind%8 != 0 || u.v.Clusters < clusters+u.v.Clusters/4 {
		return
	}
	f := u.files[i]
	start := u.v.Clusters + 2 - clusters
	u.link(f.Extents[len(f.Extents)-1].Start+f.Extents[len(f.Extents)-1].Count-1, start)
	slots := make([]byte, u.v.ClusterSize)
	for k := range clusters {
		to := start + k + 1
		if k == clusters-1 {
			to = u.last()
		}
		u.link(start+k, to)
		for at := 0; at < len(slots); at += slotSize {
			n := k*uint32(len(slots)/slotSize) + uint32(at/slotSize)
			copy(slots[at:], []byte{'N', 'A' + byte(n%26), 'A' + byte(n/26%26), 'A' + byte(n/676%26), 'A' + byte(n/17576%26), ' ', ' ', ' ', ' ', ' ', ' ', attrArchive})
		}
		u.write(u.v.DataStart+int64(start+k-2)*int64(u.v.ClusterSize), slots)
	}
}

// raw changes bytes anywhere before the end of the first directories.
func (u *mutator) raw(c change) {
	area := []int64{512, u.v.FATBytes, u.v.DataStart - u.v.RootStart + 16384, u.m.Size()}[c.kind%4]
	base := []int64{0, u.v.FATStart, u.v.RootStart, 0}[c.kind%4]
	u.number(base+(int64(c.at)<<8|int64(c.value&0xff))%max(1, area), 1+int(c.kind>>6)%3, c.value>>8)
}
