package automount

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds the name of a mount point, in bytes: well below NAME_MAX, and what fits a window.
const maxName = 64

// volumeName is what a volume is called: by its label, or else by the name of its image.
func volumeName(image string, v Volume, several bool) string {
	if name := cleanName(v.Label); name != "" && !strings.EqualFold(name, "NO NAME") {
		return name
	}
	base := filepath.Base(image)
	name := cleanName(strings.TrimSuffix(base, filepath.Ext(base)))
	if name == "" {
		name = "volume"
	}
	if several {
		name = fmt.Sprintf("%s %d", name, v.Partition)
	}
	return name
}

// cleanName makes text fit to be one name in a path and on a screen.
func cleanName(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\' || r == utf8.RuneError:
			return '_'
		case !unicode.IsPrint(r):
			return -1 // also what changes the direction of text
		}
		return r
	}, text)
	text = strings.TrimSpace(strings.TrimLeft(text, ". "))
	for len(text) > maxName {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return strings.TrimSpace(text)
}

// uniqueName is name, or name with the first number that makes it different from what is taken. File
// systems that ignore case are no concern: these are names in our own directory.
func uniqueName(name string, taken func(string) bool) string {
	unique := name
	for n := 2; taken(unique); n++ {
		unique = fmt.Sprintf("%s %d", name, n)
	}
	return unique
}
