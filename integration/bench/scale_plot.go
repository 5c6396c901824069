//go:build linux

package main

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// plot draws each operation's cost along the axis, in multiples of what it is at its first point.
func (ar *axisResult) plot(file string) error {
	p := plot.New()
	p.Title.Text = "Cost of an operation against " + ar.Title + ", first point = 1"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	var ticks []plot.Tick
	for _, point := range ar.Points {
		ticks = append(ticks, plot.Tick{Value: float64(point), Label: quantity(point, ar.Unit)})
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	var steps []plot.Tick
	for _, y := range []float64{0.1, 0.25, 0.5, 1, 2, 4, 10, 30, 100, 300, 1000} {
		steps = append(steps, plot.Tick{Value: y, Label: figure(y)})
	}
	p.Y.Tick.Marker = plot.ConstantTicks(steps)
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	low, high := 0.25, 4.0
	for i, or := range ar.Operations {
		var points plotter.XYs
		for at, m := range or.Median {
			if len(or.Runs[at]) == 0 {
				continue
			}
			points = append(points, plotter.XY{X: float64(ar.Points[at]), Y: m})
		}
		if len(points) == 0 {
			continue
		}
		first := points[0].Y
		for at := range points {
			points[at].Y /= first
			low, high = math.Min(low, points[at].Y), math.Max(high, points[at].Y)
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, dots.Color, dots.Shape = plotutil.Color(i), plotutil.Color(i), plotutil.Shape(i)
		p.Add(line, dots)
		p.Legend.Add(or.Operation, line, dots)
	}
	p.Y.Min, p.Y.Max = low/1.2, high*3 // room for the legend
	return p.Save(8*vg.Inch, 4*vg.Inch, file)
}
