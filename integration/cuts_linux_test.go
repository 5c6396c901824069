package integration

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"fatvol/image/fat/fattest"
)

var (
	cutSeed    = flag.Uint64("cut-seed", 1, "seed of TestCuts: of the workloads, and of what a cut makes of unsynced writes")
	cutSamples = flag.Int("cut-samples", 2, "`samples` of what is on the medium that TestCuts takes at each moment, of either kind")
	cutLog     = flag.String("cut-log", "", "`recording` that TestCuts looks at in place of new ones; it keeps one when it fails")
	cutNumber  = flag.Int("cut", -1, "`number` of the only cut of each recording that TestCuts looks at; all of them if negative")
)

// leastOutsideCuts is how many cuts a whole run of TestCuts has to look at.
const leastOutsideCuts = 20_000

// cutLayouts have small clusters, so that files and directories have many, and the FATs several sectors.
var cutLayouts = []fattest.Layout{{Width: 12, Clusters: 900}, {Width: 16, Clusters: 4200}, {Width: 32, Clusters: 65600}}

// TestCuts cuts the power of a mount of the built program. The image lies on a host that logs each write and
// each sync which reaches it; workloads run on the mount, and note at which length of the log each fsync had
// returned. Then the medium is rebuilt as cuts at every moment of the log may leave it, and judged as the
// engine's own are. A choice is shown to fsck.fat.
func TestCuts(t *testing.T) {
	needRoot(t)
	needFUSE(t)
	need(t, "fsck.fat")
	var cuts, shown atomic.Int64
	if *cutLog != "" {
		var r recording
		if err := readGob(*cutLog, &r); err != nil {
			t.Fatal(err)
		}
		r.look(t, &cuts, &shown)
		t.Logf("%d cuts checked of a log of %d entries", cuts.Load(), len(r.Log))
		return
	}
	binary(t)
	t.Run("of", func(t *testing.T) {
		for name, work := range fattest.Workloads {
			for _, l := range cutLayouts {
				t.Run(fmt.Sprintf("%s/FAT%d", name, l.Width), func(t *testing.T) {
					t.Parallel()
					r := recordWorkload(t, l, work, *cutSeed)
					r.look(t, &cuts, &shown)
				})
			}
		}
	})
	t.Logf("%d cuts checked, %d of them by fsck.fat as well", cuts.Load(), shown.Load())
	if cuts.Load() < leastOutsideCuts && !t.Failed() && !someCuts() {
		t.Errorf("want at least %d", leastOutsideCuts)
	}
}

// someCuts reports whether not all of the cuts were asked for.
func someCuts() bool {
	run := flag.Lookup("test.run")
	return strings.Contains(run.Value.String(), "/") || *cutSamples < 2 || *cutNumber >= 0
}

// shownEvery is how many cuts there are for each that is shown to fsck.fat.
const shownEvery = 37

// look judges the cuts of a recording, and keeps it if one is wrong.
func (r *recording) look(t *testing.T, cuts, shown *atomic.Int64) {
	t.Helper()
	img := filepath.Join(t.TempDir(), "cut.img")
	count := 0
	judge := func(c *recordedCut) error {
		report, err := r.judge(c)
		if count++; err == nil && (count%shownEvery == 0 || *cutNumber >= 0) {
			shown.Add(1)
			err = fsckLeftovers(t, c, report, img)
		}
		return err
	}
	var err error
	if *cutNumber >= 0 {
		err = r.only(t, *cutNumber, judge)
	} else {
		err = r.cuts(t, 0, len(r.Log), *cutSamples, judge)
	}
	cuts.Add(int64(count))
	if err != nil {
		t.Error(err)
	}
	if n := numberOf(err); n >= 0 && *cutLog == "" {
		t.Logf("to repeat: go test ./integration -run '^TestCuts$' -cut-log '%s' -cut %d", r.keep(t, os.TempDir()), n)
	}
}

// judge is a *badCut where a cut has left what it must not.
func (r *recording) judge(c *recordedCut) (*fattest.Report, error) {
	report, err := r.Promises.Judge(c.m, c.At)
	if err != nil {
		return nil, &badCut{c, err}
	}
	return report, nil
}

// fsckLeftovers shows a cut to fsck.fat, in a file img. It must find nothing but leftovers that are in the report.
func fsckLeftovers(t *testing.T, c *recordedCut, report *fattest.Report, img string) error {
	t.Helper()
	if err := c.m.WriteFile(img); err != nil {
		return err
	}
	out, _ := runCode(t, "fsck.fat", "-n", img)
	if err := report.FsckErr(out); err != nil {
		return &badCut{c, err}
	}
	return nil
}

type badCut struct {
	*recordedCut
	err error
}

func (b *badCut) Error() string { return fmt.Sprintf("%v: %v", b.recordedCut, b.err) }

// numberOf is the number of the cut that an error is about, -1 if it is about none.
func numberOf(err error) int {
	if bad := new(badCut); errors.As(err, &bad) {
		return bad.Number
	}
	return -1
}

// TestCutsFindFault: a host that forgets a single sync, so that the writes before and behind it come in any
// order, leaves something that TestCuts notices.
func TestCutsFindFault(t *testing.T) {
	for _, name := range []string{"append", "editor", "reuse", "trees", "mixed"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := recordWorkload(t, cutLayouts[1], fattest.Workloads[name], *cutSeed)
			syncs, noticed := r.syncs(), 0
			for i, at := range syncs[:len(syncs)-1] {
				other := r.without(at)
				n := numberOf(other.cuts(t, at+1, syncs[i+1], 3, func(c *recordedCut) error {
					_, err := other.judge(c)
					return err
				}))
				if n < 0 {
					continue
				}
				if noticed++; noticed == 1 {
					other.again(t, n)
				}
			}
			t.Logf("of %d syncs, %d are missed when they alone are forgotten", len(syncs), noticed)
			if noticed == 0 {
				t.Error("none of the syncs is needed?")
			}
		})
	}
}

// again looks at a bad cut in what is kept of the recording.
func (r *recording) again(t *testing.T, number int) {
	t.Helper()
	var kept recording
	if err := readGob(r.keep(t, t.TempDir()), &kept); err != nil {
		t.Fatal(err)
	}
	if err := kept.only(t, number, func(c *recordedCut) error {
		_, err := kept.judge(c)
		return err
	}); numberOf(err) != number {
		t.Errorf("cut %d is bad among others, and alone: %v", number, err)
	}
}
