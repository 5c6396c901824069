//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A bench is one run of everything.
type bench struct {
	ctx              context.Context
	scale            scale
	patience         time.Duration
	fatvol, loopback string // programs
	work             string // directory of this run
	memory, disk     string // where stores lie
	archive          string // file for untar
	stores           map[storeKey]string
	made             int
}

func main() {
	mode := mainErr
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "scale":
			mode = scaleErr
		case "memory":
			mode = memoryErr
		}
	}
	if err := mode(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func mainErr() error {
	var (
		only     = flag.String("run", "", "rows to measure: a regular `expression` over their names")
		who      = flag.String("systems", "", "who takes part, a `list` with commas (normal, vfat and guestmount only where they are named)")
		quick    = flag.Bool("quick", false, "smaller and fewer runs")
		runs     = flag.Int("runs", 0, "runs of each system in each row; 0: 5, or 3 with -quick")
		patience = flag.Duration("patience", 10*time.Second, "how long others' drivers may take for a run")
		memory   = flag.String("memory", "/dev/shm", "`directory` of a tmpfs, for stores")
		disk     = flag.String("disk", os.TempDir(), "`directory` on a disk, for the rows on a disk")
		binary   = flag.String("fatvol", "", "`program` to measure; built from this tree where none is given")
		loop     = flag.String("loopback", "", "loopback np; built from this tree where none is given")
		jsonFile = flag.String("json", "", "`file` for all figures")
		table    = flag.String("table", "", "`file` for the table, as Markdown")
		plotFile = flag.String("plot", "", "`file` for the plot, .svg or .png")
		list     = flag.Bool("list", false, "only list the rows")
	)
	flag.Parse()
	b := &bench{scale: fullScale, patience: *patience, fatvol: *binary, loopback: *loop, stores: map[storeKey]string{}}
	if *quick {
		b.scale = quickScale
	}
	if *runs > 0 {
		b.scale.runs = *runs
	}
	rows, err := matching(b.rows(), *only, func(r *row) string { return r.name })
	if err != nil {
		return err
	}
	if *list {
		for _, r := range rows {
			fmt.Printf("%-14s %s\n", r.name, r.title)
		}
		return nil
	}
	taking, err := choose(*who)
	if err != nil {
		return err
	}
	ctx, stop := untilStopped()
	defer stop()
	b.ctx = ctx
	if err := b.prepare(*memory, *disk); err != nil {
		return err
	}
	defer b.cleanUp()
	res := &results{Commit: commit(), Machine: machine(), Flags: chosen(flag.CommandLine), Began: time.Now()}
	if err := b.measure(res, rows, taking); err != nil {
		return err
	}
	return res.write(*table, *jsonFile, *plotFile)
}

// untilStopped is a context that a signal ends. SIGPIPE, of a reader of the output that went away, would else leave mounts
// and images behind.
func untilStopped() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
}

// matching are those with a name that an expression finds. To find none is an error: a table of nothing would take the
// place of the one before.
func matching[T any](all []T, expression string, name func(T) string) ([]T, error) {
	pattern, err := regexp.Compile(expression)
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(all, func(one T) bool { return !pattern.MatchString(name(one)) })
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing is called like %q", expression)
	}
	return found, nil
}

// chosen are the flags that say what is measured, as they were given.
func chosen(set *flag.FlagSet) string {
	var list []string
	set.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "run", "systems", "runs", "patience", "files":
			list = append(list, "-"+f.Name+" "+quoted(f.Value.String()))
		case "quick":
			list = append(list, "-quick")
		}
	})
	return strings.Join(list, " ")
}

// quoted is a word as a shell takes it: patterns have bars in them.
func quoted(word string) string {
	if strings.ContainsAny(word, " |()[]*?^&;<>~#'") {
		return `"` + word + `"`
	}
	return word
}

// choose returns the systems of a list, or all that are not on demand and that this machine has.
func choose(list string) (taking []*system, err error) {
	if list == "" {
		for _, s := range systems {
			if lack := s.lacks(); lack != "" && !s.onDemand {
				fmt.Fprintf(os.Stderr, "bench: without %s: %s is not installed (.ci/install-deps bench)\n", s.title, lack)
			} else if !s.onDemand {
				taking = append(taking, s)
			}
		}
		return taking, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(systems, func(s *system) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("system %q is not known", name)
		}
		if lack := systems[i].lacks(); lack != "" {
			return nil, fmt.Errorf("%s: %s is not installed", name, lack)
		}
		taking = append(taking, systems[i])
	}
	return taking, nil
}

// prepareOwn builds the program under test and makes the directories.
func (b *bench) prepareOwn(memory, disk string) (err error) {
	if b.work, err = os.MkdirTemp("", "fatvol-bench-"); err != nil {
		return err
	}
	for _, d := range []struct {
		dir   *string
		below string
	}{{&b.memory, memory}, {&b.disk, disk}} {
		if *d.dir, err = os.MkdirTemp(d.below, "fatvol-bench-"); err != nil {
			return err
		}
	}
	if b.fatvol == "" {
		b.fatvol, err = b.build("fatvol/cmd/fatvol")
	}
	return err
}

// build builds a program of this tree and returns its file.
func (b *bench) build(pkg string) (string, error) {
	program := filepath.Join(b.work, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return program, runQuiet(cmd)
}

// prepare does that, builds the loopback, and makes the archive.
func (b *bench) prepare(memory, disk string) (err error) {
	if err := b.prepareOwn(memory, disk); err != nil {
		return err
	}
	if b.loopback == "" {
		if b.loopback, err = b.build("fatvol/integration/bench/loopback"); err != nil {
			return err
		}
	}
	files := 3000
	if b.scale.runs == tinyScale.runs && b.scale.dir == tinyScale.dir {
		files = tinyScale.dir
	}
	archive, err := makeArchive(files)
	if err != nil {
		return err
	}
	b.archive = filepath.Join(b.memory, "archive.tar")
	return os.WriteFile(b.archive, archive, 0o666)
}

func (b *bench) cleanUp() {
	for _, dir := range []string{b.work, b.memory, b.disk} {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}
}

// measure runs every row: its systems take turns.
func (b *bench) measure(res *results, rows []*row, taking []*system) error {
	for _, r := range rows {
		b.keepStores(r)
		for run := range b.scale.runs {
			for _, s := range taking {
				if err := b.ctx.Err(); err != nil {
					return errors.New("interrupted")
				}
				if !r.takes(s) || s.peer && run > 0 {
					continue
				}
				one, err := b.cell(r, s)
				if err != nil && !s.peer {
					return fmt.Errorf("%s, %s: %w", r.name, s.name, err)
				}
				res.add(r, s, one, err)
			}
		}
		res.print(os.Stdout, r)
	}
	return nil
}

// takes reports whether the system takes part in the row.
func (r *row) takes(s *system) bool {
	switch {
	case s.name == "mtools":
		return r.tool != nil
	case slices.Contains(r.not, s.name):
		return false
	case s.name == "writeback":
		return r.all || slices.ContainsFunc(r.goals, func(g goal) bool { return g.system == s.name })
	}
	return true
}

// cell measures one row once for one system.
func (b *bench) cell(r *row, s *system) (one sample, err error) {
	store, done, err := b.newStore(s, r)
	if err != nil {
		return one, err
	}
	defer done()
	c := &cell{b: b, system: s, row: r, store: store, dir: store, expires: time.Now().Add(b.patience)}
	if s.start == nil && s.image {
		one.Figure, err = r.tool(c)
		one.CPU, one.Peak = c.tools.cpu.Seconds(), c.tools.peak
		return one, err
	}
	if s.start != nil {
		if c.dir, err = os.MkdirTemp(b.work, "mnt"); err != nil {
			return one, err
		}
		defer os.Remove(c.dir)
		if c.server, err = s.start(b, store, c.dir); err != nil {
			return one, err
		}
		defer func() { err = errors.Join(err, c.server.stop()) }()
	}
	before, err := c.server.cost()
	if err != nil {
		return one, err
	}
	c.expires = time.Now().Add(b.patience)
	if one.Figure, err = r.do(c); err != nil {
		return one, err
	}
	after, err := c.server.cost()
	one.CPU, one.Peak = (after.cpu - before.cpu).Seconds(), after.peak
	return one, err
}
