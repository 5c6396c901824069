package fattest

import (
	"strings"
	"syscall"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"
)

// maxName is the longest name, in UTF-16 units.
const maxName = 255

// storedName is how a volume spells a name that was given to it.
func storedName(name string) string { return norm.NFC.String(name) }

// checkNew says why an entry of that name cannot be made: EINVAL, ENAMETOOLONG, or 0.
func checkNew(name string) syscall.Errno {
	stored := storedName(name)
	switch {
	case stored == "" || stored == "." || stored == "..":
		return syscall.EINVAL
	case tooLong(stored):
		return syscall.ENAMETOOLONG
	case strings.HasSuffix(stored, ".") || strings.HasSuffix(stored, " "):
		return syscall.EINVAL
	case strings.ContainsFunc(stored, func(r rune) bool {
		return r < 0x20 || r < 0x80 && strings.ContainsRune(`"*/:<>?\|`, r)
	}):
		return syscall.EINVAL
	}
	return 0
}

func tooLong(stored string) bool { return len(utf16.Encode([]rune(stored))) > maxName }

// OneComponent reports whether a listing may show a name: it is one component of a path, leads not to another
// directory by itself, and has no control characters.
func OneComponent(name string) bool {
	return name != "" && name != "." && name != ".." &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f })
}

// slotsOf is the most slots that an entry of that name takes.
func slotsOf(name string) int64 {
	return 1 + ceilDiv(int64(len(utf16.Encode([]rune(storedName(name))))), 13)
}
