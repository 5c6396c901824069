package fat

import (
	"testing"
	"unicode/utf8"
)

func TestCharsetsRoundTrip(t *testing.T) {
	charsets := map[string]*charset{}
	for _, tables := range []func(){
		func() {
			for name := range codePages {
				charsets[name], _ = codePageByName(name)
			}
		},
		func() {
			for name := range oemTables {
				charsets[name], _ = codePageByName("cp" + name)
			}
		},
		func() {
			for name := range multibytePages {
				charsets[name], _ = codePageByName("CP" + name)
			}
		},
		func() {
			for name := range ioCharmaps {
				charsets[name], _ = ioCharsetByName(name)
			}
			for name := range ioMultibyte {
				charsets[name], _ = ioCharsetByName(name)
			}
			charsets["ascii"], _ = ioCharsetByName("ascii")
		},
	} {
		tables()
	}
	for name, c := range charsets {
		if c == nil {
			t.Errorf("%s is not known by its name", name)
			continue
		}
		for i := range 256 {
			if r := c.single[i]; i < 0x80 && r != rune(i) {
				t.Errorf("%s: byte %02x is %U", name, i, r)
			}
			if u := c.upper[i]; u >= 0x80 != (i >= 0x80) || c.upper[u] != u {
				t.Errorf("%s: upper case of %02x is %02x", name, i, u)
			}
		}
		known := 0
		for r := rune(0); r < 0x10000; r++ {
			b, ok := c.appendRune(nil, r)
			if !ok {
				continue
			}
			known++
			if back, n := c.decode(b); back != r || n != len(b) {
				t.Errorf("%s: %U is % x, which is %U", name, r, b, back)
			}
			if r >= 0x80 && b[0] < 0x80 || len(b) > maxCharBytes {
				t.Errorf("%s: %U is % x", name, r, b)
			}
			if r < 0xd800 && b[0] == '/' && r != '/' {
				t.Errorf("%s: %U begins with a slash", name, r)
			}
		}
		if c.multi != nil && known < 7000 || c.multi == nil && name != "ascii" && known < 0x80+50 {
			t.Errorf("%s knows only %d characters", name, known)
		}
		if r, n := c.decode([]byte{0xff}); n != 1 || r > 0xffff {
			t.Errorf("%s: byte ff is %U of %d bytes", name, r, n)
		}
	}
}

func TestOEMTablesAreComplete(t *testing.T) {
	for name, table := range oemTables {
		if n := utf8.RuneCountInString(table); n != 128 {
			t.Errorf("code page %s has %d characters in its upper half", name, n)
		}
	}
}

func TestCharsetNames(t *testing.T) {
	for _, name := range []string{"", "utf8", "UTF-8"} {
		if c, err := ioCharsetByName(name); c != nil || err != nil {
			t.Errorf("%q: %v, %v", name, c, err)
		}
	}
	for _, name := range []string{"iso8859-1", "ISO-8859-15", "iso8859_2", "koi8-r", "koi8-ru", "cp437", "cp932", "cp1251", "euc-jp", "ascii", "us-ascii", "gb2312", "macroman"} {
		if c, err := ioCharsetByName(name); c == nil || err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "437", "cp437", "CP850", "852", "857", "1252"} {
		if c, err := codePageByName(name); c == nil || err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestUpperByte(t *testing.T) {
	tests := []struct {
		codePage     string
		lower, upper byte
	}{
		{"437", 0x81, 0x9a}, {"437", 0x87, 0x80}, {"437", 0xa0, 0xa0}, {"437", 0x98, 0x98}, {"437", 0xe5, 0xe4}, {"437", 0xe6, 0xe6},
		{"850", 0xa0, 0xb5}, {"850", 0xd0, 0xd1}, {"850", 0xd5, 0xd5}, {"866", 0xa0, 0x80}, {"857", 0x8d, 0x8d}, {"1252", 0xff, 0x9f},
	}
	for _, tt := range tests {
		c, err := codePageByName(tt.codePage)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.upper[tt.lower]; got != tt.upper {
			t.Errorf("code page %s: upper case of %02x is %02x, want %02x", tt.codePage, tt.lower, got, tt.upper)
		}
	}
}
