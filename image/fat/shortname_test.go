package fat

import (
	"strings"
	"testing"
	"unicode/utf16"
)

func short(s string) [11]byte { return [11]byte([]byte(s)) }

func TestShowShort(t *testing.T) {
	tests := []struct {
		short                      string
		ntCase                     byte
		mixed, lower, win95, winnt string
	}{
		{"README  TXT", 0, "README.TXT", "readme.txt", "README.TXT", "README.TXT"},
		{"README  TXT", 0x18, "readme.txt", "readme.txt", "README.TXT", "readme.txt"},
		{"README  TXT", 0x08, "readme.TXT", "readme.txt", "README.TXT", "readme.TXT"},
		{"README  TXT", 0x10, "README.txt", "readme.txt", "README.TXT", "README.txt"},
		{"README  TXT", 0xe7, "README.TXT", "readme.txt", "README.TXT", "README.TXT"},
		{"MAKEFILE   ", 0x08, "makefile", "makefile", "MAKEFILE", "makefile"},
		{"A       B  ", 0, "A.B", "a.b", "A.B", "A.B"},
		{"A B C   D E", 0, "A B C.D E", "a b c.d e", "A B C.D E", "A B C.D E"},
		{" A      TXT", 0, " A.TXT", " a.txt", " A.TXT", " A.TXT"},
		{"        TXT", 0, ".TXT", ".txt", ".TXT", ".TXT"},
		{"           ", 0, ":0020", ":0020", ":0020", ":0020"},
		{".          ", 0, ":002e", ":002e", ":002e", ":002e"},
		{"..         ", 0, ":002e:002e", ":002e:002e", ":002e:002e", ":002e:002e"},
		{"A.         ", 0, "A:002e", "a:002e", "A:002e", "A:002e"},
		{"readme  txt", 0, "readme.txt", "readme.txt", "readme.txt", "readme.txt"},
		{"A/B     \x00\x01\x02", 0, "A:002fB.:0000:0001:0002", "a:002fb.:0000:0001:0002", "A:002fB.:0000:0001:0002", "A:002fB.:0000:0001:0002"},
		{"\x9aBER    TXT", 0x18, "über.txt", "über.txt", "ÜBER.TXT", "über.txt"},
		{"\xe2\x9f      ", 0x08, "Γƒ", "Γƒ", "Γƒ", "Γƒ"}, // no small gamma in code page 437
		{"\x05ABC       ", 0, "σABC", "σabc", "σABC", "σABC"},
		{"\x05ABC       ", 0x08, "σabc", "σabc", "σABC", "σabc"},
		{"A\x05B        ", 0, "A:0005B", "a:0005b", "A:0005B", "A:0005B"},
		{"A\x7f         ", 0, "A:007f", "a:007f", "A:007f", "A:007f"},
		{"\xff          ", 0, "\u00a0", "\u00a0", "\u00a0", "\u00a0"},
	}
	for _, mode := range []struct {
		mode ShortNameMode
		want func(i int) string
	}{
		{ShortMixed, func(i int) string { return tests[i].mixed }},
		{ShortLower, func(i int) string { return tests[i].lower }},
		{ShortWin95, func(i int) string { return tests[i].win95 }},
		{ShortWinNT, func(i int) string { return tests[i].winnt }},
	} {
		n := newNames(t, NameOptions{ShortName: mode.mode})
		for i, tt := range tests {
			if len(tt.short) < shortLen {
				tt.short += "   "
			}
			raw := short(tt.short[:shortLen])
			got := n.ShowShort(raw, tt.ntCase)
			if got != mode.want(i) {
				t.Errorf("mode %d: %q case %x shown as %q, want %q", mode.mode, tt.short, tt.ntCase, got, mode.want(i))
			}
			if plain := n.ShortText(raw); plain != tt.win95 {
				t.Errorf("%q: ShortText %q, want %q", tt.short, plain, tt.win95)
			}
		}
	}
}

func TestShowShortCodePages(t *testing.T) {
	tests := []struct{ codePage, short, want string }{
		{"850", "\xb5\xb6\xb7     TXT", "ÁÂÀ.TXT"},
		{"cp866", "\x8f\x90\x88\x82\x85\x92  TXT", "ПРИВЕТ.TXT"},
		{"737", "\x80\x81\x82     TXT", "ΑΒΓ.TXT"},
		{"932", "\x93\xfa\x96\x7b\x8c\xea\x20\x20TXT", "日本語.TXT"},
		{"932", "\x83\x5c\xb1     TXT", "ソｱ.TXT"},
		{"932", "ABCDEFG\x93TXT", "ABCDEFG:dc93.TXT"}, // a lead byte without its second one
		{"932", "\x93\x20      TXT", ":dc93.TXT"},
		{"936", "\xd6\xd0\xce\xc4    TXT", "中文.TXT"},
		{"949", "\xc7\xd1\xb1\xdb    TXT", "한글.TXT"},
		{"950", "\xa4\xa4\xa4\xe5    TXT", "中文.TXT"},
		{"1252", "\xc9T\xc9     TXT", "ÉTÉ.TXT"},
		{"857", "\xd5\xe7\xf2     TXT", ":dcd5:dce7:dcf2.TXT"}, // bytes without a meaning
		{"775", "\x05         \xed", "Õ.  Ē"},
	}
	for _, tt := range tests {
		n := newNames(t, NameOptions{CodePage: tt.codePage})
		got := n.ShowShort(short(tt.short), 0)
		if got != tt.want {
			t.Errorf("code page %s: %q shown as %q, want %q", tt.codePage, tt.short, got, tt.want)
		}
		if n.Fold(got) == "" || n.Fold(got)[0] == 0xff {
			t.Errorf("code page %s: %q cannot be looked up", tt.codePage, got)
		}
	}
}

func TestParseExact(t *testing.T) {
	// What needs no long name: by the rule of Windows 95, and by the rule of Windows NT with the case
	// bits. "" stands for a long name.
	tests := []struct {
		name         string
		win95, winnt string
		ntCase       byte
	}{
		{"README.TXT", "README  TXT", "README  TXT", 0},
		{"readme.txt", "", "README  TXT", 0x18},
		{"readme.TXT", "", "README  TXT", 0x08},
		{"README.txt", "", "README  TXT", 0x10},
		{"Readme.txt", "", "", 0},
		{"README", "README     ", "README     ", 0},
		{"makefile", "", "MAKEFILE   ", 0x08},
		{"12345678.123", "12345678123", "12345678123", 0},
		{"1234567a.123", "", "1234567A123", 0x08},
		{"A1~$%'-_.@!{", "A1~$%'-_@!{", "A1~$%'-_@!{", 0},
		{"123456789", "", "", 0},
		{"A.1234", "", "", 0},
		{"A.B.C", "", "", 0},
		{"A B", "", "", 0},
		{".A", "", "", 0},
		{"A+B", "", "", 0},
		{"A[B", "", "", 0},
		{"ÜBER", "", "", 0},
		{"über", "", "", 0},
		{"A.Ü", "", "", 0},
		{"日", "", "", 0},
		{"A:002eB", "A       B  ", "A       B  ", 0},
		{"A.B:0020", "", "", 0},
		{"A:002a", "", "", 0},
	}
	for _, mode := range []ShortNameMode{ShortMixed, ShortLower, ShortWin95, ShortWinNT} {
		n := newNames(t, NameOptions{ShortName: mode})
		for _, tt := range tests {
			got, err := n.Parse(tt.name)
			if err != nil {
				t.Errorf("%q: %v", tt.name, err)
				continue
			}
			want, wantCase := tt.win95, byte(0)
			if mode == ShortWinNT {
				want, wantCase = tt.winnt, tt.ntCase
			}
			switch {
			case got.Exact != (want != ""):
				t.Errorf("mode %d: %q exact %v", mode, tt.name, got.Exact)
			case got.Exact && (string(got.Short[:]) != want || got.Case != wantCase):
				t.Errorf("mode %d: %q is %q case %x, want %q case %x", mode, tt.name, got.Short[:], got.Case, want, wantCase)
			case got.Exact && mode != ShortLower && tt.name != "A:002eB" && n.ShowShort(got.Short, got.Case) != tt.name:
				t.Errorf("mode %d: %q is shown as %q", mode, tt.name, n.ShowShort(got.Short, got.Case))
			}
		}
	}
}

// TestShowShortParsesBack: every short name that DOS could have made comes back as itself.
func TestShowShortParsesBack(t *testing.T) {
	n := newNames(t, NameOptions{ShortName: ShortWinNT})
	const chars = "ABCXYZ019!#$%&'()-@^_`{}~"
	for base := 1; base <= 8; base++ {
		for ext := 0; ext <= 3; ext++ {
			for _, ntCase := range []byte{0, 0x08, 0x10, 0x18} {
				s := short("           ")
				for i := range base {
					s[i] = chars[(i*7+base+ext)%len(chars)]
				}
				for i := range ext {
					s[8+i] = chars[(i*5+base)%len(chars)]
				}
				shown := n.ShowShort(s, ntCase)
				got, err := n.Parse(shown)
				if err != nil || !got.Exact || got.Short != s || n.ShowShort(got.Short, got.Case) != shown {
					t.Errorf("%q case %x, shown as %q: %q case %x exact %v, %v", s[:], ntCase, shown, got.Short[:], got.Case, got.Exact, err)
				}
			}
		}
	}
}

func TestShortChecksum(t *testing.T) {
	// Computed by another implementation.
	for s, want := range map[string]byte{
		"THEQUI~1FOX": 0x07,
		"           ": 0xf7,
		"README  TXT": 0x73,
		"\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff": 0xbf,
	} {
		if got := ShortChecksum(short(s)); got != want {
			t.Errorf("%q: %#x, want %#x", s, got, want)
		}
	}
}

func TestAlias(t *testing.T) {
	free := func([11]byte) bool { return false }
	tests := []struct{ name, numTail, noNumTail string }{
		{"readme.txt", "README  TXT", "README  TXT"},
		{"Über.txt", "\x9aBER    TXT", "\x9aBER    TXT"},
		{"longfilename.txt", "LONGFI~1TXT", "LONGFILETXT"},
		{"a.html", "A~1     HTM", "A       HTM"},
		{"a.b.c", "AB~1    C  ", "AB      C  "},
		{"The quick brown.fox", "THEQUI~1FOX", "THEQUICKFOX"},
		{".bashrc", "BASHRC~1   ", "BASHRC     "},
		{"..a.b", "A~1     B  ", "A       B  "},
		{". .profile", "PROFIL~1   ", "PROFILE    "},
		{"a+b=c.[x]", "A_B_C~1 _X_", "A_B_C   _X_"},
		{"日本語.txt", "___~1   TXT", "___     TXT"},
		{"\U0001f600", "__~1       ", "__         "},
		{"a:002ab", "A_B~1      ", "A_B        "},
		{"foo:002e", "FOO~1      ", "FOO        "},
		{"foo.bar:0020", "FOO~1   BAR", "FOO     BAR"},
		{"123456789", "123456~1   ", "12345678   "},
		{"1234567 8", "123456~1   ", "12345678   "},
		{"con:002e", "", ""}, // cannot be stored
		{"c on", "CON~1      ", "CON~1      "},
	}
	for _, numTail := range []bool{true, false} {
		n := newNames(t, NameOptions{NoNumTail: !numTail})
		for _, tt := range tests {
			want := tt.noNumTail
			if numTail {
				want = tt.numTail
			}
			name, err := n.Parse(tt.name)
			if want == "" {
				if err == nil {
					t.Errorf("%q can be stored", tt.name)
				}
				continue
			}
			if err != nil {
				t.Errorf("%q: %v", tt.name, err)
				continue
			}
			got, ok := n.Alias(name, free)
			if !ok || string(got[:]) != want {
				t.Errorf("%q: alias %q, %v, want %q", tt.name, got[:], ok, want)
			}
		}
	}
}

func TestAliasCodePages(t *testing.T) {
	tests := []struct{ codePage, name, want string }{
		{"932", "日本語.txt", "\x93\xfa\x96\x7b\x8c\xea  TXT"},
		{"932", "日本語日本語.txt", "\x93\xfa\x96\x7b\x8c\xea~1TXT"},
		{"932", "a日本語日本語.txt", "A\x93\xfa\x96\x7b~1 TXT"}, // cut between characters
		{"932", "a日本語語.txt", "A\x93\xfa\x96\x7b~1 TXT"},
		{"932", "ソース.txt", "__\x83\x58~1  TXT"}, // second bytes that are a backslash and a bracket
		{"932", "x.日本", "X~1     \x93\xfa "},
		{"932", "a¥b", "A_B~1      "},
		{"850", "été", "\x90T\x90        "},
		{"866", "привет.txt", "\x8f\x90\x88\x82\x85\x92  TXT"},
		{"437", "привет.txt", "______~1TXT"},
		{"437", "ÿ.x", "\x98       X  "}, // its capital is not in code page 437
		{"775", "õx", "\x05X         "},  // the capital has the byte of a free slot
	}
	for _, tt := range tests {
		n := newNames(t, NameOptions{CodePage: tt.codePage})
		name, err := n.Parse(tt.name)
		if err != nil {
			t.Errorf("%q: %v", tt.name, err)
			continue
		}
		got, ok := n.Alias(name, func([11]byte) bool { return false })
		if !ok || string(got[:]) != tt.want {
			t.Errorf("code page %s, %q: alias %q, %v, want %q", tt.codePage, tt.name, got[:], ok, tt.want)
		}
		if name.Exact {
			t.Errorf("code page %s, %q needs no long name", tt.codePage, tt.name)
		}
	}
}

func TestAliasTaken(t *testing.T) {
	n := newNames(t, NameOptions{})
	name, err := n.Parse("longfilename.txt")
	if err != nil {
		t.Fatal(err)
	}
	taken := map[[11]byte]bool{}
	for i := range 9 {
		got, ok := n.Alias(name, func(s [11]byte) bool { return taken[s] })
		want := "LONGFI~" + string(rune('1'+i)) + "TXT"
		if !ok || string(got[:]) != want {
			t.Errorf("alias %d is %q, %v, want %q", i, got[:], ok, want)
		}
		taken[got] = true
	}
	got, ok := n.Alias(name, func(s [11]byte) bool { return taken[s] })
	if !ok || string(got[:2]) != "LO" || got[6] != '~' {
		t.Errorf("tenth alias is %q, %v", got[:], ok)
	}
	// A name that differs by case only gets a number when its own short name is another entry's.
	name, _ = n.Parse("readme.txt")
	got, ok = n.Alias(name, func(s [11]byte) bool { return s == short("README  TXT") })
	if !ok || string(got[:]) != "README~1TXT" {
		t.Errorf("alias is %q, %v", got[:], ok)
	}
}

// TestAliasHashCodePages: what is left before the digits is cut between characters as well.
func TestAliasHashCodePages(t *testing.T) {
	n := newNames(t, NameOptions{CodePage: "932"})
	for name, base := range map[string]string{"a日本語日本語": "A", "日本語日本語": "\x93\xfa", "abcdefghij": "AB", "a bcdefghij": "AB"} {
		parsed, err := n.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		tries := 0
		got, ok := n.Alias(parsed, func([11]byte) bool { tries++; return tries <= 9 })
		text := strings.TrimSpace(string(got[:8]))
		if digits, found := strings.CutPrefix(text, base); !ok || !found || len(digits) != 6 || digits[4] != '~' {
			t.Errorf("%q: alias %q, %v", name, got[:], ok)
		}
	}
}

// TestAliasTries: a directory of 30 000 names that begin alike takes about one try for each beyond ~1 to ~9.
func TestAliasTries(t *testing.T) {
	n := newNames(t, NameOptions{})
	taken := make(map[[11]byte]bool)
	tries := 0
	const names = 30000
	for i := range names {
		name := Name{Units: append(units("a long name that begins alike "), uint16('0'+i/10000), uint16('0'+i/1000%10),
			uint16('0'+i/100%10), uint16('0'+i/10%10), uint16('0'+i%10))}
		alias, ok := n.Alias(name, func(s [11]byte) bool { tries++; return taken[s] })
		if !ok || taken[alias] {
			t.Fatalf("name %d: alias %q, %v", i, alias[:], ok)
		}
		taken[alias] = true
	}
	if perName := float64(tries)/names - 9; perName > 1.5 {
		t.Errorf("%.2f tries a name after ~1 to ~9", perName)
	}
}

func TestAliasNone(t *testing.T) {
	n := newNames(t, NameOptions{})
	name, _ := n.Parse("a long name")
	tries := map[[11]byte]bool{}
	if got, ok := n.Alias(name, func(s [11]byte) bool { tries[s] = true; return true }); ok {
		t.Errorf("got %q", got[:])
	}
	if len(tries) < 9<<16 {
		t.Errorf("only %d aliases were tried", len(tries))
	}
}

// TestAliasIsLegal: whatever the name, the alias holds nothing that DOS forbids, and shows safely.
func TestAliasIsLegal(t *testing.T) {
	for _, cp := range []string{"437", "850", "932", "936", "949", "950", "1252"} {
		n := newNames(t, NameOptions{CodePage: cp})
		for r := rune(1); r < 0x10000; r++ {
			if utf16.IsSurrogate(r) || r == '.' || r == ' ' {
				continue
			}
			got, ok := n.Alias(Name{Units: []uint16{uint16(r), 'q', uint16(r), ' ', uint16(r)}}, func([11]byte) bool { return false })
			if !ok {
				t.Fatalf("code page %s: no alias for %U", cp, r)
			}
			for i, c := range got {
				if i == 0 && c == slotKanji {
					continue
				}
				if c < 0x80 && forbidden(c) || 'a' <= c && c <= 'z' && (i == 0 || got[i-1] < 0x80 && got[i-1] != slotKanji) || i == 0 && (c == slotDeleted || c == ' ') {
					t.Fatalf("code page %s: alias %q for %U", cp, got[:], r)
				}
			}
		}
	}
}
