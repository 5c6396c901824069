package main

import (
	"fmt"
	"image/color"
	"strings"

	"git.sr.ht/~sbinet/gg"
	svg "github.com/ajstarks/svgo"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
)

// A canvas is what the picture is drawn on. Lengths are in points, from the top left corner on. The libraries are
// small ones for each format: every start of the program pays for what it links.
type canvas interface {
	rects(c color.RGBA, list []rect)
	// text begins at x; y is its base line.
	text(c color.RGBA, x, y int, s string) error
}

// A rect is a filled rectangle; x and y are of its top left corner.
type rect struct{ x, y, w, h int }

type svgCanvas struct{ *svg.SVG }

func (c *svgCanvas) rects(col color.RGBA, list []rect) {
	var d strings.Builder
	for _, r := range list {
		fmt.Fprintf(&d, "M%d %dh%dv%dh%dz", r.x, r.y, r.w, r.h, -r.w)
	}
	c.Path(d.String(), fill(col))
}

// text is in a typeface that the viewer has.
func (c *svgCanvas) text(col color.RGBA, x, y int, s string) error {
	c.Text(x, y, s, fmt.Sprintf("font-family:sans-serif;font-size:%dpx;%s", textSize, fill(col)))
	return nil
}

func fill(c color.RGBA) string { return fmt.Sprintf("fill:#%02x%02x%02x", c.R, c.G, c.B) }

// pngScale is the number of pixels to a point.
const pngScale = 2

type pngCanvas struct{ *gg.Context }

func (c *pngCanvas) rects(col color.RGBA, list []rect) {
	c.SetColor(col)
	for _, r := range list {
		c.DrawRectangle(float64(r.x*pngScale), float64(r.y*pngScale), float64(r.w*pngScale), float64(r.h*pngScale))
	}
	c.Fill()
}

func (c *pngCanvas) text(col color.RGBA, x, y int, s string) error {
	face, err := textFace(pngScale)
	if err != nil {
		return err
	}
	c.SetFontFace(face)
	c.SetColor(col)
	c.DrawString(s, float64(x*pngScale), float64(y*pngScale))
	return nil
}

// textFace is the typeface of the picture, in the size that it has at so many pixels to a point.
func textFace(scale int) (font.Face, error) {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	const pointsPerInch = 72
	return opentype.NewFace(f, &opentype.FaceOptions{Size: float64(textSize * scale), DPI: pointsPerInch})
}
