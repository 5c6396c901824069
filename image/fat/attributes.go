package fat

import "strings"

var attributeLetters = []struct {
	letter byte
	bit    Attributes
}{
	{'R', AttrReadOnly},
	{'H', AttrHidden},
	{'S', AttrSystem},
	{'A', AttrArchive},
}

// String is the letters, as of RHSA, of those attributes that somebody can choose and that are set.
func (a Attributes) String() string {
	var b strings.Builder
	for _, l := range attributeLetters {
		if a&l.bit != 0 {
			b.WriteByte(l.letter)
		}
	}
	return b.String()
}

// ParseAttributes is the reverse of String. Letters may be in any order and case, and '-' stands for one
// that is not set.
func ParseAttributes(s string) (a Attributes, ok bool) {
next:
	for _, c := range []byte(strings.ToUpper(s)) {
		if c == '-' {
			continue
		}
		for _, l := range attributeLetters {
			if c == l.letter {
				a |= l.bit
				continue next
			}
		}
		return 0, false
	}
	return a, true
}
