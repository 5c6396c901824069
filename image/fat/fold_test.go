package fat

import (
	"testing"
	"unicode"
)

// TestUpperRuneAgreesWithWindows: ranges in which the up-case table of Windows (that of the exFAT
// specification, section 7.2.5) and the Unicode mapping agree, and the places where they do not.
func TestUpperRuneAgreesWithWindows(t *testing.T) {
	for _, r := range []struct{ from, to, step, add rune }{
		{'a', 'z', 1, -32}, {0xe0, 0xf6, 1, -32}, {0xf8, 0xfe, 1, -32}, {0xff, 0xff, 1, 121},
		{0x101, 0x12f, 2, -1}, {0x14b, 0x177, 2, -1}, {0x3b1, 0x3c1, 1, -32}, {0x3c3, 0x3cb, 1, -32},
		{0x430, 0x44f, 1, -32}, {0x450, 0x45f, 1, -80}, {0x561, 0x586, 1, -48}, {0x1e01, 0x1e95, 2, -1},
		{0x24d0, 0x24e9, 1, -26}, {0xff41, 0xff5a, 1, -32}, {0x3c2, 0x3c2, 1, 1 + 0x20 - 0x40},
	} {
		for c := r.from; c <= r.to; c += r.step {
			if got := upperRune(c); got != c+r.add {
				t.Errorf("%U: %U, want %U", c, got, c+r.add)
			}
		}
	}
	for _, c := range []rune{0xb5, 0xdf, 0xf7, 0x130, 0x131, 0x138, 0x149, 0x17f, 0x1c5, 0x1c8, 0x1cb, 0x1f0, 0x1f2, 0x345,
		0x3d0, 0x3d1, 0x3d5, 0x3f0, 0x1e9b, 0x1fbe, 0x2126, 0x212a, 0x4e00, 0xac00, 0xfb01, 0xfffd} {
		if got := upperRune(c); got != c {
			t.Errorf("%U: %U, want none", c, got)
		}
	}
}

// TestUpperRuneJoinsPairs: but for the two sigmas no two characters become the same third one, and
// a character's upper case is its own upper case.
func TestUpperRuneJoinsPairs(t *testing.T) {
	from := make(map[rune]rune)
	for r := rune(0); r <= unicode.MaxRune; r++ {
		u := upperRune(r)
		if upperRune(u) != u {
			t.Errorf("%U becomes %U, which becomes %U", r, u, upperRune(u))
		}
		if u == r || r == 0x3c2 {
			continue
		}
		if other, ok := from[u]; ok {
			t.Errorf("%U and %U both become %U", r, other, u)
		}
		from[u] = r
		if lowerRune(u) != r {
			t.Errorf("%U becomes %U, which becomes %U", r, u, lowerRune(u))
		}
	}
}

func TestFoldDoesNotAllocate(t *testing.T) {
	n := newNames(t, NameOptions{})
	if a := testing.AllocsPerRun(100, func() { n.Fold("ALREADY UPPER.TXT") }); a != 0 {
		t.Errorf("%v allocations for a name that is its own key", a)
	}
	if a := testing.AllocsPerRun(100, func() { n.Fold("lower.txt") }); a > 1 {
		t.Errorf("%v allocations for an ASCII name", a)
	}
	if a := testing.AllocsPerRun(100, func() {
		if _, err := n.Parse("lower.txt"); err != nil {
			t.Error(err)
		}
	}); a > 2 {
		t.Errorf("%v allocations to parse an ASCII name", a)
	}
}
