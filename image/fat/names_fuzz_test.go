package fat

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// fuzzNames are conversions that differ in everything that matters.
func fuzzNames(t testing.TB) []*Names {
	return []*Names{
		newNames(t, NameOptions{}),
		newNames(t, NameOptions{ShortName: ShortWinNT, NoNumTail: true, CodePage: "932"}),
		newNames(t, NameOptions{ShortName: ShortLower, Check: CheckStrict, CodePage: "857"}),
		newNames(t, NameOptions{IOCharset: "iso8859-15", CodePage: "850"}),
		newNames(t, NameOptions{IOCharset: "cp1258", CodePage: "1258"}),
		newNames(t, NameOptions{IOCharset: "euc-jp", CodePage: "932", UniXlate: true, ShortName: ShortWin95}),
	}
}

// checkShown checks what the kernel and programs rely on.
func checkShown(t *testing.T, n *Names, s string) {
	t.Helper()
	if s == "" || s == "." || s == ".." || len(s) > 1024 {
		t.Errorf("shown as %q", s)
	}
	if n.io == nil && !utf8.ValidString(s) {
		t.Errorf("%q is not UTF-8", s)
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == '/' || s[i] == 0x7f {
			t.Errorf("%q holds %q", s, s[i])
		}
	}
	if last := s[len(s)-1]; last == '.' || last == ' ' {
		t.Errorf("%q ends in %q", s, last)
	}
}

func decodeUnits(b []byte) []uint16 {
	var out []uint16
	for i := 0; i+1 < len(b) && len(out) < maxUnits; i += 2 {
		out = append(out, uint16(b[i])|uint16(b[i+1])<<8)
	}
	return out
}

// FuzzNames takes bytes as a long name on the disk, as a name from an application and as a short
// name, and checks that shown names are safe and come back.
func FuzzNames(f *testing.F) {
	for _, s := range []string{
		"readme.txt", "e\u0301 \U0001f600.TXT", "a:002fb", "::00610062", ":d83d:de00", "con", "..", "a. .", "\xff\xfe", "日本語¥",
		"a\x00/\x00b\x00", "\x3d\xd8x\x00", "A\x00:\x000\x000\x002\x00e\x00", strings.Repeat("\x00\xd8", 255), "\x3c\x00\x38\x03",
		"A:0300", "A\x00\x00\x03", "A\x00\x23\x03", "\xa0\x1e", "A\xf2", "A:0323",
		strings.Repeat("\x00\xd8", 250) + strings.Repeat("\x58\x09", 5), // 260 units in normal form
	} {
		f.Add([]byte(s))
	}
	all := fuzzNames(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range all {
			fuzzLong(t, n, decodeUnits(b))
			fuzzApplication(t, n, string(b))
			if len(b) >= shortLen {
				fuzzShort(t, n, [11]byte(b), b[len(b)-1])
			}
		}
	})
}

func fuzzLong(t *testing.T, n *Names, disk []uint16) {
	if len(disk) == 0 {
		return
	}
	shown := n.ShowLong(disk)
	checkShown(t, n, shown)
	key := n.FoldUnits(disk)
	if n.Fold(shown) != key {
		t.Errorf("%x shown as %q: keys %q and %q", disk, shown, key, n.Fold(shown))
	}
	name, err := n.Parse(shown)
	if err != nil {
		// Only what could never have been created, or what the character set has no form for.
		forever := strings.Contains(err.Error(), "U+0000") || strings.Contains(err.Error(), "dots and spaces") ||
			strings.Contains(err.Error(), "device") || n.io != nil && !n.uniXlate && strings.Contains(err.Error(), "'?'")
		if !forever && (!errors.Is(err, ErrNameTooLong) || len(normalize(disk)) <= maxUnits) {
			t.Errorf("%x shown as %q: %v", disk, shown, err)
		}
		return
	}
	if want := normalize(n.visible(disk)); !slices.Equal(name.Units, want) || name.Key != key {
		t.Errorf("%x shown as %q: back as %x with key %q, want %x, %q", disk, shown, name.Units, name.Key, want, key)
	}
	if slices.Equal(name.Units, disk) && n.ShowLong(name.Units) != shown {
		t.Errorf("%x shown as %q and %q", disk, shown, n.ShowLong(name.Units))
	}
}

func fuzzApplication(t *testing.T, n *Names, app string) {
	key := n.Fold(app)
	name, err := n.Parse(app)
	if err != nil {
		if !errors.Is(err, ErrName) && !errors.Is(err, ErrNameTooLong) {
			t.Errorf("%q: %v", app, err)
		}
		return
	}
	if len(name.Units) == 0 || len(name.Units) > maxUnits || slices.Contains(name.Units, 0) {
		t.Errorf("%q: stored as %x", app, name.Units)
	}
	if name.Key != key || n.FoldUnits(name.Units) != key {
		t.Errorf("%q: keys %q, %q and %q", app, key, name.Key, n.FoldUnits(name.Units))
	}
	if !slices.Equal(normalize(name.Units), name.Units) {
		t.Errorf("%q: stored as %x, which is not in normal form", app, name.Units)
	}
	checkShown(t, n, n.ShowLong(name.Units))
	if name.Exact {
		if shown := n.ShowShort(name.Short, name.Case); n.shortName != ShortLower && shown != n.ShowLong(name.Units) || n.Fold(shown) != key && !n.exactCase {
			t.Errorf("%q: exact as %q, shown as %q", app, name.Short[:], shown)
		}
	}
	alias, ok := n.Alias(name, func([11]byte) bool { return false })
	if !ok || alias[0] == ' ' || alias[0] == slotDeleted || alias[0] == slotEnd {
		t.Errorf("%q: alias %q, %v", app, alias[:], ok)
	}
	var p LongParser
	slots := encodeLong(name.Units, ShortChecksum(alias))
	for i := 0; i < len(slots); i += slotSize {
		p.Slot(slots[i : i+slotSize])
	}
	if back, count, ok := p.Take(alias); !ok || count != LongSlots(name.Units) || !slices.Equal(back, name.Units) {
		t.Errorf("%q: slots read as %x", app, back)
	}
}

func fuzzShort(t *testing.T, n *Names, s [11]byte, ntCase byte) {
	for _, shown := range []string{n.ShowShort(s, ntCase), n.ShortText(s)} {
		checkShown(t, n, shown)
		name, err := n.Parse(shown)
		if err != nil {
			continue
		}
		if name.Key != n.Fold(shown) || n.ShowLong(name.Units) != shown && slices.Equal(name.Units, utf16Of(n, shown)) {
			t.Errorf("%q shown as %q: back as %x with key %q", s[:], shown, name.Units, name.Key)
		}
	}
}

// utf16Of is a shown name as it was before normalization.
func utf16Of(n *Names, shown string) []uint16 { return n.decode(nil, shown).units }

func FuzzLongParser(f *testing.F) {
	s := short("ALIAS~1 TXT")
	good := encodeLong(utf16.Encode([]rune("a name of three slots, thirty")), ShortChecksum(s))
	f.Add(good, s[:])
	f.Add(append(slices.Clone(good[:32]), good...), s[:])
	f.Add(good[32:], s[:])
	f.Fuzz(func(t *testing.T, b, shortName []byte) {
		if len(shortName) < shortLen {
			return
		}
		s := [11]byte(shortName)
		var p LongParser
		for ; len(b) >= slotSize; b = b[slotSize:] {
			p.Slot(b[:slotSize])
			q := p // Take must not depend on where it comes
			name, count, ok := q.Take(s)
			if !ok {
				if name != nil || count != 0 {
					t.Errorf("no name, but %x in %d slots", name, count)
				}
				continue
			}
			if len(name) == 0 || len(name) > maxUnits || count < LongSlots(name) || count > maxLongSlots || slices.Contains(name, 0) {
				t.Errorf("%x in %d slots", name, count)
			}
			again, _, ok := parseLong(encodeLong(name, ShortChecksum(s)), s)
			if !ok || !slices.Equal(again, name) {
				t.Errorf("%x encoded and read as %x", name, again)
			}
		}
	})
}
