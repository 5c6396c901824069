package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tell writes a message of the program, in lines of their own. Paths and reasons in it may be anybody's: a user's whose
// mount root takes away, or of whoever named the files of an image. None of them reaches the terminal as a command.
func tell(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "fatvol: %s\n", inert(fmt.Sprintf(format, args...)))
}

// inert is text without what a terminal would obey, which is shown escaped. The ends of lines stay.
func inert(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || isCommand(r) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "\\x%02x", s[0])
		case isCommand(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}

func isCommand(r rune) bool { return r != '\n' && r != '\t' && !strconv.IsPrint(r) }
