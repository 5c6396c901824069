//go:build linux

package main

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// plot draws how many times as fast as np each system was in each row, and what fatvol is to reach. The
// format is that of the file's extension.
func (res *results) plot(file string) error {
	p := plot.New()
	p.Title.Text = "Speed in multiples of a loopback that only forwards (more is better)"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Left = true // at the bottom: what is as slow as that is in other rows
	var names []string
	points := map[string]plotter.XYs{}
	low, high := 0.5, 2.0
	for _, rr := range res.Rows {
		np := rr.system(npName)
		if np == nil || len(np.Samples) == 0 {
			continue
		}
		y := -float64(len(names))
		names = append(names, rr.Title)
		for _, s := range rr.Systems {
			if s.System == npName || len(s.Samples) == 0 || s.Median == 0 {
				continue
			}
			x := s.Median / np.Median
			if !rr.More {
				x = 1 / x
			}
			low, high = math.Min(low, x), math.Max(high, x)
			points[s.System] = append(points[s.System], plotter.XY{X: x, Y: y})
		}
		for _, g := range rr.row.goals {
			if g.system != fatvolName || g.to != npName {
				continue
			}
			x := g.ratio
			if !rr.More {
				x = 1 / x
			}
			points[goalName] = append(points[goalName], plotter.XY{X: x, Y: y})
		}
	}
	var ticks []plot.Tick
	for i, name := range names {
		ticks = append(ticks, plot.Tick{Value: -float64(i), Label: name})
	}
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	p.Y.Min, p.Y.Max = -float64(len(names)), 1
	p.X.Min, p.X.Max = low/1.5, high*1.5
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: p.Y.Min}, {X: 1, Y: p.Y.Max}})
	if err != nil {
		return err
	}
	one.Color = color.Gray{160}
	p.Add(plotter.NewGrid(), one)
	for _, name := range append(res.systems(), goalName) {
		if len(points[name]) == 0 {
			continue
		}
		s, err := plotter.NewScatter(points[name])
		if err != nil {
			return err
		}
		s.GlyphStyle = glyphs[name]
		p.Add(s)
		p.Legend.Add(name, s)
	}
	return p.Save(9*vg.Inch, vg.Length(2+len(names))*0.28*vg.Inch, file)
}

// goalName is the legend's word for what fatvol is to reach.
const goalName = "goal of fatvol"

var glyphs = map[string]draw.GlyphStyle{
	fatvolName:   {Color: color.RGBA{0, 90, 180, 255}, Radius: vg.Points(4), Shape: draw.CircleGlyph{}},
	"writeback":  {Color: color.RGBA{0, 90, 180, 255}, Radius: vg.Points(4), Shape: draw.RingGlyph{}},
	"normal":     {Color: color.RGBA{90, 150, 220, 255}, Radius: vg.Points(3), Shape: draw.CircleGlyph{}},
	goalName:     {Color: color.RGBA{200, 30, 30, 255}, Radius: vg.Points(4), Shape: draw.CrossGlyph{}},
	"direct":     {Color: color.Gray{120}, Radius: vg.Points(3), Shape: draw.BoxGlyph{}},
	"fusefat":    {Color: color.RGBA{200, 120, 0, 255}, Radius: vg.Points(3), Shape: draw.TriangleGlyph{}},
	"mtools":     {Color: color.RGBA{0, 140, 70, 255}, Radius: vg.Points(3), Shape: draw.PyramidGlyph{}},
	vfatName:     {Color: color.RGBA{0, 0, 0, 255}, Radius: vg.Points(3), Shape: draw.PlusGlyph{}},
	"guestmount": {Color: color.RGBA{130, 0, 130, 255}, Radius: vg.Points(3), Shape: draw.SquareGlyph{}},
}
