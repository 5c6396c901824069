package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/spf13/cobra"

	"fatvol/watch"
)

func statusCommand() *cobra.Command {
	var asJSON, asMetrics, watching bool
	cmd := &cobra.Command{
		Use:   "status [DIR]",
		Short: "Show mounts, and whether their media are there",
		Long: "Shows the volume that is mounted on DIR, or all of them: whether the medium is there, and\n" +
			"if not, why and since when; how much was written and is not on the medium yet; and how\n" +
			"the mount would learn that the medium goes. It asks the serving process only, so it\n" +
			"answers at once whatever the medium does.\n\n" +
			"With --watch on a terminal, it shows too what is read and written in a second, and the history of\n" +
			"the medium, until q or Ctrl-C, or until DIR is unmounted. NO_COLOR is honoured.",
		Example: "  fatvol status\n" +
			"  fatvol status --watch /mnt\n" +
			"  fatvol status --json /mnt | jq .state\n" +
			"  fatvol status --prometheus > fatvol.prom",
		Args: atMost("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := ""
			if len(args) == 1 {
				dir = args[0]
			}
			show := showStatus
			out := cmd.OutOrStdout()
			switch {
			case asMetrics && watching:
				return failf(exitUsage, "status: --prometheus and --watch exclude each other: leave out one of them")
			case asMetrics && asJSON:
				return failf(exitUsage, "status: --prometheus and --json exclude each other: leave out one of them")
			case asMetrics:
				show = writeMetrics
			case asJSON:
				show = encodeStatus
			}
			if !watching {
				return showOnce(out, dir, show)
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			if !asJSON && isTerminal(out) {
				return watchOnScreen(ctx, out.(*os.File), dir)
			}
			return watchStatus(ctx, out, dir, show)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each mount")
	cmd.Flags().BoolVar(&asMetrics, "prometheus", false, "print metrics in the text format of Prometheus")
	cmd.Flags().BoolVarP(&watching, "watch", "w", false, "follow what happens: on the whole terminal, or with lines whenever something has changed")
	return cmd
}

// unknownState stands for the state of a mount that cannot be asked.
const unknownState = "unknown"

// collectStatus asks the mount on dir, or all mounts.
func collectStatus(dir string) ([]*mountStatus, error) {
	if dir == "" {
		all, err := collectMounts(nil)
		if err != nil {
			return nil, failf(exitSystem, "status: %w", err)
		}
		return all, nil
	}
	m, err := findMount(dir)
	if err != nil {
		return nil, failf(exitFailed, "status %s: %w: 'fatvol status' lists what is mounted", dir, reason(err))
	}
	if m == nil {
		return nil, failf(exitFailed, "status %s: not mounted: 'fatvol status' lists what is", dir)
	}
	st, err := statusOf(m)
	if err != nil {
		return nil, failf(exitFailed, "status %s: %w", dir, err)
	}
	return []*mountStatus{st}, nil
}

// deadState stands for the state of a mount that nobody serves any more.
const deadState = "dead"

// collectMounts asks the mounts on the directories that want names, or all where it is nil. One that cannot
// be asked is unknown or dead, and its reason says why.
func collectMounts(want func(dir string) bool) (all []*mountStatus, err error) {
	infos, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != fuseType || want != nil && !want(m.Mountpoint), false
	})
	if err != nil {
		return nil, err
	}
	all = make([]*mountStatus, len(infos))
	var asking sync.WaitGroup // all at once: one that does not answer takes its time
	for i, m := range infos {
		asking.Go(func() {
			st, err := statusOf(m)
			if err != nil {
				st = &mountStatus{Image: m.Source, Dir: m.Mountpoint, State: unknownState, Reason: err.Error()}
				if errors.Is(err, errServerDead) {
					st.State = deadState
				}
			}
			all[i] = st
		})
	}
	asking.Wait()
	return all, nil
}

// errServerDead is returned for a mount that nobody serves any more.
var errServerDead = errors.New("its serving process is dead")

func statusOf(m *mountinfo.Info) (*mountStatus, error) {
	record := recordOf(m)
	if record == nil {
		return nil, fmt.Errorf("no record of this mount: it is another user's, or not of fatvol")
	}
	defer record.close()
	if !record.alive() {
		return nil, fmt.Errorf("%w: free it with 'fatvol umount %s'", errServerDead, m.Mountpoint)
	}
	return askStatus(record)
}

func showOnce(out io.Writer, dir string, show func(io.Writer, []*mountStatus) error) error {
	all, err := collectStatus(dir)
	if err != nil {
		return err
	}
	return withCode(exitSystem, show(out, all))
}

// stillMounted reports whether there is a mount on dir.
func stillMounted(dir string) bool {
	m, err := findMount(dir)
	return err == nil && m != nil
}

func encodeStatus(out io.Writer, all []*mountStatus) error {
	e := json.NewEncoder(out)
	for _, st := range all {
		if err := e.Encode(st); err != nil {
			return err
		}
	}
	return nil
}

// legible returns mounts with texts that are fit for a terminal: paths and reasons may be anybody's.
func legible(all []*mountStatus) []*mountStatus {
	shown := make([]*mountStatus, len(all))
	for i, st := range all {
		c := *st
		for _, text := range []*string{&c.Image, &c.Dir, &c.State, &c.Reason, &c.Moved} {
			*text = printable(*text)
		}
		c.History = slices.Clone(st.History)
		for k := range c.History {
			h := &c.History[k]
			h.State, h.Reason, h.Moved = printable(h.State), printable(h.Reason), printable(h.Moved)
		}
		c.Detectors = make(map[string]string, len(st.Detectors))
		for name, why := range st.Detectors {
			c.Detectors[printable(name)] = printable(why)
		}
		shown[i] = &c
	}
	return shown
}

func showStatus(out io.Writer, all []*mountStatus) error {
	all = legible(all)
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no volume is mounted")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MOUNTED ON\tSTATE\tSINCE\tUNSYNCED\tIMAGE")
	for _, st := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", st.Dir, stateText(st), sinceText(st), unsyncedText(st), st.Image)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, st := range all {
		for _, note := range statusNotes(st) {
			if _, err := fmt.Fprintf(out, "%s: %s\n", st.Dir, note); err != nil {
				return err
			}
		}
	}
	return nil
}

func stateText(st *mountStatus) string {
	switch {
	case st.State == watch.Present.String() && st.HostRO:
		return st.State + ", read-only"
	case st.State == watch.Present.String() && st.Generation > 1:
		return st.State + " again"
	}
	return st.State
}

func sinceText(st *mountStatus) string {
	if st.Since.IsZero() {
		return "-"
	}
	return st.Since.Local().Format(time.DateTime)
}

func unsyncedText(st *mountStatus) string {
	switch {
	case st.State == unknownState, st.State == deadState:
		return "-"
	case st.Unsynced == 0 && st.Names:
		return "names"
	case st.Unsynced == 0:
		return "none"
	case st.Files == 1:
		return byteCount(st.Unsynced) + " in 1 file"
	case st.Files > 1:
		return fmt.Sprintf("%s in %d files", byteCount(st.Unsynced), st.Files)
	}
	return byteCount(st.Unsynced) // of names, sizes and times
}

// statusNotes are what does not fit into the table.
func statusNotes(st *mountStatus) (notes []string) {
	if st.Reason != "" {
		notes = append(notes, st.Reason)
	}
	if st.State == watch.Gone.String() || st.State == watch.Verifying.String() {
		notes = append(notes, "everything fails until it is back; what is unsynced is kept, and written then")
	}
	if st.State == watch.Present.String() && st.HostRO {
		notes = append(notes, "the host is read-only: writes fail until it is not")
	}
	if st.Moved != "" {
		notes = append(notes, "the image was renamed to "+st.Moved)
	}
	if st.Abandoned > 0 {
		notes = append(notes, fmt.Sprintf("%d calls of the host were given up on and have not ended", st.Abandoned))
	}
	for _, name := range slices.Sorted(maps.Keys(st.Detectors)) {
		if why := st.Detectors[name]; why != "" {
			notes = append(notes, fmt.Sprintf("the detector %s does not work here: %s", name, why))
		}
	}
	return notes
}
