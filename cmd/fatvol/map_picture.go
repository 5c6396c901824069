package main

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The picture is drawn with the drawing half of gonum's plot: one Canvas for SVG and PNG, pure Go,
// maintained and released regularly, under BSD terms, and less than 2 MB of the program.

// Lengths of the picture, in points.
const (
	pictureColumns = 80
	pictureRows    = 40
	cellPitch      = 8.0
	cellGap        = 1.0
	pictureMargin  = 16.0
	lineHeight     = 16.0
	textSize       = 11.0
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
func writeMapPicture(path string, panels []mapPanel) (err error) {
	format, err := pictureFormat(path)
	if err != nil {
		return err
	}
	draw := drawPNG
	if format == ".svg" {
		draw = drawSVG
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".fatvol-map-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := errors.Join(draw(f, panels), f.Chmod(0o666&^os.FileMode(currentCaller().umask)), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func drawSVG(w io.Writer, panels []mapPanel) error {
	c := vgsvg.New(pictureWidth(), pictureHeight(panels))
	c.Push()
	background(c, panels)
	c.Pop()
	if err := drawPanels(c, panels); err != nil {
		return err
	}
	_, err := c.WriteTo(w)
	return err
}

func drawPNG(w io.Writer, panels []mapPanel) error {
	c := vgimg.NewWith(vgimg.UseWH(pictureWidth(), pictureHeight(panels)), vgimg.UseDPI(144))
	if err := drawPanels(c, panels); err != nil {
		return err
	}
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// background is the paper, which PNG has by itself.
func background(c vg.Canvas, panels []mapPanel) {
	var p vg.Path
	addRect(&p, 0, 0, pictureWidth(), pictureHeight(panels))
	c.SetColor(color.White)
	c.Fill(p)
}

func pictureWidth() vg.Length {
	return 2*pictureMargin + pictureColumns*cellPitch
}

func pictureHeight(panels []mapPanel) vg.Length {
	h := vg.Length(2*pictureMargin + 2*lineHeight) // the legend
	for _, p := range panels {
		h += p.height()
	}
	return h
}

func (p mapPanel) rows() int { return (len(p.m.cells) + pictureColumns - 1) / pictureColumns }

func (p mapPanel) height() vg.Length {
	return vg.Length(float64(p.rows())*cellPitch + 3.5*lineHeight)
}

// textFace is the typeface of the picture. SVG viewers take their own.
func textFace() (font.Face, error) {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return font.Face{}, err
	}
	fnt := font.Font{Typeface: "sans-serif"}
	return font.NewCache(font.Collection{{Font: fnt, Face: f}}).Lookup(fnt, textSize), nil
}

func drawPanels(c vg.Canvas, panels []mapPanel) error {
	face, err := textFace()
	if err != nil {
		return err
	}
	y := pictureHeight(panels) - pictureMargin // of the top of what comes next; y grows upwards
	for _, p := range panels {
		c.SetColor(color.Black)
		c.FillString(face, vg.Point{X: pictureMargin, Y: y - textSize}, p.title)
		c.SetColor(color.Gray{0x60})
		c.FillString(face, vg.Point{X: pictureMargin, Y: y - textSize - lineHeight},
			fmt.Sprintf("%s; one square is %s", p.m.summary(p.clusterSize), humanSize(int64(p.m.perCell)*int64(p.clusterSize))))
		p.drawCells(c, y-2.25*lineHeight)
		y -= p.height()
	}
	drawLegend(c, face, y)
	return nil
}

// drawCells draws the squares below y, all of one colour at once.
func (p mapPanel) drawCells(c vg.Canvas, y vg.Length) {
	paths := map[color.RGBA]*vg.Path{}
	var order []color.RGBA
	for i, cell := range p.m.cells {
		step := 0
		if fill := cell.fill(); fill > 0 {
			step = int(fill * fillSteps)
		}
		col := shade(cell.kind(), step)
		if paths[col] == nil {
			paths[col] = &vg.Path{}
			order = append(order, col)
		}
		x := pictureMargin + vg.Length(i%pictureColumns)*cellPitch
		top := y - vg.Length(i/pictureColumns)*cellPitch
		addRect(paths[col], x, top-cellPitch+cellGap, cellPitch-cellGap, cellPitch-cellGap)
	}
	for _, col := range order {
		c.SetColor(col)
		c.Fill(*paths[col])
	}
}

// drawLegend says below y what the colours mean.
func drawLegend(c vg.Canvas, face font.Face, y vg.Length) {
	x := vg.Length(pictureMargin)
	for _, l := range mapLegend {
		var p vg.Path
		addRect(&p, x, y-textSize, cellPitch+2, cellPitch+2)
		c.SetColor(shade(l.kind, fillSteps))
		c.Fill(p)
		x += cellPitch + 6
		c.SetColor(color.Black)
		c.FillString(face, vg.Point{X: x, Y: y - textSize + 1}, l.text)
		x += face.Width(l.text) + 14
	}
}

func addRect(p *vg.Path, x, y, w, h vg.Length) {
	p.Move(vg.Point{X: x, Y: y})
	p.Line(vg.Point{X: x + w, Y: y})
	p.Line(vg.Point{X: x + w, Y: y + h})
	p.Line(vg.Point{X: x, Y: y + h})
	p.Close()
}
