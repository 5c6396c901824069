//go:build linux

package vm

import (
	"fmt"
	"time"

	"fatvol/integration/vm/guestapi"
)

// workPatience bounds every wait for workers.
const workPatience = 4 * time.Minute

// Crew is a set of workers in the guest.
type Crew struct {
	v      *VM
	ids    []int
	pulses map[int]bool // the numbers of those that are a Pulse, whose calls never fail
}

// fullCrew is one worker of each kind that DESIGN's scenes name, each in a directory of its own.
func fullCrew(root string) []guestapi.Work {
	works := []guestapi.Work{
		{Kind: guestapi.Reader, Slots: 64, Block: 4096},
		{Kind: guestapi.Reader, Slots: 64, Block: 16384, Uncached: true},
		{Kind: guestapi.Reader, Slots: 64, Block: 4096, Direct: true},
		{Kind: guestapi.MmapReader, Slots: 64, Block: 4096},
		{Kind: guestapi.Writer, Slots: 64, Block: 4096},
		{Kind: guestapi.Writer, Slots: 64, Block: 2048, FsyncEvery: 1},
		{Kind: guestapi.Creator, Slots: 12, Block: 1024},
		{Kind: guestapi.Creator, Slots: 12, Block: 1024, FsyncEvery: 2},
		{Kind: guestapi.Lister, Slots: 40, Block: 64},
		{Kind: guestapi.Statter, Slots: 20, Block: 64},
		{Kind: guestapi.Opener, Slots: 20, Block: 512},
	}
	return append(inDirectories(works, root), pulses()...)
}

// inDirectories gives each worker a directory of its own, and a pause.
func inDirectories(works []guestapi.Work, root string) []guestapi.Work {
	for i := range works {
		w := &works[i]
		w.File = uint64(i + 1)
		w.Dir = fmt.Sprintf("%s/worker %d", root, w.File)
		w.Pause = 2 * time.Millisecond
	}
	return works
}

// pulses are one for each of the guest's processors.
func pulses() []guestapi.Work {
	return []guestapi.Work{{Kind: guestapi.Pulse, File: 0}, {Kind: guestapi.Pulse, File: 1}}
}

// Crew prepares the files of a full crew below a directory and starts it.
func (v *VM) Crew(root string) *Crew {
	v.t.Helper()
	works := fullCrew(root)
	v.Prepare(works)
	return v.StartCrew(works)
}

// Prepare makes the files that workers need.
func (v *VM) Prepare(works []guestapi.Work) {
	v.t.Helper()
	for _, w := range works {
		if w.Kind != guestapi.Pulse {
			v.must(v.call("Prepare", w, &guestapi.None{}))
		}
	}
}

// StartCrew starts workers whose files are there.
func (v *VM) StartCrew(works []guestapi.Work) *Crew {
	v.t.Helper()
	c := &Crew{v: v, pulses: map[int]bool{}}
	for _, w := range works {
		var id int
		v.must(v.call("StartWork", w, &id))
		c.ids = append(c.ids, id)
		c.pulses[id] = w.Kind == guestapi.Pulse
	}
	return c
}

// Await waits until the progress of every worker is as it should be.
func (c *Crew) Await(right func(guestapi.Progress) bool) {
	c.v.t.Helper()
	for end := time.Now().Add(workPatience); ; time.Sleep(20 * time.Millisecond) {
		var progress []guestapi.Progress
		c.v.must(c.v.call("WorkProgress", c.ids, &progress))
		wrong := 0
		for _, p := range progress {
			if p.Ended {
				c.Stop()
				c.v.t.Fatalf("worker %d has ended", p.ID)
			}
			if !right(p) {
				wrong++
			}
		}
		if wrong == 0 {
			return
		}
		if time.Now().After(end) {
			c.v.t.Fatalf("%d of %d workers are not where they should be after %v: %+v", wrong, len(progress), workPatience, progress)
		}
	}
}

// Stop stops the workers and returns their reports. A worker that is stuck, or could not work, fails
// the test.
func (c *Crew) Stop() (reports []guestapi.WorkReport) {
	c.v.t.Helper()
	for _, id := range c.ids {
		var r guestapi.WorkReport
		c.v.must(c.v.call("StopWork", id, &r))
		switch {
		case r.Stuck != "":
			c.v.t.Errorf("worker %d does not end: it hangs in the kernel:\n%s", id, r.Stuck)
		case r.Err != "":
			c.v.t.Errorf("%s in %s: %s", r.Work.Kind, r.Work.Dir, r.Err)
		case r.Dropped > 0:
			c.v.t.Errorf("%s in %s made %d calls too many to remember", r.Work.Kind, r.Work.Dir, r.Dropped)
		}
		reports = append(reports, r)
	}
	c.ids = nil
	return reports
}

// Verify compares the files of a worker with its ledger.
func (v *VM) Verify(args guestapi.VerifyArgs) (findings []string) {
	v.t.Helper()
	if args.Work.Kind == guestapi.Pulse {
		return nil
	}
	v.must(v.call("Verify", args, &findings))
	return findings
}
