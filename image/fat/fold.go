package fat

import (
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// upperRune is the upper case by which names are compared: the simple Unicode mapping where it is
// one to one. That keeps apart what Windows keeps apart (dotless i and I, long s and S, micro sign
// and capital mu); the final sigma is the one case in which its table joins two lower-case letters.
func upperRune(r rune) rune {
	if r < utf8.RuneSelf {
		return rune(upperASCII(byte(r)))
	}
	const finalSigma, capitalSigma = 0x3c2, 0x3a3
	if r == finalSigma {
		return capitalSigma
	}
	if u := unicode.ToUpper(r); u != r && unicode.ToLower(u) == r {
		return u
	}
	return r
}

// foldUnits is the comparison key of a name: Unicode normal form C, and upper case unless exact.
// A lone surrogate is kept, encoded like a character of its own, so that keys differ where names do.
func foldUnits(units []uint16, exact bool) string {
	var buf [maxUnits]byte
	return string(appendFold(buf[:0], units, exact))
}

// appendFold is foldUnits appended to dst.
func appendFold(dst []byte, units []uint16, exact bool) []byte {
	from := len(dst)
	for _, u := range units {
		if u >= utf8.RuneSelf {
			return append(dst[:from], foldText(units, exact)...)
		}
		c := byte(u)
		if !exact {
			c = upperASCII(c)
		}
		dst = append(dst, c)
	}
	return dst
}

func upperASCII(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

// foldText is foldUnits for names that are not ASCII.
func foldText(units []uint16, exact bool) string {
	text := appendUnits(make([]byte, 0, 3*len(units)), units)
	if norm.NFC.QuickSpan(text) != len(text) {
		text = norm.NFC.Bytes(text)
	}
	if exact {
		return string(text)
	}
	var buf [3 * maxUnits]byte
	out := buf[:0]
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 { // a byte of a surrogate
			out = append(out, text[0])
		} else {
			out = utf8.AppendRune(out, upperRune(r))
		}
		text = text[n:]
	}
	return string(out)
}

// appendUnits appends UTF-16 as UTF-8, a lone surrogate in the three bytes that its number would have.
func appendUnits(dst []byte, units []uint16) []byte {
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		switch {
		case !utf16.IsSurrogate(r):
			dst = utf8.AppendRune(dst, r)
		case isPair(units[i:]):
			dst = utf8.AppendRune(dst, utf16.DecodeRune(r, rune(units[i+1])))
			i++
		default:
			dst = append(dst, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
		}
	}
	return dst
}

// isPair reports whether units begin with a high surrogate and its low one.
func isPair(units []uint16) bool {
	return len(units) > 1 && units[0]&0xfc00 == 0xd800 && units[1]&0xfc00 == 0xdc00
}
