package fat

// Alias is a short name for a name that needs a long one. taken says which short names the
// directory has. Names that differ from 8.3 by case only keep it, and nonumtail tries without a
// number first; otherwise the base gets ~1 to ~9, and then, as Windows and vfat do, two characters,
// four hexadecimal digits and ~1 to ~9. These digits come from the whole name, so that a directory
// with tens of thousands of names that begin alike still takes about one try.
//
// It returns false when every alias is taken, which takes more entries than a directory can have.
func (n *Names) Alias(name Name, taken func([11]byte) bool) ([11]byte, bool) {
	f := n.shorten(name.Units)
	if f.fits || n.noNumTail {
		if s := f.stored(); !shortIsDevice(s) && !taken(s) {
			return s, true
		}
	}
	for digit := byte('1'); digit <= '9'; digit++ {
		if s := f.numbered(f.tail6, []byte{'~', digit}); !taken(s) {
			return s, true
		}
	}
	const places = 1 << 16
	hash := hashUnits(name.Units)
	for i := range uint32(places * 9) {
		// The step is odd, so the digits go through all places before the number changes.
		h := (hash + i*0x9e37) % places
		digit := byte('1' + (hash>>16+i/places)%9)
		tail := append(make([]byte, 0, 6), hexUpper[h>>12], hexUpper[h>>8&15], hexUpper[h>>4&15], hexUpper[h&15], '~', digit)
		if s := f.numbered(f.tail2, tail); !taken(s) {
			return s, true
		}
	}
	return [11]byte{}, false
}

const hexUpper = "0123456789ABCDEF"

// numbered is the short form with its base cut to keep bytes and followed by tail.
func (f *shortForm) numbered(keep int, tail []byte) [11]byte {
	g := *f
	for i := keep; i < shortBase; i++ {
		g.short[i] = ' '
	}
	copy(g.short[keep:shortBase], tail)
	return g.stored()
}

// shortIsDevice reports whether DOS would open a device by this short name.
func shortIsDevice(s [11]byte) bool {
	var units [shortBase]uint16
	for i, c := range s[:shortBase] {
		units[i] = uint16(c)
	}
	return isDevice(units[:])
}

// hashUnits is FNV-1a over a name.
func hashUnits(units []uint16) uint32 {
	h := uint32(2166136261)
	for _, u := range units {
		h = (h ^ uint32(u&0xff)) * 16777619
		h = (h ^ uint32(u>>8)) * 16777619
	}
	return h
}
