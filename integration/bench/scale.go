//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// An axis is something that may grow, and the operations whose cost is looked at meanwhile.
type axis struct {
	name, title string
	unit        string // of its points
	points      []int64
	operations  []string
	// measure returns the microseconds that each operation takes at a point, and the most memory that the server had
	// in bytes. An operation that the point does not allow is left out.
	measure func(b *bench, point int64) (map[string]float64, int64, error)
}

// scaleResults are what goes to the JSON file.
type scaleResults struct {
	Commit, Machine, Flags string
	Began                  time.Time
	Axes                   []*axisResult
}

// An axisResult has the costs along an axis.
type axisResult struct {
	Name, Title, Unit string
	Points            []int64
	Peak              []int64 // bytes of memory of the server, the most at each point
	Operations        []*operationResult
}

// An operationResult has one operation's costs, in microseconds, one for each point; none where there is no figure.
type operationResult struct {
	Operation        string
	Runs             [][]float64
	Median, Min, Max []float64
}

// add takes in what one run found at a point.
func (or *operationResult) add(point int, cost float64) {
	or.Runs[point] = append(or.Runs[point], cost)
	or.Median[point] = median(or.Runs[point])
	or.Min[point], or.Max[point] = slices.Min(or.Runs[point]), slices.Max(or.Runs[point])
}

// growth is how many times as much as at its first point an operation takes at its last one.
func (or *operationResult) growth() float64 {
	var first, last float64
	for _, m := range or.Median {
		if m > 0 && first == 0 {
			first = m
		}
		if m > 0 {
			last = m
		}
	}
	return last / first
}

func scaleErr() error {
	set := flag.NewFlagSet("scale", flag.ExitOnError)
	var (
		only     = set.String("run", "", "axes to measure: a regular `expression` over their names")
		quick    = set.Bool("quick", false, "fewer and smaller points")
		runs     = set.Int("runs", 3, "runs of each point")
		memory   = set.String("memory", "/dev/shm", "`directory` of a tmpfs, for stores")
		binary   = set.String("fatvol", "", "`program` to measure; built from this tree where none is given")
		jsonFile = set.String("json", "", "`file` for all figures")
		table    = set.String("table", "", "`file` for the tables, as Markdown")
		plots    = set.String("plots", "", "`directory` for a plot of each axis")
	)
	_ = set.Parse(os.Args[2:])
	ctx, stop := untilStopped()
	defer stop()
	b := &bench{ctx: ctx, scale: quickScale, fatvol: *binary}
	b.scale.runs = *runs
	size := fullAxes
	if *quick {
		size = quickAxes
	}
	axes, err := matching(b.axes(size), *only, func(a *axis) string { return a.name })
	if err != nil {
		return err
	}
	defer b.cleanUp()
	if err := b.prepareOwn(*memory, os.TempDir()); err != nil {
		return err
	}
	res := &scaleResults{Commit: commit(), Machine: machine(), Flags: chosen(set), Began: time.Now()}
	if err := b.measureAxes(res, axes); err != nil {
		return err
	}
	return res.write(*table, *jsonFile, *plots)
}

// measureAxes goes along each axis, from end to end in each run, so that what the machine does meanwhile meets all
// points.
func (b *bench) measureAxes(res *scaleResults, axes []*axis) error {
	for _, a := range axes {
		n := len(a.points)
		ar := &axisResult{Name: a.name, Title: a.title, Unit: a.unit, Points: a.points, Peak: make([]int64, n)}
		for _, name := range a.operations {
			ar.Operations = append(ar.Operations, &operationResult{name, make([][]float64, n),
				make([]float64, n), make([]float64, n), make([]float64, n)})
		}
		for range b.scale.runs {
			for i, point := range a.points {
				if b.ctx.Err() != nil {
					return errors.New("interrupted")
				}
				costs, peak, err := a.measure(b, point)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", a.name, quantity(point, a.unit), err)
				}
				ar.Peak[i] = max(ar.Peak[i], peak)
				for _, or := range ar.Operations {
					if cost, ok := costs[or.Operation]; ok {
						or.add(i, cost)
					}
				}
			}
		}
		res.Axes = append(res.Axes, ar)
		fmt.Print(ar.markdown())
		b.dropStores()
	}
	return nil
}

// write writes the files that were asked for.
func (res *scaleResults) write(table, jsonFile, plots string) error {
	var errs []error
	if table != "" {
		var out strings.Builder
		fmt.Fprintf(&out, "Commit %s, `bench scale %s`, %s, %s.\n", res.Commit, res.Flags, res.Began.Format("2006-01-02"), res.Machine)
		for _, ar := range res.Axes {
			out.WriteString(ar.markdown())
		}
		errs = append(errs, os.WriteFile(table, []byte(out.String()), 0o666))
	}
	if jsonFile != "" {
		data, err := json.MarshalIndent(res, "", "  ")
		errs = append(errs, err, os.WriteFile(jsonFile, append(data, '\n'), 0o666))
	}
	if plots != "" {
		errs = append(errs, os.MkdirAll(plots, 0o777))
		for _, ar := range res.Axes {
			errs = append(errs, ar.plot(filepath.Join(plots, "scale-"+ar.Name+".svg")))
		}
	}
	return errors.Join(errs...)
}

// markdown is the axis's table: microseconds of each operation, and the last point against the first.
func (ar *axisResult) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n| %s: µs |", ar.Title)
	for _, p := range ar.Points {
		fmt.Fprintf(&out, " %s |", quantity(p, ar.Unit))
	}
	fmt.Fprintf(&out, " last : first |\n|---|%s---|\n", strings.Repeat("---|", len(ar.Points)))
	for _, or := range ar.Operations {
		fmt.Fprintf(&out, "| %s |", or.Operation)
		for i, m := range or.Median {
			if len(or.Runs[i]) == 0 {
				out.WriteString(" – |")
			} else {
				fmt.Fprintf(&out, " %s |", figure(m))
			}
		}
		fmt.Fprintf(&out, " %.2f |\n", or.growth())
	}
	out.WriteString("| peak memory, MiB |")
	for _, p := range ar.Peak {
		fmt.Fprintf(&out, " %d |", p>>20)
	}
	out.WriteString(" |\n")
	return out.String()
}

// bytesUnit is the unit of axes whose points are sizes.
const bytesUnit = "bytes"

// quantity prints a point of an axis.
func quantity(n int64, unit string) string {
	if unit != bytesUnit {
		return fmt.Sprint(n)
	}
	switch {
	case n%mib != 0:
		return quantity(n+1, unit) + " − 1"
	case n>>40 > 0 && (n+mib)%(1<<40) == 0: // FAT's limit in sectors is one less than a power of 2
		return quantity(n+mib, unit)
	}
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}} {
		if n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d MiB", n/mib)
}
