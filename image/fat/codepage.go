package fat

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// A charset translates between bytes and Unicode. Bytes below 0x80 are ASCII in all of them. Short
// names use one (codepage=), and names outside use one when they are not UTF-8 (iocharset=).
//
// It is read-only after construction and may be used concurrently.
type charset struct {
	single [256]rune     // meaning of a byte on its own; utf8.RuneError when it has none
	upper  [256]byte     // upper case of a byte within the charset, or the byte
	lower  [256]byte     // lower case of a byte within the charset, or the byte
	toByte map[rune]byte // inverse of single for bytes from 0x80
	// multi, unless nil, knows characters of two or more bytes. Their lead bytes have no meaning
	// on their own.
	multi encoding.Encoding
}

// maxCharBytes is the longest character of any multi-byte charset here (EUC-JP has three bytes).
const maxCharBytes = 3

// decode reads the first character of b. It returns utf8.RuneError and 1 for a byte that begins no
// character.
func (c *charset) decode(b []byte) (r rune, n int) {
	if r := c.single[b[0]]; r != utf8.RuneError || c.multi == nil {
		return r, 1
	}
	for n := 2; n <= min(maxCharBytes, len(b)); n++ {
		// A copy, as what goes to an interface is allocated: callers without such characters save it.
		out, err := c.multi.NewDecoder().Bytes(append([]byte(nil), b[:n]...))
		if err != nil {
			continue
		}
		if r, size := utf8.DecodeRune(out); size == len(out) && r != utf8.RuneError {
			return r, n
		}
	}
	return utf8.RuneError, 1
}

// appendRune appends the bytes of r, or reports that it has none. What it appends decodes to r.
func (c *charset) appendRune(dst []byte, r rune) ([]byte, bool) {
	if r >= 0 && r < utf8.RuneSelf {
		return append(dst, byte(r)), true
	}
	if b, ok := c.toByte[r]; ok {
		return append(dst, b), true
	}
	if c.multi == nil || !utf8.ValidRune(r) || r == utf8.RuneError {
		return dst, false
	}
	var buf [utf8.UTFMax]byte
	enc, err := c.multi.NewEncoder().Bytes(buf[:utf8.EncodeRune(buf[:], r)])
	if err != nil {
		return dst, false
	}
	// Shift JIS, for one, gives the yen sign the byte of the backslash.
	if back, n := c.decode(enc); back != r || n != len(enc) {
		return dst, false
	}
	return append(dst, enc...), true
}

func newCharset(single func(byte) rune, multi encoding.Encoding) *charset {
	c := &charset{toByte: make(map[rune]byte), multi: multi}
	for i := range c.single {
		b := byte(i)
		c.single[i] = rune(i)
		if b >= utf8.RuneSelf {
			c.single[i] = single(b)
			if r := c.single[i]; r != utf8.RuneError {
				if _, dup := c.toByte[r]; !dup {
					c.toByte[r] = b
				}
			}
		}
	}
	for i := range c.single {
		c.upper[i] = c.byteOr(upperRune(c.single[i]), byte(i))
		c.lower[i] = c.byteOr(lowerRune(c.single[i]), byte(i))
	}
	return c
}

// byteOr is the byte of r, or b when r has no byte of its own.
func (c *charset) byteOr(r rune, b byte) byte {
	if r < utf8.RuneSelf {
		return byte(r)
	}
	if e, ok := c.toByte[r]; ok {
		return e
	}
	return b
}

// lowerRune is the inverse of upperRune: a rune whose upper case is not r again stays as it is.
func lowerRune(r rune) rune {
	if l := unicode.ToLower(r); upperRune(l) == r {
		return l
	}
	return r
}

// codePageByName is the charset of a codepage= option: a number as Windows gives them, with or
// without "cp" before it.
func codePageByName(name string) (*charset, error) {
	if name == "" {
		name = "437"
	}
	if c := charsetByNumber(strings.TrimPrefix(strings.ToLower(name), "cp")); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("code page %q: want a DOS or Windows code page such as 437, 850, 932 or 1252: %w", name, ErrCharset)
}

// ioCharsetByName is the charset of an iocharset= option by the names that Linux gives them; nil
// is UTF-8.
func ioCharsetByName(name string) (*charset, error) {
	key := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
	switch key {
	case "", "utf8":
		return nil, nil
	case "ascii", "usascii", "default":
		return newCharset(func(byte) rune { return utf8.RuneError }, nil), nil
	}
	if m, ok := ioCharmaps[key]; ok {
		return newCharset(m.DecodeByte, nil), nil
	}
	if m, ok := ioMultibyte[key]; ok {
		return newMultibyte(m), nil
	}
	if number, ok := strings.CutPrefix(key, "cp"); ok {
		if c := charsetByNumber(number); c != nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("iocharset %q: want utf8, ascii, iso8859-1, koi8-r, cp437, euc-jp or the like: %w", name, ErrCharset)
}

func charsetByNumber(number string) *charset {
	if m, ok := codePages[number]; ok {
		return newCharset(m.DecodeByte, nil)
	}
	if t, ok := oemTables[number]; ok {
		upper := []rune(t)
		return newCharset(func(b byte) rune { return upper[b-utf8.RuneSelf] }, nil)
	}
	if m, ok := multibytePages[number]; ok {
		return newMultibyte(m)
	}
	return nil
}

// newMultibyte asks the encoding which bytes have a meaning on their own, such as the half-width
// katakana of code page 932.
func newMultibyte(e encoding.Encoding) *charset {
	return newCharset(func(b byte) rune {
		out, err := e.NewDecoder().Bytes([]byte{b})
		if r, n := utf8.DecodeRune(out); err == nil && n == len(out) && r >= 0xa0 {
			return r
		}
		return utf8.RuneError
	}, e)
}

var codePages = map[string]*charmap.Charmap{
	"437": charmap.CodePage437, "850": charmap.CodePage850, "852": charmap.CodePage852,
	"855": charmap.CodePage855, "858": charmap.CodePage858, "860": charmap.CodePage860,
	"862": charmap.CodePage862, "863": charmap.CodePage863, "865": charmap.CodePage865,
	"866": charmap.CodePage866, "874": charmap.Windows874,
	"1250": charmap.Windows1250, "1251": charmap.Windows1251, "1252": charmap.Windows1252,
	"1253": charmap.Windows1253, "1254": charmap.Windows1254, "1255": charmap.Windows1255,
	"1256": charmap.Windows1256, "1257": charmap.Windows1257, "1258": charmap.Windows1258,
}

var multibytePages = map[string]encoding.Encoding{
	"932": japanese.ShiftJIS, "936": simplifiedchinese.GBK, "949": korean.EUCKR, "950": traditionalchinese.Big5,
}

var ioCharmaps = map[string]*charmap.Charmap{
	"iso88591": charmap.ISO8859_1, "iso88592": charmap.ISO8859_2, "iso88593": charmap.ISO8859_3,
	"iso88594": charmap.ISO8859_4, "iso88595": charmap.ISO8859_5, "iso88596": charmap.ISO8859_6,
	"iso88597": charmap.ISO8859_7, "iso88598": charmap.ISO8859_8, "iso88599": charmap.ISO8859_9,
	"iso885910": charmap.ISO8859_10, "iso885913": charmap.ISO8859_13, "iso885914": charmap.ISO8859_14,
	"iso885915": charmap.ISO8859_15, "iso885916": charmap.ISO8859_16,
	"koi8r": charmap.KOI8R, "koi8u": charmap.KOI8U, "koi8ru": charmap.KOI8U,
	"macroman": charmap.Macintosh, "maccyrillic": charmap.MacintoshCyrillic,
}

var ioMultibyte = map[string]encoding.Encoding{
	"eucjp": japanese.EUCJP, "sjis": japanese.ShiftJIS, "shiftjis": japanese.ShiftJIS,
	"euckr": korean.EUCKR, "gb2312": simplifiedchinese.GBK, "gbk": simplifiedchinese.GBK,
	"euccn": simplifiedchinese.GBK, "big5": traditionalchinese.Big5,
}
