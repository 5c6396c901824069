package main

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
	"path/filepath"
	"strings"

	"git.sr.ht/~sbinet/gg"
	svg "github.com/ajstarks/svgo"
	"golang.org/x/image/font"
)

// Lengths of the picture, in points.
const (
	pictureColumns = 80
	pictureRows    = 40
	cellPitch      = 8
	cellGap        = 1
	pictureMargin  = 16
	lineHeight     = 16
	textSize       = 11
)

// A mapPanel is the map of one volume in a picture.
type mapPanel struct {
	title       string
	clusterSize int
	m           *spaceMap
}

// kindColours can be told apart by people who see few colours (the palette of Okabe and Ito).
var kindColours = map[cellKind]color.RGBA{
	cellFree:    {0xec, 0xec, 0xec, 0xff},
	cellWhole:   {0x00, 0x72, 0xb2, 0xff},
	cellTorn:    {0xe6, 0x9f, 0x00, 0xff},
	cellTornBad: {0xd5, 0x5e, 0x00, 0xff},
	cellBad:     {0x00, 0x00, 0x00, 0xff},
}

// fillSteps is the number of shades between free and full.
const fillSteps = 4

// shade is the colour of a cell: the less of it is used, the closer to that of free space.
func shade(kind cellKind, step int) color.RGBA {
	c, free := kindColours[kind], kindColours[cellFree]
	if kind == cellFree || kind == cellBad {
		return c
	}
	// A cell of which hardly anything is used must still be seen.
	f := 0.25 + 0.75*float64(step)/fillSteps
	mix := func(a, b uint8) uint8 { return uint8(float64(a)*f + float64(b)*(1-f)) }
	return color.RGBA{mix(c.R, free.R), mix(c.G, free.G), mix(c.B, free.B), 0xff}
}

// pictureFormat is what a file name asks for: ".svg" or ".png".
func pictureFormat(path string) (string, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".svg", ".png":
		return ext, nil
	}
	return "", fmt.Errorf("a map can be written to a file that ends in .svg or .png, not to %q", path)
}

// writeMapPicture writes the maps of volumes to an SVG or PNG file, which is there whole or not at all.
func writeMapPicture(path string, panels []mapPanel) error {
	format, err := pictureFormat(path)
	if err != nil {
		return err
	}
	draw := drawPNG
	if format == ".svg" {
		draw = drawSVG
	}
	f, err := hostTree{}.begin(path, 0o666, 0)
	if err != nil {
		return err
	}
	if err := draw(f, panels); err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.Commit()
}

func drawSVG(w io.Writer, panels []mapPanel) error {
	var b bytes.Buffer // svgo does not report errors
	c := &svgCanvas{svg.New(&b)}
	c.Start(pictureWidth(), pictureHeight(panels))
	if err := drawPanels(c, panels); err != nil {
		return err
	}
	c.End()
	_, err := b.WriteTo(w)
	return err
}

func drawPNG(w io.Writer, panels []mapPanel) error {
	c := &pngCanvas{gg.NewContext(pictureWidth()*pngScale, pictureHeight(panels)*pngScale)}
	if err := drawPanels(c, panels); err != nil {
		return err
	}
	return c.EncodePNG(w)
}

func pictureWidth() int { return 2*pictureMargin + pictureColumns*cellPitch }

func pictureHeight(panels []mapPanel) int {
	h := 2*pictureMargin + 2*lineHeight // the legend
	for _, p := range panels {
		h += p.height()
	}
	return h
}

func (p mapPanel) rows() int { return (len(p.m.cells) + pictureColumns - 1) / pictureColumns }

func (p mapPanel) height() int { return p.rows()*cellPitch + 7*lineHeight/2 }

func drawPanels(c canvas, panels []mapPanel) error {
	face, err := textFace(1)
	if err != nil {
		return err
	}
	c.rects(color.RGBA{0xff, 0xff, 0xff, 0xff}, []rect{{0, 0, pictureWidth(), pictureHeight(panels)}})
	y := pictureMargin // of the top of what comes next
	for _, p := range panels {
		if err := p.draw(c, y); err != nil {
			return err
		}
		y += p.height()
	}
	return drawLegend(c, face, y)
}

func (p mapPanel) draw(c canvas, y int) error {
	about := fmt.Sprintf("%s; one square is %s", p.m.summary(p.clusterSize), humanSize(int64(p.m.perCell)*int64(p.clusterSize)))
	p.drawCells(c, y+9*lineHeight/4)
	return errors.Join(
		c.text(color.RGBA{A: 0xff}, pictureMargin, y+textSize, p.title),
		c.text(color.RGBA{0x60, 0x60, 0x60, 0xff}, pictureMargin, y+textSize+lineHeight, about))
}

// drawCells draws the squares below y, all of one colour at once.
func (p mapPanel) drawCells(c canvas, y int) {
	squares := map[color.RGBA][]rect{}
	var order []color.RGBA
	for i, cell := range p.m.cells {
		step := 0
		if fill := cell.fill(); fill > 0 {
			step = int(fill * fillSteps)
		}
		col := shade(cell.kind(), step)
		if squares[col] == nil {
			order = append(order, col)
		}
		squares[col] = append(squares[col], rect{
			pictureMargin + i%pictureColumns*cellPitch, y + i/pictureColumns*cellPitch, cellPitch - cellGap, cellPitch - cellGap,
		})
	}
	for _, col := range order {
		c.rects(col, squares[col])
	}
}

// drawLegend says below y what the colours mean.
func drawLegend(c canvas, face font.Face, y int) error {
	x := pictureMargin
	for _, l := range mapLegend {
		c.rects(shade(l.kind, fillSteps), []rect{{x, y + 1, cellPitch + 2, cellPitch + 2}})
		x += cellPitch + 6
		if err := c.text(color.RGBA{A: 0xff}, x, y+textSize-1, l.text); err != nil {
			return err
		}
		x += font.MeasureString(face, l.text).Ceil() + 14
	}
	return nil
}
