package fat

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// encodeLong gives the slots of a name, each filled with junk first.
func encodeLong(name []uint16, sum byte) []byte {
	b := bytes.Repeat([]byte{0xa5}, LongSlots(name)*slotSize)
	EncodeLong(b, name, sum)
	return b
}

func parseLong(slots []byte, short [11]byte) ([]uint16, int, bool) {
	var p LongParser
	for ; len(slots) > 0; slots = slots[slotSize:] {
		p.Slot(slots[:slotSize])
	}
	return p.Take(short)
}

func TestEncodeLongLayout(t *testing.T) {
	// The bytes that mtools 4.0 and Windows write for "The quick brown.fox" with alias THEQUI~1.FOX.
	want := []byte("\x42w\x00n\x00.\x00f\x00o\x00\x0f\x00\x07x\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\xff\xff\xff\xff" +
		"\x01T\x00h\x00e\x00 \x00q\x00\x0f\x00\x07u\x00i\x00c\x00k\x00 \x00b\x00\x00\x00r\x00o\x00")
	got := encodeLong(units("The quick brown.fox"), ShortChecksum(short("THEQUI~1FOX")))
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestLongNameRoundTrip(t *testing.T) {
	s := short("ALIAS~1 TXT")
	for n := 1; n <= maxUnits; n++ {
		name := make([]uint16, n)
		for i := range name {
			name[i] = uint16(i*257 + n | 1)
		}
		name[n-1] = 0xffff
		slots := encodeLong(name, ShortChecksum(s))
		if len(slots) != (n+12)/13*32 {
			t.Fatalf("%d units: %d bytes", n, len(slots))
		}
		got, count, ok := parseLong(slots, s)
		if !ok || count != len(slots)/slotSize || !slices.Equal(got, name) {
			t.Fatalf("%d units: got %x in %d slots, %v", n, got, count, ok)
		}
	}
}

func TestLongParserRefuses(t *testing.T) {
	s := short("ALIAS~1 TXT")
	sum := ShortChecksum(s)
	good := encodeLong(units("a name of three slots, thirty"), sum)
	slot := func(i int) []byte { return good[i*slotSize : (i+1)*slotSize] }
	changed := func(i, off int, v byte) []byte {
		b := bytes.Clone(slot(i))
		b[off] = v
		return b
	}
	if _, n, ok := parseLong(good, s); !ok || n != 3 {
		t.Fatalf("good slots: %d, %v", n, ok)
	}
	tests := []struct {
		name  string
		slots [][]byte
		short [11]byte
	}{
		{"nothing", nil, s},
		{"another short name", [][]byte{slot(0), slot(1), slot(2)}, short("OTHER   TXT")},
		{"last one missing", [][]byte{slot(0), slot(1)}, s},
		{"first one missing", [][]byte{slot(1), slot(2)}, s},
		{"gap", [][]byte{slot(0), slot(2)}, s},
		{"twice", [][]byte{slot(0), slot(1), slot(1), slot(2)}, s},
		{"wrong order", [][]byte{slot(0), slot(2), slot(1)}, s},
		{"one too many", [][]byte{slot(0), slot(1), slot(2), changed(2, 0, 0)}, s},
		{"checksum within", [][]byte{slot(0), changed(1, offLongChecksum, sum+1), slot(2)}, s},
		{"number 0", [][]byte{changed(0, 0, 0x40)}, s},
		{"number 21", [][]byte{changed(0, 0, 0x40|21)}, s},
		{"number 63", [][]byte{changed(0, 0, 0x7f)}, s},
		{"bit 7", [][]byte{changed(0, 0, 0xc3), slot(1), slot(2)}, s},
		{"bit 7 within", [][]byte{slot(0), changed(1, 0, 0x82), slot(2)}, s},
		{"empty name", [][]byte{changed(2, 1, 0)}, s},
	}
	tests[len(tests)-1].slots[0][0] |= lastLongSlot
	for _, tt := range tests {
		if name, n, ok := parseLong(bytes.Join(tt.slots, nil), tt.short); ok || n != 0 || name != nil {
			t.Errorf("%s: %x in %d slots", tt.name, name, n)
		}
	}
}

func TestLongParserRecovers(t *testing.T) {
	s := short("ALIAS~1 TXT")
	good := encodeLong(units("a name of three slots, thirty"), ShortChecksum(s))
	for _, before := range [][]byte{
		good[:slotSize], good[:2*slotSize], good[slotSize:], good, encodeLong(units("other"), 7), bytes.Repeat([]byte{0xff}, 64), make([]byte, 32),
	} {
		got, n, ok := parseLong(append(bytes.Clone(before), good...), s)
		if !ok || n != 3 || !slices.Equal(got, units("a name of three slots, thirty")) {
			t.Errorf("after %x: %x in %d slots, %v", before, got, n, ok)
		}
	}
	var p LongParser
	for i := range 3 {
		p.Slot(good[i*slotSize:][:slotSize])
	}
	p.Reset()
	if _, _, ok := p.Take(s); ok {
		t.Error("name survived a Reset")
	}
	for i := range 3 {
		p.Slot(good[i*slotSize:][:slotSize])
	}
	if _, _, ok := p.Take(s); !ok {
		t.Error("no name after a Reset")
	}
	if _, _, ok := p.Take(s); ok {
		t.Error("name taken twice")
	}
}

// TestLongParserTooLong: 20 slots hold 260 units, but a name has 255 at most.
func TestLongParserTooLong(t *testing.T) {
	s := short("ALIAS~1 TXT")
	for n := 253; n <= 260; n++ {
		name := units(strings.Repeat("x", n))
		got, _, ok := parseLong(encodeLong(name, ShortChecksum(s)), s)
		if ok != (n <= maxUnits) || ok && len(got) != n {
			t.Errorf("%d units: %d, %v", n, len(got), ok)
		}
	}
}

// TestEachEntryOwnsItsName: of what the parser reuses, an entry has a copy.
func TestEachEntryOwnsItsName(t *testing.T) {
	s := short("ALIAS~1 TXT")
	var data []byte
	for _, name := range []string{"one", "two"} {
		data = append(data, encodeLong(units(name), ShortChecksum(s))...)
		data = append(append(data, s[:]...), make([]byte, slotSize-len(s))...)
	}
	var names [][]uint16
	eachEntry(data, true, func(e *rawEntry) { names = append(names, e.units) })
	if len(names) != 3 || !slices.Equal(names[0], units("one")) || !slices.Equal(names[1], units("two")) || names[2] != nil {
		t.Errorf("%x", names)
	}
}
