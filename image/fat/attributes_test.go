package fat

import "testing"

func TestAttributesText(t *testing.T) {
	for _, c := range []struct {
		text string
		bits Attributes
		back string
	}{
		{"", 0, ""},
		{"R", AttrReadOnly, "R"},
		{"rhsa", AttrSettable, "RHSA"},
		{"ASHR", AttrSettable, "RHSA"},
		{"-H-A", AttrHidden | AttrArchive, "HA"},
		{"HH", AttrHidden, "H"},
	} {
		got, ok := ParseAttributes(c.text)
		if !ok || got != c.bits {
			t.Errorf("%q: %#x %v, want %#x", c.text, byte(got), ok, byte(c.bits))
		}
		if s := (got | AttrDirectory).String(); s != c.back {
			t.Errorf("%q comes back as %q, want %q", c.text, s, c.back)
		}
	}
	for _, s := range []string{"D", "R H", "x", "R\x00"} {
		if _, ok := ParseAttributes(s); ok {
			t.Errorf("%q was accepted", s)
		}
	}
}
