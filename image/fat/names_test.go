package fat

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"
)

func newNames(t testing.TB, opt NameOptions) *Names {
	t.Helper()
	n, err := NewNames(opt)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func units(s string) []uint16 { return utf16.Encode([]rune(s)) }

func TestParseStores(t *testing.T) {
	n := newNames(t, NameOptions{})
	tests := []struct{ name, stored, key string }{
		{"readme.txt", "readme.txt", "README.TXT"},
		{"README.TXT", "README.TXT", "README.TXT"},
		{"a", "a", "A"},
		{" leading space", " leading space", " LEADING SPACE"},
		{".hidden", ".hidden", ".HIDDEN"},
		{"..two dots", "..two dots", "..TWO DOTS"},
		{"a..b", "a..b", "A..B"},
		{"+,;=[] '`!#$%&(){}@^_~-", "+,;=[] '`!#$%&(){}@^_~-", "+,;=[] '`!#$%&(){}@^_~-"},
		{"Straße", "Straße", "STRAßE"},
		{"żółw.TXT", "żółw.TXT", "ŻÓŁW.TXT"},
		{"e\u0301te\u0301", "\u00e9t\u00e9", "\u00c9T\u00c9"},
		{"\u1100\u1161\u11a8", "\uac01", "\uac01"},
		{"\u212bngstrom", "\u00c5ngstrom", "\u00c5NGSTROM"},
		{"\U0001f600.png", "\U0001f600.png", "\U0001f600.PNG"},
		{"\U00010428", "\U00010428", "\U00010400"},
		{"日本語", "日本語", "日本語"},
		{"console", "console", "CONSOLE"},
		{"com0", "com0", "COM0"},
		{"com10", "com10", "COM10"},
		{"auxx.c", "auxx.c", "AUXX.C"},
		{"x.con", "x.con", "X.CON"},
		{"c1 \u0085 control", "c1 \u0085 control", "C1 \u0085 CONTROL"},
		{"a:003ab", "a:b", "A:B"},
		{"a:002fb", "a/b", "A/B"},
		{"tab:0009", "tab\t", "TAB\t"},
		{"dot:002e", "dot.", "DOT."},
		{"dots.:002e", "dots..", "DOTS.."},
		{"space:0020", "space ", "SPACE "},
		{":0061:0062", "ab", "AB"},
		{":d83d:de00", "\U0001f600", "\U0001f600"},
		{"::00610062", "ab", "AB"},
		{strings.Repeat("x", 255), strings.Repeat("x", 255), strings.Repeat("X", 255)},
		{strings.Repeat("\U0001f600", 127), strings.Repeat("\U0001f600", 127), strings.Repeat("\U0001f600", 127)},
		{strings.Repeat("e\u0301", 255), strings.Repeat("\u00e9", 255), strings.Repeat("\u00c9", 255)},
		{strings.Repeat("\u03b1\u0313\u0300\u0345", 255), strings.Repeat("\u1f82", 255), strings.Repeat("\u1f8a", 255)},
	}
	for _, tt := range tests {
		got, err := n.Parse(tt.name)
		if err != nil {
			t.Errorf("%q: %v", tt.name, err)
			continue
		}
		if s := string(utf16.Decode(got.Units)); s != tt.stored {
			t.Errorf("%q: stored as %q, want %q", tt.name, s, tt.stored)
		}
		if got.Key != tt.key {
			t.Errorf("%q: key %q, want %q", tt.name, got.Key, tt.key)
		}
		if key := n.Fold(tt.name); key != got.Key {
			t.Errorf("%q: Fold gives %q, Parse %q", tt.name, key, got.Key)
		}
		if key := n.FoldUnits(got.Units); key != got.Key {
			t.Errorf("%q: FoldUnits gives %q, Parse %q", tt.name, key, got.Key)
		}
	}
}

// TestFoldOfNoText: bytes that are not text are the key of nothing, whatever keys look like inside.
func TestFoldOfNoText(t *testing.T) {
	n := newNames(t, NameOptions{})
	for u := 0xd800; u < 0xe000; u++ {
		if raw := string([]byte{0xed, byte(0x80 | u>>6&0x3f), byte(0x80 | u&0x3f)}); n.Fold(raw) == n.FoldUnits([]uint16{uint16(u)}) {
			t.Fatalf("%q is found under %04x", raw, u)
		}
	}
}

func TestParseLoneSurrogate(t *testing.T) {
	n := newNames(t, NameOptions{})
	got, err := n.Parse("a:d83db")
	if err != nil || len(got.Units) != 3 || got.Units[1] != 0xd83d {
		t.Errorf("got %x, %v", got.Units, err)
	}
	if s := n.ShowLong(got.Units); s != "a:d83db" {
		t.Errorf("shown as %q", s)
	}
}

func TestParseRefuses(t *testing.T) {
	n := newNames(t, NameOptions{})
	for _, name := range []string{
		"", ".", "..", "...", " ", "  . ", "a.", "a ", "a. ", "a .", "日.",
		"a/b", "a\x00", "\x01", "a\nb", "\x7f", `a"b`, "a*b", "a:b", "a<b", "a>b", "a?b", `a\b`, "a|b", ":", "::", "a:002", "a:002g",
		"con", "CON", "Con.txt", "con.tar.gz", "con .txt", "prn", "aux.c", "nul", "NUL.", "com1", "Com9.x", "lpt1", "lpt\u00b9", "COM³.log",
		":0063on", ":002e", ":002e:002e", ":0020", "a:0000b", ":0000",
		"\xff", "a\x80b", "\xc3", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80", "\xc0\xaf",
	} {
		if got, err := n.Parse(name); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %q, %v, want %v", name, string(utf16.Decode(got.Units)), err, ErrName)
		}
	}
	for _, name := range []string{
		strings.Repeat("x", 256), strings.Repeat("\U0001f600", 128), strings.Repeat("x", 1<<20), strings.Repeat("x", 256) + ".",
		strings.Repeat("\u0958", 128), // becomes two units in normal form C
		strings.Repeat(":0061", 256), "::" + strings.Repeat("0061", 256), "::" + strings.Repeat("0061", 1<<16),
	} {
		if _, err := n.Parse(name); !errors.Is(err, ErrNameTooLong) {
			t.Errorf("%d bytes: %v, want %v", len(name), err, ErrNameTooLong)
		} else if len(err.Error()) > 400 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	}
}

func TestFoldJoins(t *testing.T) {
	n := newNames(t, NameOptions{})
	for _, same := range [][]string{
		{"readme.txt", "README.TXT", "ReadMe.Txt", "readme.txt.", "readme.txt...", ":0072eadme.txt", "::00720065"[:2] + "0072006500610064006d0065002e007400780074"},
		{"é", "É", "e\u0301", "E\u0301", ":00e9", "e:0301"},
		{"ΟΔΟΣ", "οδος", "οδοσ"},
		{"ǆ", "Ǆ"},
		{"ÿ", "Ÿ"},
		{"\U00010428", "\U00010400", ":d801:dc28"},
		{"а.ТХТ", "А.тхт"},
		{"a:002fb", "A:002FB", ":0061:002f:0062"},
		{"", ".", "..", "..."},
		{"x:002e", "X:002e", "x:002e."},
		{"con", "CON"},
		{"a*b", "A:002ab"},
	} {
		for _, s := range same[1:] {
			if n.Fold(s) != n.Fold(same[0]) {
				t.Errorf("%q has key %q, %q has %q", s, n.Fold(s), same[0], n.Fold(same[0]))
			}
		}
	}
}

func TestFoldKeepsApart(t *testing.T) {
	n := newNames(t, NameOptions{})
	different := []string{
		"i", "ı", "İ", "s", "ſ", "ß", "ss", "K", "å", "a", "µ", "ǅ", "ǆ", "x", "x:002e", "x:0020.", " x",
		":d83d", ":de00", "\U0001f600", "\ufffd", "\xff", "\xfe", "\x80", "\ud7ff", ":", "::", ":0", "a", "ａ",
		strings.Repeat("x", 256), strings.Repeat("\xff", 300),
	}
	keys := make(map[string]string)
	for _, s := range different {
		key := n.Fold(s)
		if other, ok := keys[key]; ok && other != s {
			t.Errorf("%q and %q share the key %q", s, other, key)
		}
		keys[key] = s
	}
	// The exact sign of the Kelvin is the letter K by normal form C, and the micro sign is not mu.
	if n.Fold("\u212a") != n.Fold("k") || n.Fold("\u00b5") == n.Fold("\u03bc") {
		t.Error("Kelvin or micro sign")
	}
}

func TestFoldStrict(t *testing.T) {
	n := newNames(t, NameOptions{Check: CheckStrict})
	if n.Fold("a") == n.Fold("A") || n.Fold("é") == n.Fold("É") {
		t.Error("case does not matter with check=strict")
	}
	if n.Fold("é") != n.Fold("e\u0301") || n.Fold("a") != n.Fold("a.") || n.Fold("a") != "a" {
		t.Error("more than case matters with check=strict")
	}
	got, err := n.Parse("e\u0301A")
	if err != nil || got.Key != "\u00e9A" {
		t.Errorf("%q, %v", got.Key, err)
	}
}

func TestShowLong(t *testing.T) {
	n := newNames(t, NameOptions{})
	tests := []struct {
		units []uint16
		want  string
	}{
		{units("Plain Name.txt"), "Plain Name.txt"},
		{units("e\u0301"), "e\u0301"}, // as stored
		{units("\U0001f600"), "\U0001f600"},
		{units("."), ":002e"},
		{units(".."), ":002e:002e"},
		{units(" "), ":0020"},
		{units("a."), "a:002e"},
		{units("a. ."), "a:002e:0020:002e"},
		{units(" .a"), " .a"},
		{units("a/b"), "a:002fb"},
		{units("../../etc"), "..:002f..:002fetc"},
		{units("a\x00b"), "a:0000b"},
		{units("\x1b[2J"), ":001b[2J"},
		{units("\x7f"), ":007f"},
		{units(`"*:<>?\|`), ":0022:002a:003a:003c:003e:003f:005c:007c"},
		{[]uint16{'a', 0xd83d}, "a:d83d"},
		{[]uint16{0xde00, 0xd83d}, ":de00:d83d"},
		{[]uint16{0xd83d, 0xd83d, 0xde00}, ":d83d\U0001f600"},
		{units("\ufffd\ufeff\uffff"), "\ufffd\ufeff\uffff"},
		{units("con"), "con"},
	}
	for _, tt := range tests {
		got := n.ShowLong(tt.units)
		if got != tt.want {
			t.Errorf("%x: %q, want %q", tt.units, got, tt.want)
		}
		if n.Fold(got) != n.FoldUnits(tt.units) {
			t.Errorf("%x: shown as %q, which has another key", tt.units, got)
		}
	}
}

// TestShowLongFitsTheKernel: FUSE fails a whole directory for one name of more than 1024 bytes.
func TestShowLongFitsTheKernel(t *testing.T) {
	n := newNames(t, NameOptions{})
	for _, u := range []uint16{'/', 0x1f, 0xd800, 0xdfff, 0xffff, '日', 'a', '.'} {
		for count := 1; count <= maxUnits; count++ {
			name := make([]uint16, count)
			for i := range name {
				name[i] = u
			}
			if u == '.' {
				name[0] = 'x'
			}
			s := n.ShowLong(name)
			if len(s) > 1024 || s == "" {
				t.Fatalf("%d units %x: %d bytes", count, u, len(s))
			}
			got, err := n.Parse(s)
			if err != nil || string(utf16.Decode(got.Units)) != string(utf16.Decode(name)) {
				t.Fatalf("%d units %x, shown as %q: back as %x, %v", count, u, s, got.Units, err)
			}
			if n.Fold(s) != n.FoldUnits(name) {
				t.Fatalf("%d units %x: other key", count, u)
			}
		}
	}
}

func TestIOCharset(t *testing.T) {
	latin := newNames(t, NameOptions{IOCharset: "iso8859-1"})
	got, err := latin.Parse("caf\xe9")
	if err != nil || string(utf16.Decode(got.Units)) != "café" {
		t.Errorf("%x, %v", got.Units, err)
	}
	if s := latin.ShowLong(units("café")); s != "caf\xe9" {
		t.Errorf("%q", s)
	}
	if s := latin.ShowLong(units("日本 \U0001f600")); s != "?? ?" {
		t.Errorf("%q", s)
	}
	if latin.Fold("?? ?") != latin.FoldUnits(units("日本 \U0001f600")) {
		t.Error("a name with question marks is not found as it is shown")
	}
	if _, err := latin.Parse("a?"); !errors.Is(err, ErrName) {
		t.Errorf("%v", err)
	}
	if latin.Fold("CAF\xc9") != latin.Fold("caf\xe9") {
		t.Error("case matters outside of UTF-8")
	}

	xlate := newNames(t, NameOptions{IOCharset: "iso8859-1", UniXlate: true})
	name := units("日本é \U0001f600")
	if s := xlate.ShowLong(name); s != ":65e5:672c\xe9 :d83d:de00" {
		t.Errorf("%q", s)
	}
	if got, err := xlate.Parse(xlate.ShowLong(name)); err != nil || string(utf16.Decode(got.Units)) != string(utf16.Decode(name)) {
		t.Errorf("%x, %v", got.Units, err)
	}

	ascii := newNames(t, NameOptions{IOCharset: "ascii"})
	if _, err := ascii.Parse("\xe9"); !errors.Is(err, ErrName) {
		t.Errorf("%v", err)
	}
	sjis := newNames(t, NameOptions{IOCharset: "sjis"})
	if got, err := sjis.Parse("\x83\x5c\xb1"); err != nil || string(utf16.Decode(got.Units)) != "ソｱ" { // its second byte is a backslash
		t.Errorf("%x, %v", got.Units, err)
	}
	if _, err := sjis.Parse("\x83"); !errors.Is(err, ErrName) {
		t.Errorf("%v", err)
	}
	if s := sjis.ShowLong(units("ソ¥")); s != "\x83\x5c?" { // not a bare backslash for the yen sign
		t.Errorf("%q", s)
	}
}

// TestPlainNames: the short cut for names of which nothing is escaped gives what the long way does, whatever the options, and
// the key of a short name is that of what is shown.
func TestPlainNames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	common := []byte("ABCabc019_~ .\x05\xe5\x00:/\x82\xa0\x5c\xff")
	for _, page := range []string{"437", "932", "1251"} {
		for mode := range ShortWinNT + 1 {
			for check := range CheckStrict + 1 {
				n := newNames(t, NameOptions{CodePage: page, ShortName: mode, Check: check})
				plain := 0
				for range 5000 {
					var short [11]byte
					units := make([]uint16, 1+r.IntN(14))
					for i := range short {
						if short[i] = ' '; r.IntN(3) > 0 {
							short[i] = common[r.IntN(9)] // often nothing to escape
						}
						if r.IntN(20) == 0 {
							short[i] = common[r.IntN(len(common))]
						}
					}
					for i := range units {
						if units[i] = uint16(common[r.IntN(12)]); r.IntN(40) == 0 {
							units[i] = uint16(common[r.IntN(len(common))])
						}
					}
					if r.IntN(100) == 0 {
						short = [11]byte([]byte("           "))
					}
					if got, want := n.FoldShort(short), n.Fold(n.ShowShort(short, 0)); got != want {
						t.Fatalf("code page %s, shortname %d, check %d: key of %q is %q, and %q of what is shown", page, mode, check, short, got, want)
					}
					if got, ok := showPlain(units); ok {
						plain++
						if want := n.showAny(units); got != want {
							t.Fatalf("%x is shown as %q, and as %q", units, got, want)
						}
					}
				}
				if plain == 0 {
					t.Fatal("no name was plain")
				}
			}
		}
	}
}

func TestNewNamesRefuses(t *testing.T) {
	for _, opt := range []NameOptions{
		{CodePage: "438"}, {CodePage: "utf8"}, {CodePage: "-1"}, {IOCharset: "klingon"}, {IOCharset: "utf-16"}, {IOCharset: "cp1"},
	} {
		if _, err := NewNames(opt); !errors.Is(err, ErrCharset) {
			t.Errorf("%+v: %v", opt, err)
		}
	}
	if _, err := NewNames(NameOptions{ShortName: 9}); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}
