package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manDir is where the manual pages are kept.
const manDir = "../../docs/man"

// The manual pages say what the code does: they are those that the code writes.
func TestManPagesAreCurrent(t *testing.T) {
	pages := manPages(rootCommand())
	kept, err := os.ReadDir(manDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range kept {
		if _, ok := pages[f.Name()]; !ok {
			t.Errorf("docs/man/%s is of no command: remove it", f.Name())
		}
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(manDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("docs/man/%s is not what the code says: run 'make man'", name)
		}
	}
}

func TestManPagesNameEveryOption(t *testing.T) {
	page := mountPage()
	for _, name := range optionNames() {
		if !strings.Contains(page, ".TP\n\\fB"+roffEscape(name)+"\\fR") {
			t.Errorf("mount.fatvol(8) says nothing of %s", name)
		}
	}
}

func TestRoffText(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"plain", "plain"},
		{"`bold` not", `\fBbold\fR not`},
		{"-o ro", `\-o ro`},
		{`a\b`, `a\eb`},
		{".start\nand\n.again", "\\&.start\nand\n\\&.again"},
		{"'quoted'", `\(aqquoted\(aq`},
	} {
		if got := roffText(tc.text); got != tc.want {
			t.Errorf("roffText(%q) = %q, want %q", tc.text, got, tc.want)
		}
	}
}

func TestOptionsHelp(t *testing.T) {
	help := optionsHelp()
	for line := range strings.Lines(help) {
		if len([]rune(line)) > helpWidth+1 {
			t.Errorf("line of %d columns: %q", len(line), line)
		}
	}
	for _, name := range optionNames() {
		if !strings.Contains(help, name) {
			t.Errorf("no word of %s", name)
		}
	}
}
