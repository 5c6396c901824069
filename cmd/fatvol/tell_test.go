package main

import (
	"strings"
	"testing"
)

func TestTell(t *testing.T) {
	for _, tc := range [][2]string{
		{"plain", "plain"},
		{"ünïcödé – 日本", "ünïcödé – 日本"},
		{"two\nlines\tand a tab", "two\nlines\tand a tab"},
		{"\x1b]0;title\x07", `\x1b]0;title\a`},
		{"over\rwritten\b", `over\rwritten\b`},
		{"\u009b31m", `\u009b31m`},
		{"right \u202e to left", `right \u202e to left`},
		{"latin-1 \xe4 \x9b", `latin-1 \xe4 \x9b`},
		{"\ufffd", "\ufffd"},
	} {
		var b strings.Builder
		tell(&b, "%s", tc[0])
		if want := "fatvol: " + tc[1] + "\n"; b.String() != want {
			t.Errorf("%q: %q, want %q", tc[0], b.String(), want)
		}
	}
}
