//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// results are all figures of a run, as they go to the JSON file.
type results struct {
	Commit, Machine, Flags string
	Began                  time.Time
	Rows                   []*rowResult
}

// A rowResult is a row with the figures of all who took part.
type rowResult struct {
	Name, Title, Unit string
	More              bool // the more the better
	Systems           []*systemResult
	Goals             []goalResult
	row               *row
}

// A systemResult is what a system did in a row.
type systemResult struct {
	System  string
	Samples []sample
	Failed  string  `json:",omitempty"` // why there is no figure
	Median  float64 // of the figures, as are:
	Min     float64
	Max     float64
	CPU     float64 // seconds of the server, median
	Peak    int64   // bytes of memory of the server, the most
}

// A sample is one run.
type sample struct {
	Figure float64
	CPU    float64 // seconds
	Peak   int64   // bytes
}

// A goalResult is what a goal came to.
type goalResult struct {
	Goal   string
	Got    float64
	Wanted float64
	Met    bool
}

func (res *results) row(r *row) *rowResult {
	for _, have := range res.Rows {
		if have.row == r {
			return have
		}
	}
	rr := &rowResult{Name: r.name, Title: r.title, Unit: r.unit, More: r.rate, row: r}
	res.Rows = append(res.Rows, rr)
	return rr
}

func (rr *rowResult) system(name string) *systemResult {
	for _, s := range rr.Systems {
		if s.System == name {
			return s
		}
	}
	return nil
}

// add takes in one sample, or why there is none.
func (res *results) add(r *row, s *system, one sample, err error) {
	rr := res.row(r)
	sr := rr.system(s.name)
	if sr == nil {
		sr = &systemResult{System: s.name}
		rr.Systems = append(rr.Systems, sr)
	}
	if err != nil {
		sr.Failed = err.Error()
		return
	}
	sr.Samples = append(sr.Samples, one)
	var figures, cpu []float64
	for _, s := range sr.Samples {
		figures, cpu = append(figures, s.Figure), append(cpu, s.CPU)
		sr.Peak = max(sr.Peak, s.Peak)
	}
	sr.Median, sr.Min, sr.Max = median(figures), slices.Min(figures), slices.Max(figures)
	sr.CPU = median(cpu)
	rr.Goals = nil
	for _, g := range r.goals {
		if res, ok := rr.check(g); ok {
			rr.Goals = append(rr.Goals, res)
		}
	}
}

// median of figures, of which there is one at least.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// check says what a goal came to, once both of its systems have figures.
func (rr *rowResult) check(g goal) (goalResult, bool) {
	mine := rr.system(g.system)
	if mine == nil || len(mine.Samples) == 0 {
		return goalResult{}, false
	}
	if g.to == "" {
		text := fmt.Sprintf("%s ≤ %g %s", g.system, g.absolute, rr.Unit)
		return goalResult{text, mine.Median, g.absolute, mine.Median <= g.absolute}, true
	}
	other := rr.system(g.to)
	if other == nil || len(other.Samples) == 0 || other.Median == 0 {
		return goalResult{}, false
	}
	got, sign, met := mine.Median/other.Median, "≤", false
	if met = got <= g.ratio; rr.More {
		sign, met = "≥", got >= g.ratio
	}
	return goalResult{fmt.Sprintf("%s %s %.3g × %s", g.system, sign, g.ratio, g.to), got, g.ratio, met}, true
}

// figure prints a number with three digits or so.
func figure(f float64) string {
	switch {
	case f >= 10000:
		return fmt.Sprintf("%.0fk", f/1000)
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	case f >= 1:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.3f", f)
}

// print shows a row while the run goes on.
func (res *results) print(w io.Writer, r *row) {
	rr := res.row(r)
	fmt.Fprintf(w, "%s: %s (%s)\n", rr.Name, rr.Title, rr.Unit)
	for _, s := range rr.Systems {
		if len(s.Samples) == 0 {
			fmt.Fprintf(w, "  %-11s %s\n", s.System, s.Failed)
			continue
		}
		fmt.Fprintf(w, "  %-11s %8s  %8s … %-8s cpu %6.3f s  peak %4d MiB\n",
			s.System, figure(s.Median), figure(s.Min), figure(s.Max), s.CPU, s.Peak>>20)
	}
	for _, g := range rr.Goals {
		fmt.Fprintf(w, "  %s: %.2f, %s\n", g.Goal, g.Got, g.verdict())
	}
}

func (g goalResult) verdict() string {
	if g.Met {
		return "met"
	}
	return "not met"
}

// write writes the files that were asked for.
func (res *results) write(table, jsonFile, plotFile string) error {
	var errs []error
	if table != "" {
		errs = append(errs, os.WriteFile(table, []byte(res.markdown()), 0o666))
	}
	if jsonFile != "" {
		data, err := json.MarshalIndent(res, "", "  ")
		errs = append(errs, err, os.WriteFile(jsonFile, append(data, '\n'), 0o666))
	}
	if plotFile != "" {
		errs = append(errs, res.plot(plotFile))
	}
	return errors.Join(errs...)
}

// markdown is the table of docs/performance.md.
func (res *results) markdown() string {
	var out strings.Builder
	names := res.systems()
	command := "make bench"
	if res.Flags != "" {
		command += " BENCHFLAGS='" + strings.ReplaceAll(res.Flags, "$", "$$") + "'" // make takes $ for its own
	}
	fmt.Fprintf(&out, "Commit %s, `%s`, %s, %s.\n\n", res.Commit, command, res.Began.Format("2006-01-02"), res.Machine)
	fmt.Fprintf(&out, "| row | unit | %s | goal | reached |\n", strings.Join(names, " | "))
	fmt.Fprintf(&out, "|---|---|%s---|---|\n", strings.Repeat("---|", len(names)))
	for _, rr := range res.Rows {
		fmt.Fprintf(&out, "| %s | %s |", rr.Title, rr.Unit)
		for _, name := range names {
			out.WriteString(rr.system(name).cell())
		}
		var goals, reached []string
		for _, g := range rr.Goals {
			goals = append(goals, g.Goal)
			reached = append(reached, fmt.Sprintf("%.2f%s", g.Got, map[bool]string{true: "", false: ", **not met**"}[g.Met]))
		}
		fmt.Fprintf(&out, " %s | %s |\n", strings.Join(goals, "; "), strings.Join(reached, "; "))
	}
	return out.String()
}

// cell is a system's cell of the table: median, spread, CPU seconds and peak memory.
func (s *systemResult) cell() string {
	if s == nil || len(s.Samples) == 0 {
		return " – |"
	}
	text := " " + figure(s.Median)
	if len(s.Samples) > 1 {
		text += fmt.Sprintf(" (%s–%s)", figure(s.Min), figure(s.Max))
	}
	if s.Peak > 0 {
		text += fmt.Sprintf("<br>%.2f s, %d MiB", s.CPU, s.Peak>>20)
	}
	return text + " |"
}

// systems are the names of all who took part, in their order.
func (res *results) systems() (names []string) {
	for _, s := range systems {
		if slices.ContainsFunc(res.Rows, func(rr *rowResult) bool { return rr.system(s.name) != nil }) {
			names = append(names, s.name)
		}
	}
	return names
}

// commit is that of the tree, as git knows it.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func machine() string {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	kernel, _, _ := strings.Cut(string(release), "-")
	return fmt.Sprintf("%d CPUs, Linux %s, %s", runtime.NumCPU(), strings.TrimSpace(kernel), runtime.Version())
}
