package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const (
	// mapRows bounds the height of a map in a terminal: it shows together with its legend.
	mapRows = 16
	// mapMargin is the room for the offset that a row begins at.
	mapMargin = 10
	// plainWidth is the width where there is no terminal to ask.
	plainWidth               = 80
	maxMapWidth, minMapWidth = 160, 40
)

// mapStyle is how a map is written as text.
type mapStyle struct {
	width  int  // columns
	blocks bool // block characters and colours; plain characters otherwise
	colour bool
}

// mapStyleFor is what suits w: what a terminal can show, and plain characters elsewhere.
func mapStyleFor(w io.Writer) mapStyle {
	s := mapStyle{width: plainWidth}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		s.width = min(max(width, minMapWidth), maxMapWidth)
	}
	dumb := os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == ""
	s.blocks = !dumb && utf8Locale()
	s.colour = !dumb && os.Getenv("NO_COLOR") == ""
	return s
}

// utf8Locale reports whether the user's locale says that the terminal shows UTF-8.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// cells is the number of cells that fit.
func (s mapStyle) cells() int { return (s.width - mapMargin) * mapRows }

// plainCells are the characters for cells that are used less than half, and more.
var plainCells = map[cellKind][2]string{
	cellFree: {".", "."}, cellWhole: {"o", "O"}, cellTorn: {"f", "F"}, cellTornBad: {"m", "M"}, cellBad: {"B", "B"},
}

// cellColours are the foreground colours of terminals (ECMA-48, SGR).
var cellColours = map[cellKind]string{
	cellFree: "2", cellWhole: "34", cellTorn: "33", cellTornBad: "31", cellBad: "1;35",
}

// shadeOf is a block that is as dense as a cell is full.
func shadeOf(fill float64) string {
	switch {
	case fill == 0:
		return "·"
	case fill <= 0.25:
		return "░"
	case fill <= 0.5:
		return "▒"
	case fill < 1:
		return "▓"
	}
	return "█"
}

func (s mapStyle) glyph(kind cellKind, fill float64) string {
	switch {
	case !s.blocks && fill < 0.5:
		return plainCells[kind][0]
	case !s.blocks:
		return plainCells[kind][1]
	case !s.colour && kind == cellTorn:
		return "▚"
	case !s.colour && kind == cellTornBad:
		return "✗"
	case kind == cellBad:
		return "B"
	}
	return shadeOf(fill)
}

// paint puts text in the colour of a kind of cell.
func (s mapStyle) paint(kind cellKind, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + cellColours[kind] + "m" + text + "\x1b[0m"
}

// text is the map with its legend, every line ended.
func (m *spaceMap) text(s mapStyle, clusterSize int) string {
	var b strings.Builder
	columns := s.width - mapMargin
	for row := 0; row < len(m.cells); row += columns {
		fmt.Fprintf(&b, "%*s ", mapMargin-1, humanSize(int64(row)*int64(m.perCell)*int64(clusterSize)))
		var run strings.Builder // cells of one colour
		cells := m.cells[row:min(row+columns, len(m.cells))]
		for i, c := range cells {
			run.WriteString(s.glyph(c.kind(), c.fill()))
			if i+1 == len(cells) || cells[i+1].kind() != c.kind() {
				b.WriteString(s.paint(c.kind(), run.String()))
				run.Reset()
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s%s\n%sone character is %s", strings.Repeat(" ", mapMargin), m.summary(clusterSize),
		strings.Repeat(" ", mapMargin), counted(m.perCell, "cluster", "clusters"))
	fmt.Fprintf(&b, ", %s:\n", humanSize(int64(m.perCell)*int64(clusterSize)))
	for _, l := range mapLegend {
		if l.kind == cellBad && m.Bad == 0 {
			continue
		}
		sample := s.glyph(l.kind, 1)
		if l.kind == cellFree {
			sample = s.glyph(l.kind, 0)
		} else if less := s.glyph(l.kind, 0.25); less != sample {
			sample = less + sample
		}
		fmt.Fprintf(&b, "%*s%s  %s\n", mapMargin+2-len([]rune(sample)), "", s.paint(l.kind, sample), l.text)
	}
	return b.String()
}
