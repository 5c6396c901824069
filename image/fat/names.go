package fat

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ShortNameMode is the shortname= option of Linux' vfat: how names without a long name are shown,
// and which names need none.
type ShortNameMode uint8

const (
	// ShortMixed shows by the NT case bits and creates as Windows 95 did. It is the default.
	ShortMixed ShortNameMode = iota
	// ShortLower shows in lower case and creates as Windows 95 did.
	ShortLower
	// ShortWin95 shows as stored, in upper case, and creates as Windows 95 did: only a name all in
	// upper case goes without a long name.
	ShortWin95
	// ShortWinNT shows by the NT case bits and creates as Windows NT does: a base and an extension
	// that are each in one case go without a long name.
	ShortWinNT
)

// CheckMode is the check= option of Linux' vfat.
type CheckMode uint8

const (
	// CheckNormal compares names without regard to case. It is the default.
	CheckNormal CheckMode = iota
	// CheckRelaxed is the same as CheckNormal; vfat makes no difference either.
	CheckRelaxed
	// CheckStrict compares names with regard to case.
	CheckStrict
)

// NameOptions are the mount options that concern names. The zero value is code page 437, UTF-8
// outside, shortname=mixed.
type NameOptions struct {
	CodePage  string        // of short names: "437" (also when empty), "850", "932", "1252", …
	IOCharset string        // of names outside: "utf8" (also when empty), "iso8859-1", "koi8-r", …
	ShortName ShortNameMode // shortname=
	UniXlate  bool          // show characters that the IOCharset lacks as :xxxx, not as '?'
	NoNumTail bool          // try the alias without ~1 first
	Check     CheckMode     // check=
}

// Names converts between names as applications spell them and names as they are stored. It is
// read-only after NewNames and may be used concurrently.
type Names struct {
	oem       *charset // of short names
	io        *charset // of names outside; nil is UTF-8
	shortName ShortNameMode
	uniXlate  bool
	noNumTail bool
	exactCase bool
}

// NewNames returns the conversion that the options ask for; an unknown code page or character set
// is an error that wraps ErrCharset.
func NewNames(opt NameOptions) (*Names, error) {
	oem, err := codePageByName(opt.CodePage)
	if err != nil {
		return nil, err
	}
	io, err := ioCharsetByName(opt.IOCharset)
	if err != nil {
		return nil, err
	}
	if opt.ShortName > ShortWinNT || opt.Check > CheckStrict {
		return nil, fmt.Errorf("shortname mode %d, check mode %d: %w", opt.ShortName, opt.Check, ErrInvalid)
	}
	return &Names{
		oem:       oem,
		io:        io,
		shortName: opt.ShortName,
		uniXlate:  opt.UniXlate,
		noNumTail: opt.NoNumTail,
		exactCase: opt.Check == CheckStrict,
	}, nil
}

// A Name is a checked name, ready to be stored.
type Name struct {
	Units []uint16 // the long name as stored: UTF-16, 1 to 255 units, normal form C
	Key   string   // comparison key, as by Names.Fold
	Short [11]byte // when Exact: the short entry's name
	Case  byte     // when Exact: the short entry's NT case bits, caseLowerBase and caseLowerExt
	Exact bool     // Short and Case say it all: no long name is needed
}

// CheckName returns why no file of the volume can be called name: ErrName or ErrNameTooLong, or nil.
func (v *Volume) CheckName(name string) error {
	_, err := v.names.Parse(name)
	return err
}

// NT case bits of a short entry (byte 12).
const (
	caseLowerBase = 0x08
	caseLowerExt  = 0x10
)

// Parse checks a name that is to be created. It wants the name without its directory, in UTF-8 or
// in the IOCharset, and accepts the escaped form that ShowLong and ShowShort give. What is stored
// is the Unicode normal form C, so that names from macOS, which come decomposed, can be found
// elsewhere.
//
// The error wraps ErrNameTooLong for more than 255 UTF-16 units, and otherwise ErrName: a forbidden
// or control character that is not escaped, bytes that are not text, a dot or space at the end that
// is not escaped, nothing but dots and spaces, or a reserved device name such as "con" or "lpt1.txt".
func (n *Names) Parse(name string) (Name, error) {
	var buf [maxUnits + 2]uint16
	d := n.decode(buf[:0], name)
	units := normalize(d.units)
	switch {
	case d.cut || len(units) > maxUnits:
		return Name{}, tooLong(name)
	case len(units) == 0:
		return Name{}, nameError(name, "empty")
	case !d.text:
		return Name{}, nameError(name, "not text in the character set of this mount")
	case d.bad != 0:
		return Name{}, nameError(name, "character %q is not allowed", rune(d.bad))
	}
	if last := d.units[len(d.units)-1]; d.raw == len(d.units) && (last == '.' || last == ' ') {
		return Name{}, nameError(name, "ends in a dot or a space")
	}
	if err := checkUnits(name, units); err != nil {
		return Name{}, err
	}
	out := Name{
		Units: append(make([]uint16, 0, len(units)), units...),
		Key:   foldUnits(n.visible(units), n.exactCase),
	}
	out.Short, out.Case, out.Exact = n.exactShort(units)
	return out, nil
}

func tooLong(name string) error {
	if len(name) > 64 {
		name = name[:64] + "…"
	}
	return fmt.Errorf("name %q: more than %d UTF-16 units: %w", name, maxUnits, ErrNameTooLong)
}

// normalize is the normal form C of a name. It returns units themselves where they are in it.
func normalize(units []uint16) []uint16 {
	ascii := true
	for _, u := range units {
		if u >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return units
	}
	text := appendUnits(make([]byte, 0, 3*len(units)), units)
	if norm.NFC.QuickSpan(text) == len(text) {
		return units
	}
	text = norm.NFC.Bytes(text)
	out := make([]uint16, 0, len(units))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 && len(text) >= 3 { // a surrogate, see appendUnits
			r, size = rune(text[0]&0x0f)<<12|rune(text[1]&0x3f)<<6|rune(text[2]&0x3f), 3
			out = append(out, uint16(r))
		} else {
			out = utf16.AppendRune(out, r)
		}
		text = text[size:]
	}
	return out
}

// checkUnits refuses names that cannot be on a disk, even when they come escaped.
func checkUnits(name string, units []uint16) error {
	blank := true
	for _, u := range units {
		if u == 0 {
			return nameError(name, "holds the end mark of names, U+0000")
		}
		if u != '.' && u != ' ' {
			blank = false
		}
	}
	if blank {
		return nameError(name, "nothing but dots and spaces")
	}
	if isDevice(units) {
		return nameError(name, "reserved for a device")
	}
	return nil
}

// isDevice reports whether DOS and Windows take a name for a device: one of theirs before the
// first dot, whatever the case, spaces before the dot not counting.
func isDevice(units []uint16) bool {
	end := 0
	for end < len(units) && units[end] != '.' {
		end++
	}
	for end > 0 && units[end-1] == ' ' {
		end--
	}
	if end != 3 && end != 4 {
		return false
	}
	var base [4]uint16
	for i, u := range units[:end] {
		base[i] = uint16(upperRune(rune(u)))
	}
	switch [3]uint16(base[:3]) {
	case [3]uint16{'C', 'O', 'N'}, [3]uint16{'P', 'R', 'N'}, [3]uint16{'A', 'U', 'X'}, [3]uint16{'N', 'U', 'L'}:
		return end == 3
	case [3]uint16{'C', 'O', 'M'}, [3]uint16{'L', 'P', 'T'}:
		// Windows takes the superscript digits for digits.
		d := base[3]
		return '1' <= d && d <= '9' || d == '¹' || d == '²' || d == '³'
	}
	return false
}

// Fold is the key by which names are looked up: two spellings have the same key exactly when they
// mean the same entry. It resolves escapes, takes the Unicode normal form C and, unless
// check=strict, the upper case. Dots at the end do not count, as vfat has it. It never fails: the
// key of something that no entry can be called is one that no entry has.
func (n *Names) Fold(name string) string {
	end := len(name)
	for end > 0 && name[end-1] == '.' {
		end--
	}
	name = name[:end]
	if key, ok := n.foldASCII(name); ok {
		return key
	}
	var buf [maxUnits + 2]uint16
	d := n.decode(buf[:0], name)
	if !d.text || d.cut {
		// 0xff is in no key of units.
		return "\xff" + name
	}
	return foldUnits(n.visible(d.units), n.exactCase)
}

// foldASCII is Fold for names without escapes; it does not allocate when the name is its own key.
func (n *Names) foldASCII(name string) (string, bool) {
	lower := false
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c >= utf8.RuneSelf || c == escapeMark {
			return "", false
		}
		lower = lower || 'a' <= c && c <= 'z'
	}
	if !lower || n.exactCase {
		return name, true
	}
	var buf [maxUnits]byte
	key := append(buf[:0], name...)
	for i, c := range key {
		key[i] = upperASCII(c)
	}
	return string(key), true
}

// FoldUnits is the key of a long name on the disk: Fold(ShowLong(units)).
func (n *Names) FoldUnits(units []uint16) string {
	return foldUnits(n.visible(units), n.exactCase)
}

// appendFoldUnits appends FoldUnits to dst.
func (n *Names) appendFoldUnits(dst []byte, units []uint16) []byte {
	return appendFold(dst, n.visible(units), n.exactCase)
}

// FoldShort is the key of a short name without regard to the case bits of its entry: Fold(ShowShort(short, 0)).
func (n *Names) FoldShort(short [11]byte) string {
	var buf [shortLen + 1]byte
	return string(n.appendFoldShort(buf[:0], short))
}

// appendFoldShort appends FoldShort to dst.
func (n *Names) appendFoldShort(dst []byte, short [11]byte) []byte {
	if key, ok := n.appendPlainShort(dst, short); ok {
		return key
	}
	return append(dst, n.Fold(n.ShowShort(short, 0))...)
}

// appendPlainShort is appendFoldShort for what most names are: ASCII of which nothing is escaped, and case without meaning.
func (n *Names) appendPlainShort(dst []byte, short [11]byte) ([]byte, bool) {
	base, ext := trimRight(short[:shortBase]), trimRight(short[shortBase:])
	if len(base) == 0 || n.exactCase {
		return dst, false
	}
	for _, c := range short {
		if c >= utf8.RuneSelf || c < ' ' {
			return dst, false
		}
	}
	for _, c := range base {
		dst = append(dst, upperASCII(c))
	}
	if len(ext) > 0 {
		dst = append(dst, '.')
	}
	for _, c := range ext {
		dst = append(dst, upperASCII(c))
	}
	return dst, true
}

// ShowLong is a long name on the disk as applications see it: text in UTF-8 or the IOCharset that
// holds no slash and no control character and is neither "." nor "..", at most 1022 bytes. Parse
// turns it back into the same units if they are in normal form C and Parse would let them be
// created; Fold finds it always.
func (n *Names) ShowLong(units []uint16) string {
	return n.show(units)
}
