package fat

// Short names are 8.3: eight bytes and three, padded with spaces, in the volume's code page and, by
// the rules of DOS, in upper case (FAT specification section 6.1).
const (
	shortBase = 8
	shortLen  = 11
)

// ShortChecksum is the sum by which long-name slots belong to a short name (FAT specification
// section 7.2).
func ShortChecksum(short [11]byte) byte {
	var sum byte
	for _, c := range short {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// ShowShort is a short name as applications see it: by the code page, the shortname= option and the
// NT case bits of its entry. It is as safe as ShowLong, and Fold finds it always.
func (n *Names) ShowShort(short [11]byte, ntCase byte) string {
	lowerBase := n.shortName == ShortLower
	lowerExt := lowerBase
	if n.shortName == ShortMixed || n.shortName == ShortWinNT {
		lowerBase = ntCase&caseLowerBase != 0
		lowerExt = ntCase&caseLowerExt != 0
	}
	return n.shortText(short, lowerBase, lowerExt)
}

// ShortText is a short name as it is stored, by the code page, for those who ask for the alias.
func (n *Names) ShortText(short [11]byte) string { return n.shortText(short, false, false) }

func (n *Names) shortText(short [11]byte, lowerBase, lowerExt bool) string {
	if short[0] == slotKanji {
		short[0] = slotDeleted
	}
	var buf [shortLen + 1]uint16
	units := n.appendShort(buf[:0], short[:shortBase], lowerBase)
	if ext := trimRight(short[shortBase:]); len(ext) > 0 {
		units = append(units, '.')
		units = n.appendShort(units, ext, lowerExt)
	}
	if len(units) == 0 {
		units = append(units, ' ') // an entry without a name is shown as an escaped space
	}
	return n.show(units)
}

// appendShort appends one part of a short name, without the spaces that pad it, as UTF-16.
func (n *Names) appendShort(units []uint16, part []byte, lower bool) []uint16 {
	part = trimRight(part)
	for len(part) > 0 {
		c := part[0]
		if lower {
			c = n.oem.lower[c]
		}
		r, size := n.oem.single[c], 1
		if r >= 0x80 { // not ASCII, or not a character by itself
			if r, size = n.oem.decode(part); size == 1 {
				r = n.oem.single[c]
			}
		}
		if r > 0xffff || r == 0xfffd {
			r, size = byteSurrogate+rune(part[0]), 1
		}
		units = append(units, uint16(r))
		part = part[size:]
	}
	return units
}

func trimRight(part []byte) []byte {
	for len(part) > 0 && part[len(part)-1] == ' ' {
		part = part[:len(part)-1]
	}
	return part
}

// A shortForm is what becomes of a long name when it is squeezed into 8.3.
type shortForm struct {
	short        [11]byte // padded; the first byte not yet replaced by slotKanji
	baseLen      int      // 1..8
	tail6, tail2 int      // lengths of the base cut at a character to at most 6 and 2 bytes
	// fits: nothing was left out or replaced, so that the name differs from short by case only.
	fits      bool
	base, ext shortCase
}

// shortCase says in which case all letters of a part are. Both hold when it has no letters, neither
// when it mixes them or has letters that are not ASCII.
type shortCase struct{ lower, upper bool }

// shorten makes the short form by the rules of vfat, which are those of Windows: leading dots and
// spaces go, so do all dots but the last and all spaces; what a short name cannot hold becomes '_'.
// The name must have a character that is neither a dot nor a space.
func (n *Names) shorten(units []uint16) shortForm {
	f := shortForm{fits: true, base: shortCase{true, true}, ext: shortCase{true, true}, tail6: 6, tail2: 2}
	for i := range f.short {
		f.short[i] = ' '
	}
	base, ext := splitExtension(units)
	for i, u := range base {
		b := n.shortBytes(u, &f.base, &f.fits)
		if f.baseLen+len(b) > shortBase {
			f.fits = false
			break
		}
		if f.baseLen < 2 && f.baseLen+len(b) > 2 {
			f.tail2 = f.baseLen
		}
		if f.baseLen < 6 && f.baseLen+len(b) > 6 {
			f.tail6 = f.baseLen
		}
		f.baseLen += copy(f.short[f.baseLen:shortBase], b)
		if f.baseLen == shortBase && i+1 < len(base) {
			f.fits = false
			break
		}
	}
	extLen := 0
	for _, u := range ext {
		b := n.shortBytes(u, &f.ext, &f.fits)
		if extLen+len(b) > shortLen-shortBase {
			f.fits = false
			break
		}
		extLen += copy(f.short[shortBase+extLen:], b)
	}
	f.tail6 = min(f.tail6, f.baseLen)
	f.tail2 = min(f.tail2, f.baseLen)
	return f
}

// splitExtension splits at the last dot. A dot at the end, or one with nothing but dots and spaces
// before it, begins no extension.
func splitExtension(units []uint16) (base, ext []uint16) {
	dot := len(units) - 1
	for dot >= 0 && units[dot] != '.' {
		dot--
	}
	if dot < 0 || dot == len(units)-1 {
		return units, nil
	}
	for _, u := range units[:dot] {
		if u != '.' && u != ' ' {
			return units[:dot], units[dot+1:]
		}
	}
	return units, nil
}

// shortBytes are the bytes of a unit in a short name; none for a dot or a space.
func (n *Names) shortBytes(u uint16, letters *shortCase, fits *bool) []byte {
	switch {
	case u == '.' || u == ' ':
		*fits = false
		return nil
	case u < 0x80:
		c := byte(u)
		switch {
		case 'a' <= c && c <= 'z':
			letters.upper = false
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z':
			letters.lower = false
		case forbidden(c) || c == '[' || c == ']' || c == ';' || c == ',' || c == '+' || c == '=':
			*fits = false
			c = '_'
		}
		return shortASCII[c : c+1 : c+1]
	}
	*letters = shortCase{}
	var buf [maxCharBytes]byte
	b, ok := n.oem.appendRune(buf[:0], rune(u))
	if ok && len(b) == 1 {
		b[0] = n.oem.upper[b[0]]
	}
	// The second byte of a character can be a backslash or a bar. Programs that go byte by byte,
	// checkers among them, take such a name for damaged.
	if !ok || len(b) > 2 || len(b) == 2 && (forbidden(b[1]) || b[1] == '[' || b[1] == ']') {
		*fits = false
		return shortASCII['_' : '_'+1 : '_'+1]
	}
	return b
}

// shortASCII holds every ASCII byte at its own index.
var shortASCII = func() (t [0x80]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	return t
}()

// exactShort is the short name that holds a name without a long one, if the shortname= option
// lets there be one.
func (n *Names) exactShort(units []uint16) (short [11]byte, ntCase byte, ok bool) {
	if len(units) > shortLen+1 {
		return short, 0, false
	}
	f := n.shorten(units)
	if !f.fits {
		return short, 0, false
	}
	if n.shortName != ShortWinNT {
		ok = f.base.upper && f.ext.upper
	} else if ok = (f.base.upper || f.base.lower) && (f.ext.upper || f.ext.lower); ok {
		if !f.base.upper {
			ntCase |= caseLowerBase
		}
		if !f.ext.upper {
			ntCase |= caseLowerExt
		}
	}
	if !ok {
		return short, 0, false
	}
	return f.stored(), ntCase, true
}

// stored is the short form as it is on the disk, where 0xe5 at the beginning would mean a free slot.
func (f *shortForm) stored() [11]byte {
	s := f.short
	if s[0] == slotDeleted {
		s[0] = slotKanji
	}
	return s
}
