//go:build linux

package main

import (
	"archive/tar"
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/image/replay"
)

// A memoryFigure is the server's resident memory in one situation.
type memoryFigure struct {
	situation string
	bytes     int64
	bound     int64 // 0: none
}

// What the server's memory is to stay below, in bytes.
const (
	idleBound  = 16 * mib
	underBound = 96*mib + replay.DefaultLimit // copies of unsynced writes
)

func memoryErr() error {
	set := flag.NewFlagSet("memory", flag.ExitOnError)
	var (
		files  = set.Int("files", 1_000_000, "files that the kernel gets to know")
		memory = set.String("memory", "/dev/shm", "`directory` of a tmpfs, for stores")
		binary = set.String("fatvol", "", "`program` to measure; built from this tree where none is given")
		table  = set.String("table", "", "`file` for the table, as Markdown")
		rows   = set.Bool("rows", true, "run the rows of the table as well")
	)
	_ = set.Parse(os.Args[2:])
	ctx, stop := untilStopped()
	defer stop()
	b := &bench{ctx: ctx, scale: quickScale, fatvol: *binary, stores: map[storeKey]string{}}
	b.scale.runs = 1
	defer b.cleanUp()
	if err := b.prepare(*memory, os.TempDir()); err != nil {
		return err
	}
	figures, err := b.memoryFigures(*files, *rows)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("Commit %s, `bench memory %s`, %s, %s.\n\n%s", commit(), chosen(set),
		time.Now().Format("2006-01-02"), machine(), memoryTable(figures))
	fmt.Print(text)
	if *table != "" {
		return os.WriteFile(*table, []byte(text), 0o666)
	}
	return nil
}

func memoryTable(figures []memoryFigure) string {
	var out strings.Builder
	out.WriteString("| resident memory of the server | MiB | bound |\n|---|---|---|\n")
	for _, f := range figures {
		bound := ""
		if f.bound > 0 {
			bound = fmt.Sprintf("≤ %d", f.bound/mib)
			if f.bytes > f.bound {
				bound += ", **exceeded**"
			}
		}
		fmt.Fprintf(&out, "| %s | %.1f | %s |\n", f.situation, float64(f.bytes)/mib, bound)
	}
	return out.String()
}

func (b *bench) memoryFigures(files int, rows bool) (figures []memoryFigure, err error) {
	if figures, err = b.idleMemory(); err != nil {
		return nil, err
	}
	if rows {
		for _, s := range systems[:2] { // fatvol as it comes, and with write-back
			peak, row, err := b.rowsMemory(s)
			if err != nil {
				return nil, err
			}
			figures = append(figures, memoryFigure{fmt.Sprintf("%s, peak of all rows (%s)", s.title, row), peak, underBound})
		}
	}
	nodes, err := b.nodesMemory(files, true)
	return append(figures, nodes...), err
}

// idleMemory is that of a mount that has been looked at once, some seconds later, and then that of one which was used and
// is idle again.
func (b *bench) idleMemory() (figures []memoryFigure, err error) {
	const files = 10_000
	store, err := b.axisStore("idle", imageSize, func(string) error { return nil })
	if err != nil {
		return nil, err
	}
	defer os.Remove(store)
	_, err = b.mounted(store, func(dir string, s *server) error {
		note := s.noting(&figures)
		if _, err := os.ReadDir(dir); err != nil {
			return err
		}
		time.Sleep(3 * time.Second)
		if err := note("idle", idleBound); err != nil {
			return err
		}
		for i := range files {
			if err := os.WriteFile(filepath.Join(dir, entryName(i)), []byte("content"), 0o666); err != nil {
				return err
			}
		}
		if err := removeAll(dir, files); err != nil {
			return err
		}
		if err := note(fmt.Sprintf("%d files written, listed and removed", files), 0); err != nil {
			return err
		}
		time.Sleep(15 * time.Second) // it gives memory back after ten
		return note("… and idle again, 15 s later", 0)
	})
	return figures, err
}

func removeAll(dir string, files int) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(list) != files {
		return fmt.Errorf("%d entries of %d", len(list), files)
	}
	for _, e := range list {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// resident is the server's resident memory now.
func (s *server) resident() (int64, error) {
	return statusBytes(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid), "VmRSS")
}

// noting returns what notes the resident memory of a situation in a list.
func (s *server) noting(list *[]memoryFigure) func(situation string, bound int64) error {
	return func(situation string, bound int64) error {
		rss, err := s.resident()
		*list = append(*list, memoryFigure{situation, rss, bound})
		return err
	}
}

// rowsMemory is the most that a system had in any row of the table, and which.
func (b *bench) rowsMemory(s *system) (peak int64, name string, err error) {
	res := &results{}
	list := b.rows()
	for _, r := range list {
		r.goals, r.not, r.all = nil, nil, true
	}
	if err := b.measure(res, list, []*system{s}); err != nil {
		return 0, "", err
	}
	for _, rr := range res.Rows {
		if sr := rr.system(s.name); sr.Peak > peak {
			peak, name = sr.Peak, rr.Name
		}
	}
	return peak, name, nil
}

// nodesMemory has the kernel look at so many files, and then, if it is to, forget them.
func (b *bench) nodesMemory(files int, forget bool) (figures []memoryFigure, err error) {
	const perDir = 2000
	name := func(i int) string { return fmt.Sprintf("d%06d/f%07d", i/perDir, i) }
	store := filepath.Join(b.memory, "axis-nodes")
	defer os.Remove(store)
	cmd := exec.Command(b.fatvol, "create", store, "-q", "--size", "4G", "--cluster", "4K", "--from", "-")
	archive, w := io.Pipe()
	cmd.Stdin = archive
	go func() { w.CloseWithError(writeEmptyFiles(w, files, perDir, name)) }()
	if err := runQuiet(cmd); err != nil {
		return nil, err
	}
	_, err = b.mounted(store, func(dir string, s *server) error {
		note := s.noting(&figures)
		for i := range files {
			var st unix.Stat_t
			if err := unix.Stat(filepath.Join(dir, name(i)), &st); err != nil {
				return fmt.Errorf("stat %s: %w", name(i), err)
			}
			if n := i + 1; n == files/100 || n == files/10 || n == files {
				if err := note(fmt.Sprintf("%d files looked at", n), 0); err != nil {
					return err
				}
			}
		}
		c, err := s.cost()
		if err != nil {
			return err
		}
		figures = append(figures, memoryFigure{fmt.Sprintf("%d files looked at, peak", files), c.peak, underBound})
		if !forget {
			return nil
		}
		const inodesAndNames = "2\n"
		if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte(inodesAndNames), 0); err != nil {
			return err
		}
		time.Sleep(5 * time.Second) // FORGETs come by themselves, and memory goes back to the system after that
		return note("… and forgotten by the kernel (vm.drop_caches=2), 5 s later", 0)
	})
	return figures, err
}

// writeEmptyFiles writes an archive of empty files.
func writeEmptyFiles(w io.Writer, files, perDir int, name func(int) string) error {
	buffered := bufio.NewWriterSize(w, mib)
	out := tar.NewWriter(buffered)
	stamp := time.Unix(1_700_000_000, 0)
	for i := range files {
		if i%perDir == 0 {
			dir := filepath.Dir(name(i)) + "/"
			if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: stamp}); err != nil {
				return err
			}
		}
		if err := out.WriteHeader(&tar.Header{Name: name(i), Mode: 0o644, ModTime: stamp}); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), buffered.Flush())
}
