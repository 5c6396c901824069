package fattest

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Fold is the key by which names of a directory are equal: composed (NFC), in simple upper case
// character by character, without trailing dots.
func Fold(name string) string {
	return strings.Map(unicode.ToUpper, norm.NFC.String(strings.TrimRight(name, ".")))
}
