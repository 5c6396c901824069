//go:build linux

package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMatching: an expression that finds no row is an error.
func TestMatching(t *testing.T) {
	name := func(r *row) string { return r.name }
	b := &bench{scale: tinyScale}
	if found, err := matching(b.rows(), "create-|untar", name); err != nil || len(found) < 3 {
		t.Errorf("%d rows, %v", len(found), err)
	}
	for _, wrong := range []string{"nosuch", "("} {
		if found, err := matching(b.rows(), wrong, name); err == nil {
			t.Errorf("%q: %d rows and no error", wrong, len(found))
		}
	}
}

// TestEveryRow measures a little of every row, so that the benchmark still works when it is wanted. What it
// finds has no meaning.
func TestEveryRow(t *testing.T) {
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("needs /dev/fuse: %v", err)
	}
	fuse.Close()
	b := &bench{ctx: t.Context(), scale: tinyScale, patience: time.Second, stores: map[storeKey]string{}}
	if err := b.prepare(t.TempDir(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	defer b.cleanUp()
	taking, err := choose("fatvol,writeback,np,direct")
	if err != nil {
		t.Fatal(err)
	}
	rows := b.rows()
	res := &results{Commit: "test", Began: time.Now()}
	if err := b.measure(res, rows, taking); err != nil {
		t.Fatal(err)
	}
	for _, rr := range res.Rows {
		for _, s := range rr.Systems {
			if s.Median <= 0 {
				t.Errorf("%s, %s: %g %s", rr.Name, s.System, s.Median, rr.Unit)
			}
		}
		here := slices.DeleteFunc(slices.Clone(rr.row.goals), func(g goal) bool { return g.to == vfatName })
		if len(rr.Goals) != len(here) {
			t.Errorf("%s: %d goals of %d were judged", rr.Name, len(rr.Goals), len(here))
		}
	}
	dir := t.TempDir()
	table, data, image := filepath.Join(dir, "t.md"), filepath.Join(dir, "t.json"), filepath.Join(dir, "t.svg")
	if err := res.write(table, data, image); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(table)
	for _, r := range rows {
		if !strings.Contains(string(text), r.title) {
			t.Errorf("the table lacks %q:\n%s", r.title, text)
		}
	}
	if svg, _ := os.ReadFile(image); !strings.Contains(string(svg), "<svg") {
		t.Error("the plot is no SVG")
	}
}

// TestEveryAxis does the same for the axes of scale.
func TestEveryAxis(t *testing.T) {
	b := &bench{ctx: t.Context(), scale: tinyScale}
	if err := b.prepareOwn(t.TempDir(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	defer b.cleanUp()
	res := &scaleResults{}
	if err := b.measureAxes(res, b.axes(tinyAxes)); err != nil {
		t.Fatal(err)
	}
	for _, ar := range res.Axes {
		for _, or := range ar.Operations {
			if or.Median[0] <= 0 {
				t.Errorf("%s, %s: %g µs", ar.Name, or.Operation, or.Median[0])
			}
		}
	}
	dir := t.TempDir()
	if err := res.write(filepath.Join(dir, "t.md"), filepath.Join(dir, "t.json"), dir); err != nil {
		t.Fatal(err)
	}
	for _, ar := range res.Axes {
		if svg, _ := os.ReadFile(filepath.Join(dir, "scale-"+ar.Name+".svg")); !strings.Contains(string(svg), "<svg") {
			t.Errorf("the plot of %s is no SVG", ar.Name)
		}
	}
}

// TestMemory does the same for the files that the kernel gets to know, but for its forgetting all that it knows.
func TestMemory(t *testing.T) {
	b := &bench{ctx: t.Context()}
	if err := b.prepareOwn(t.TempDir(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	defer b.cleanUp()
	figures, err := b.nodesMemory(1000, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if f.bytes <= 0 {
			t.Errorf("%s: %d bytes", f.situation, f.bytes)
		}
	}
	if table := memoryTable([]memoryFigure{{"idle", 20 * mib, 16 * mib}}); !strings.Contains(table, "| idle | 20.0 | ≤ 16, **exceeded** |") {
		t.Errorf("the table does not say that a bound is exceeded:\n%s", table)
	}
}

// TestFragment: the file is in as many pieces as asked for, and the volume has no fault.
func TestFragment(t *testing.T) {
	b := &bench{ctx: t.Context()}
	if err := b.prepareOwn(t.TempDir(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	defer b.cleanUp()
	store, err := b.fragmented(1024)
	if err != nil {
		t.Fatal(err)
	}
	if err := runQuiet(exec.Command(b.fatvol, "check", store)); err != nil {
		t.Error(err)
	}
	out, err := exec.Command(b.fatvol, "defrag", "--dry-run", "--json", store).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), `"fragments": 1026,`) || !strings.Contains(string(out), `"free_runs": 1024,`) { // the root directory and the rest are one each
		t.Errorf("not in 1024 fragments with free space between: %s", out)
	}
}

func TestQuantity(t *testing.T) {
	for _, c := range []struct {
		n    int64
		unit string
		want string
	}{{1 << 20, bytesUnit, "1 MiB"}, {4<<30 - 1, bytesUnit, "4 GiB − 1"}, {2 << 40, bytesUnit, "2 TiB"}, {10000, "files", "10000"}} {
		if got := quantity(c.n, c.unit); got != c.want {
			t.Errorf("%d %s: %q, want %q", c.n, c.unit, got, c.want)
		}
	}
}

func TestGoals(t *testing.T) {
	for _, c := range []struct {
		name     string
		more     bool
		mine, np float64
		goal     goal
		met      bool
	}{
		{"rate, more", true, 130, 100, goal{system: fatvolName, to: npName, ratio: 1.3}, true},
		{"rate, less", true, 129, 100, goal{system: fatvolName, to: npName, ratio: 1.3}, false},
		{"time, less", false, 30, 100, goal{system: fatvolName, to: npName, ratio: 0.3}, true},
		{"time, more", false, 31, 100, goal{system: fatvolName, to: npName, ratio: 0.3}, false},
		{"absolute", false, 10, 0, goal{system: fatvolName, absolute: 10}, true},
		{"absolute, more", false, 10.1, 0, goal{system: fatvolName, absolute: 10}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &row{rate: c.more, goals: []goal{c.goal}}
			res := &results{}
			res.add(r, &system{name: npName}, sample{Figure: c.np}, nil)
			res.add(r, &system{name: fatvolName}, sample{Figure: c.mine}, nil)
			if got := res.row(r).Goals; len(got) != 1 || got[0].Met != c.met {
				t.Errorf("%+v, want met %v", got, c.met)
			}
		})
	}
}

// What a table says it was made by can be given to a shell again.
func TestCommandOfTable(t *testing.T) {
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.String("run", "", "")
	set.Bool("quick", false, "")
	if err := set.Parse([]string{"-quick", "-run", "create|untar$"}); err != nil {
		t.Fatal(err)
	}
	const want = `make bench BENCHFLAGS='-quick -run "create|untar$$"'`
	if text := (&results{Flags: chosen(set)}).markdown(); !strings.Contains(text, "`"+want+"`") {
		t.Errorf("%s\nwithout %s", text, want)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		figures []float64
		want    float64
	}{{[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.figures); got != c.want {
			t.Errorf("median of %v: %g, want %g", c.figures, got, c.want)
		}
	}
}
