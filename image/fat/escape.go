package fat

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Names on a disk can hold what must not reach the kernel, a terminal or a script: slashes, control
// characters, halves of surrogate pairs, or be "." and "..". They are shown escaped, in the form
// that vfat's uni_xlate has: a colon and the four hexadecimal digits of one UTF-16 unit, as in
// "a:002fb". A colon cannot be part of a FAT name, so the form is unambiguous; a colon on the disk
// is shown as ":003a". Escaped are
//
//   - control characters (below U+0020, and U+007F) and the forbidden " * / : < > ? \ |,
//   - surrogates without their other half,
//   - dots and spaces at the end of the name, and so all of a name that consists of them,
//   - with uni_xlate, characters that the iocharset does not have.
//
// A byte of a short name that the code page gives no meaning is shown as the unit U+DC00 plus the
// byte, which is a surrogate without its other half.
//
// A name that would take more than maxShown bytes this way, which only a name made of such units
// does, is shown as "::" and the hexadecimal digits of all of its units instead (of the ones on the
// disk, where the normal form has more than a name can have), at most 1022 bytes: the kernel takes
// names up to 1024 bytes and fails a whole directory for a longer one.
const (
	escapeMark = ':'
	escapeLen  = 5 // bytes of an escaped unit
	hexMark    = "::"
	maxShown   = 1022
)

// maxUnits is the longest name: UTF-16 units (FAT specification section 7).
const maxUnits = 255

// byteSurrogate plus a byte is the unit that stands for a byte without meaning.
const byteSurrogate = 0xdc00

// forbidden reports whether an ASCII character may not be in a name (FAT specification section 7).
func forbidden(c byte) bool {
	switch c {
	case '"', '*', '/', ':', '<', '>', '?', '\\', '|', 0x7f:
		return true
	}
	return c < 0x20
}

const hexDigits = "0123456789abcdef"

func appendHex(dst []byte, u uint16) []byte {
	return append(dst, hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// show is the text of a name for the kernel. Its key by Fold is that of visible(units).
func (n *Names) show(units []uint16) string {
	if name, ok := showPlain(units); ok {
		return name
	}
	return n.showAny(units)
}

// showPlain is show for what most names are, ASCII of which nothing is escaped: without the room that others may need.
func showPlain(units []uint16) (string, bool) {
	var buf [maxUnits]byte
	if len(units) == 0 || len(units) > len(buf) {
		return "", false
	}
	for i, u := range units {
		if u >= utf8.RuneSelf || forbidden(byte(u)) {
			return "", false
		}
		buf[i] = byte(u)
	}
	if last := buf[len(units)-1]; last == '.' || last == ' ' {
		return "", false
	}
	return string(buf[:len(units)]), true
}

func (n *Names) showAny(units []uint16) string {
	disk := units
	if n.lossy() {
		units = normalize(units)
	}
	var buf [maxShown + 3*maxUnits]byte
	out := buf[:0]
	// Everything from here on is dots and spaces.
	tail := len(units)
	for tail > 0 && (units[tail-1] == '.' || units[tail-1] == ' ') {
		tail--
	}
	for i := 0; i < len(units) && len(out) <= maxShown; i++ {
		u := units[i]
		switch {
		case i >= tail || u < utf8.RuneSelf && forbidden(byte(u)):
			out = appendHex(append(out, escapeMark), u)
		case u < utf8.RuneSelf:
			out = append(out, byte(u))
		case isPair(units[i:]):
			var ok bool
			if out, ok = n.appendRune(out, utf16.DecodeRune(rune(u), rune(units[i+1]))); !ok {
				out = n.appendUnknown(out, units[i:i+2])
			}
			i++
		case utf16.IsSurrogate(rune(u)):
			out = appendHex(append(out, escapeMark), u)
		default:
			var ok bool
			if out, ok = n.appendRune(out, rune(u)); !ok {
				out = n.appendUnknown(out, units[i:i+1])
			}
		}
	}
	if len(out) <= maxShown {
		return string(out)
	}
	told := n.visible(units)
	if len(told) > maxUnits {
		told = disk // has the same key
	}
	out = append(out[:0], hexMark...)
	for _, u := range told {
		out = appendHex(out, u)
	}
	return string(out)
}

// appendRune appends r in the character set of names outside; as a letter and its marks, where that has only these.
func (n *Names) appendRune(dst []byte, r rune) ([]byte, bool) {
	if n.io == nil {
		return utf8.AppendRune(dst, r), true
	}
	if out, ok := n.io.appendRune(dst, r); ok {
		return out, true
	}
	parts := []rune(norm.NFD.String(string(r)))
	if len(parts) < 2 {
		return dst, false
	}
	out := dst
	for _, part := range parts {
		var ok bool
		if out, ok = n.io.appendRune(out, part); !ok {
			return dst, false
		}
	}
	return out, true
}

// lossy reports whether names are shown with question marks for what the character set of names outside lacks. What
// it lacks depends on the normal form, which is C then for all that is shown or compared, as it is for what Parse makes.
func (n *Names) lossy() bool { return n.io != nil && !n.uniXlate }

// appendUnknown appends what stands for a character that the iocharset does not have. A question
// mark cannot be turned back; visible sees to it that names are compared as they are shown.
func (n *Names) appendUnknown(dst []byte, units []uint16) []byte {
	if !n.uniXlate {
		return append(dst, '?')
	}
	for _, u := range units {
		dst = appendHex(append(dst, escapeMark), u)
	}
	return dst
}

// visible is the units of a name that its shown form tells. They differ from the ones on the disk
// only with an iocharset and without uni_xlate: by the normal form, and where that lacks a character.
func (n *Names) visible(units []uint16) []uint16 {
	if !n.lossy() {
		return units
	}
	units = normalize(units)
	var out []uint16 // stays nil while nothing differs
	var buf [8]byte
	for i := 0; i < len(units); i++ {
		r, size := rune(units[i]), 1
		if isPair(units[i:]) {
			r, size = utf16.DecodeRune(r, rune(units[i+1])), 2
		}
		known := utf16.IsSurrogate(r)
		if !known {
			_, known = n.appendRune(buf[:0], r)
		}
		switch {
		case !known && out == nil:
			out = append(make([]uint16, 0, len(units)), units[:i]...)
			fallthrough
		case !known:
			out = append(out, '?')
		case out != nil:
			out = append(out, units[i:i+size]...)
		}
		i += size - 1
	}
	if out == nil {
		return units
	}
	return out
}

// decoded is a name from outside as UTF-16, escapes resolved.
type decoded struct {
	units []uint16
	raw   int  // index into units behind the last one that was not escaped
	text  bool // the bytes are text in the character set of names outside
	bad   byte // a forbidden character that was not escaped, or 0
	cut   bool // the name has more than maxDecoded units; units are the first ones
}

// maxDecoded bounds what is read of a name from outside: no character of a name of maxUnits units in
// normal form C has more than four units when it comes decomposed.
const maxDecoded = 4 * maxUnits

// decode reads a name from outside into dst[:0], which may be too short for it.
func (n *Names) decode(dst []uint16, name string) decoded {
	d := decoded{units: dst[:0], text: true}
	if units, ok := parseHex(d.units, name); ok {
		d.units = units
		d.cut = len(units) > maxDecoded
		return d
	}
	for i := 0; i < len(name); {
		if len(d.units) > maxDecoded {
			break
		}
		c := name[i]
		if c == escapeMark {
			if u, ok := hexUnit(name[i+1:]); ok {
				d.units = append(d.units, u)
				i += escapeLen
				continue
			}
		}
		if c < utf8.RuneSelf {
			if forbidden(c) && d.bad == 0 {
				d.bad = max(c, 1) // NUL counts as well
			}
			d.units = append(d.units, uint16(c))
			i++
		} else {
			r, size := n.decodeRune(name[i:])
			if r == utf8.RuneError && size <= 1 {
				d.text = false
				size = 1
			}
			d.units = utf16.AppendRune(d.units, r)
			i += size
		}
		d.raw = len(d.units)
	}
	d.cut = len(d.units) > maxDecoded
	return d
}

// decodeRune reads one character that is not ASCII; (utf8.RuneError, 1) is none.
func (n *Names) decodeRune(s string) (rune, int) {
	if n.io == nil {
		return utf8.DecodeRuneInString(s)
	}
	return n.io.decode([]byte(s[:min(len(s), maxCharBytes)]))
}

// hexUnit reads four hexadecimal digits.
func hexUnit(s string) (uint16, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var u uint16
	for i := range 4 {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		u = u<<4 | uint16(c)
	}
	return u, true
}

// parseHex reads the form that starts with "::".
func parseHex(dst []uint16, name string) ([]uint16, bool) {
	if len(name) < len(hexMark)+4 || name[:len(hexMark)] != hexMark || len(name[len(hexMark):])%4 != 0 {
		return nil, false
	}
	for s := name[len(hexMark):]; s != "" && len(dst) <= maxDecoded; s = s[4:] {
		u, ok := hexUnit(s)
		if !ok {
			return nil, false
		}
		dst = append(dst, u)
	}
	return dst, true
}

// nameError wraps ErrName with the name and what is wrong with it.
func nameError(name, why string, args ...any) error {
	return fmt.Errorf("name %q: %s: %w", name, fmt.Sprintf(why, args...), ErrName)
}
