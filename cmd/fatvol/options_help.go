package main

import (
	"fmt"
	"strings"
)

// Columns of the help.
const (
	helpWidth  = 79
	helpIndent = 24
)

// optionsHelp is what `-o help` prints: every option and what it does, but in one list those that
// do nothing.
func optionsHelp() string {
	var b strings.Builder
	for i, g := range optionGroups {
		fmt.Fprintf(&b, "%s:\n", g.title)
		if i == len(optionGroups)-1 {
			var names []string
			for _, o := range g.options {
				names = append(names, o.name)
			}
			b.WriteString(wrap("  ", strings.Join(names, ", "), 2))
			b.WriteByte('\n')
			continue
		}
		for _, o := range g.options {
			head := "  " + o.name + o.form
			if len(head) >= helpIndent {
				fmt.Fprintln(&b, head)
				head = ""
			}
			b.WriteString(wrap(head, strings.ReplaceAll(o.doc, "`", ""), helpIndent))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// wrap sets text in lines of at most helpWidth columns, each indented, behind a head that is
// shorter than the indent or as long.
func wrap(head, text string, indent int) string {
	var b strings.Builder
	for _, line := range breakWords(text, helpWidth-indent) {
		fmt.Fprintf(&b, "%-*s%s\n", indent, head, line)
		head = ""
	}
	return b.String()
}
