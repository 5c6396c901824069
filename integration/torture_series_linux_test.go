package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// A sample is what a serving process takes at one moment, while nobody asks anything of it.
type sample struct {
	at              time.Duration
	pid             int
	rss             int64 // bytes
	fds, goroutines int
	ops, failed     int64
	pulls           int
	abandoned       int64
}

// A series is what serving processes took, one after another.
type series struct {
	began   time.Time
	samples []sample
}

func (s *series) add(st mediumStatus, c *conductor) {
	rss, err := residentBytes(st.PID)
	fds, err2 := os.ReadDir(fmt.Sprintf("/proc/%d/fd", st.PID))
	if err != nil || err2 != nil {
		c.fail(fmt.Errorf("process %d: %v, %v", st.PID, err, err2))
		return
	}
	s.samples = append(s.samples, sample{time.Since(s.began), st.PID, rss, len(fds), st.Goroutines,
		c.ops.Load(), c.failed.Load(), c.pulls, st.Abandoned})
}

// residentBytes is how much memory a process has.
func residentBytes(pid int) (n int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\nVmRSS:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		return 0, err
	}
	return n << 10, nil
}

// What a process may take at any time, and by how much it may take more in the end than in the beginning.
const (
	mostResident, moreResident     = 512 << 20, 32 << 20
	mostFDs, moreFDs               = 40, 1
	mostGoroutines, moreGoroutines = 150, 8
)

// judge looks whether something grows: the last process's samples of the second half are to be none above
// those of the first, of which the very first, before everything is warm, does not count.
func (s *series) judge(t testing.TB) {
	last := s.samples
	for i, x := range s.samples {
		if x.pid != s.samples[len(s.samples)-1].pid {
			last = s.samples[i+1:]
		}
		if x.rss > mostResident || x.fds > mostFDs || x.goroutines > mostGoroutines {
			t.Errorf("after %v: %d MiB resident, %d descriptors, %d goroutines", x.at, x.rss>>20, x.fds, x.goroutines)
		}
	}
	if len(last) < 5 {
		return
	}
	early, late := most(last[1:1+len(last)/2]), most(last[1+len(last)/2:])
	if late.rss > early.rss+moreResident || late.fds > early.fds+moreFDs || late.goroutines > early.goroutines+moreGoroutines {
		t.Errorf("it grows: %d MiB resident, later %d; %d descriptors, later %d; %d goroutines, later %d",
			early.rss>>20, late.rss>>20, early.fds, late.fds, early.goroutines, late.goroutines)
	}
}

func most(of []sample) (m sample) {
	for _, x := range of {
		m.rss, m.fds, m.goroutines = max(m.rss, x.rss), max(m.fds, x.fds), max(m.goroutines, x.goroutines)
	}
	return m
}

func (s *series) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "after\tprocess\tpulls\toperations\tfailed\tresident MiB\tdescriptors\tgoroutines\tabandoned\t")
	for _, x := range s.samples {
		fmt.Fprintf(w, "%v\t%d\t%d\t%d\t%d\t%.1f\t%d\t%d\t%d\t\n", x.at.Round(time.Second), x.pid, x.pulls, x.ops, x.failed,
			float64(x.rss)/(1<<20), x.fds, x.goroutines, x.abandoned)
	}
	w.Flush()
	return b.String()
}
