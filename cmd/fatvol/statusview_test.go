package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var viewTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local)

// viewText is what a view shows as text; the test fails if it does not fit.
func viewText(t *testing.T, v *statusView, width, height int) string {
	t.Helper()
	var all []string
	for _, line := range v.lines(viewTime, width, height) {
		text := ""
		for _, p := range line {
			text += p.text
		}
		all = append(all, text)
	}
	if len(all) > height {
		t.Errorf("%d lines on a screen of %d:\n%s", len(all), height, strings.Join(all, "\n"))
	}
	return strings.Join(all, "\n")
}

func viewedMount(dir string, changes int) *mountStatus {
	st := &mountStatus{
		Dir: dir, Image: "/media/stick/disk.img", PID: 7, State: "gone", Reason: "probe: input/output error",
		Since: viewTime.Add(-90 * time.Second), Unsynced: 3 << 20, Files: 2, Limit: 64 << 20, Failed: 1, Errors: 4, Abandoned: 1,
	}
	for i := range changes {
		st.History = append(st.History, mountChange{
			At: viewTime.Add(time.Duration(i-changes) * time.Minute), State: "gone", Reason: fmt.Sprintf("cause %d", i), Attempts: i,
		})
	}
	return st
}

func TestStatusView(t *testing.T) {
	v := &statusView{}
	st := viewedMount("/mnt", 3)
	v.learn(&statusNews{all: []*mountStatus{st}, at: viewTime.Add(-2 * time.Second)})
	later := *st
	later.Reads, later.ReadBytes, later.Writes, later.Written = 10, 8<<20, 4, 2048
	v.learn(&statusNews{all: []*mountStatus{&later}, at: viewTime})
	text := viewText(t, v, 80, 24)
	for _, want := range []string{
		"/mnt  gone  since 05:04:37, for 1 min 30 s", "probe: input/output error",
		"4 MiB/s       5 requests/s   in all 8 MiB, 10 requests", "1 KiB/s       2 requests/s   in all 2 KiB, 4 requests",
		"[#-------------------]  3.0 MiB in 2 files; at most 64 MiB",
		"1 request failed; of the host's calls 4 failed, 1 abandoned",
		"05:03:07  gone: cause 0", "05:04:07  not taken: cause 1", "05:05:07  not taken, 2 times: cause 2",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	// Rates are of the last seconds.
	v.learn(&statusNews{all: []*mountStatus{&later}, at: viewTime.Add(10 * time.Second)})
	v.learn(&statusNews{all: []*mountStatus{&later}, at: viewTime.Add(12 * time.Second)})
	if text := viewText(t, v, 80, 24); !strings.Contains(text, "0 B/s       0 requests/s   in all 8 MiB") {
		t.Error(text)
	}
	// Another mount on the same directory begins anew.
	next := *st
	next.PID = 8
	v.learn(&statusNews{all: []*mountStatus{&next}, at: viewTime.Add(13 * time.Second)})
	if len(v.meters) != 1 || len(v.meters[meterKey{"/mnt", 8}].samples) != 1 {
		t.Errorf("%+v", v.meters)
	}
}

// Whatever the terminal, all mounts are there or counted, and the newest of the history is the last to go.
func TestStatusViewSizes(t *testing.T) {
	v := &statusView{}
	var all []*mountStatus
	for i := range 3 {
		all = append(all, viewedMount(fmt.Sprintf("/mnt/%d", i), 40))
	}
	all = append(all, &mountStatus{Dir: "/mnt/dead", State: deadState, Reason: "its serving process is dead"})
	v.learn(&statusNews{all: all, at: viewTime})
	for height := 4; height < 160; height += 1 + height/20 {
		text := viewText(t, v, 80, height)
		shown := strings.Count(text, "/mnt/")
		if !strings.Contains(text, "more") && shown != len(all) || strings.Contains(text, "more") && height > len(all)+2 {
			t.Fatalf("%d lines:\n%s", height, text)
		}
		if strings.Contains(text, "history") && !strings.Contains(text, "cause 39") {
			t.Fatalf("%d lines:\n%s", height, text)
		}
	}
	if text := viewText(t, v, 80, 200); !strings.Contains(text, "cause 0\n") {
		t.Error(text)
	}
	for _, width := range []int{1, 5, 20, 40} {
		viewText(t, v, width, 30)
	}
	viewText(t, &statusView{}, 80, 3)
}
