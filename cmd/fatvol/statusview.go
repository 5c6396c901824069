package main

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"fatvol/watch"
)

// A statusView makes lines for a screen of what is learnt of mounts.
type statusView struct {
	all    []*mountStatus
	meters map[meterKey]*rateMeter
}

// A meterKey tells a mount from those before and after it on the same directory.
type meterKey struct {
	dir string
	pid int
}

// learn takes in what mounts say.
func (v *statusView) learn(n *statusNews) {
	v.all = legible(n.all)
	meters := map[meterKey]*rateMeter{}
	for _, st := range v.all {
		key := meterKey{st.Dir, st.PID}
		m := v.meters[key]
		if m == nil {
			m = &rateMeter{}
		}
		m.add(n.at, st)
		meters[key] = m
	}
	v.meters = meters
}

// lines are what a screen of so many columns and lines shows at a time: each mount with as much of its
// history as there is room for, or where there is little, with one line.
func (v *statusView) lines(now time.Time, width, height int) [][]piece {
	title := fmt.Sprintf("fatvol status, %s", now.Format(time.DateTime))
	end := "q: quit"
	if pad := width - len(title) - len(end); pad > 0 {
		title += strings.Repeat(" ", pad) + end
	}
	lines := [][]piece{{{title, dim}}, nil}
	if len(v.all) == 0 {
		return append(lines, []piece{{"no volume is mounted", plain}})
	}
	longest := 0
	for _, st := range v.all {
		longest = max(longest, len(st.History))
	}
	// The most of history that there is room for is just before the least for which there is none.
	most := sort.Search(longest, func(history int) bool {
		return len(lines)+len(v.full(now, width, history+1)) > height
	})
	if full := v.full(now, width, max(most, 1)); len(lines)+len(full) <= height {
		return append(lines, full...)
	}
	short := v.short()
	if room := height - len(lines); len(short) > room && room > 0 {
		more := len(short) - room + 1
		short = append(short[:room-1], []piece{{fmt.Sprintf("and %d more, for which the terminal is too low", more), dim}})
	}
	return append(lines, short...)
}

// full shows each mount with the last entries of its history.
func (v *statusView) full(now time.Time, width, history int) (lines [][]piece) {
	for i, st := range v.all {
		if i > 0 {
			lines = append(lines, nil)
		}
		lines = append(lines, v.mount(st, now, width, history)...)
	}
	return lines
}

// short shows each mount on a line.
func (v *statusView) short() (lines [][]piece) {
	for _, st := range v.all {
		r := v.meters[meterKey{st.Dir, st.PID}].rates()
		line := []piece{{st.Dir, bold}, {"  ", plain}, {stateText(st), stateStyle(st)}}
		if st.asked() {
			line = append(line, piece{fmt.Sprintf("  read %s/s  written %s/s  unsynced %s",
				humanSize(r.readBytes), humanSize(r.writtenBytes), unsyncedText(st)), plain})
		}
		lines = append(lines, line)
	}
	return lines
}

// mount shows one mount.
func (v *statusView) mount(st *mountStatus, now time.Time, width, history int) [][]piece {
	head := []piece{{st.Dir, bold}, {"  ", plain}, {stateText(st), stateStyle(st)}}
	if !st.Since.IsZero() {
		head = append(head, piece{fmt.Sprintf("  since %s, for %s", clock(st.Since, now), span(now.Sub(st.Since))), plain})
	}
	lines := [][]piece{head}
	row := func(name, text string, s style) {
		lines = append(lines, []piece{{fmt.Sprintf("  %-10s", name), dim}, {text, s}})
	}
	row("image", st.Image, plain)
	for _, note := range statusNotes(st) {
		for _, line := range breakWords(note, width-len("  history   ")) {
			row("", line, warn)
		}
	}
	if !st.asked() {
		return lines
	}
	r := v.meters[meterKey{st.Dir, st.PID}].rates()
	row("reads", trafficText(r.readBytes, r.reads, st.ReadBytes, st.Reads), plain)
	row("writes", trafficText(r.writtenBytes, r.writes, st.Written, st.Writes), plain)
	unsynced, s := unsyncedText(st), plain
	if st.Unsynced == 0 && st.Names {
		unsynced = "names, sizes or times"
	}
	if st.Limit > 0 {
		unsynced = fmt.Sprintf("%s  %s; at most %s", bar(st.Unsynced, st.Limit), unsynced, humanSize(st.Limit))
	}
	if st.Unsynced > 0 && st.State != watch.Present.String() {
		s = warn
	}
	row("unsynced", unsynced, s)
	s = plain
	if st.Abandoned > 0 {
		s = warn
	}
	row("errors", fmt.Sprintf("%s failed; of the host's calls %d failed, %d abandoned", plural(st.Failed, "request"), st.Errors, st.Abandoned), s)
	name := "history"
	for _, c := range st.History[max(0, len(st.History)-history):] {
		at := clock(c.At, now) + "  "
		for _, line := range breakWords(changeText(c), width-len("  history   ")-len(at)) {
			row(name, at+line, plain)
			name, at = "", strings.Repeat(" ", len(at))
		}
	}
	return lines
}

// changeText is an entry of a history in words.
func changeText(c mountChange) string {
	text := c.State
	switch {
	case c.State == watch.Gone.String() && c.Attempts > 1:
		text = fmt.Sprintf("not taken, %d times: %s", c.Attempts, c.Reason)
	case c.State == watch.Gone.String() && c.Attempts == 1:
		text = "not taken: " + c.Reason
	case c.State == watch.Gone.String():
		text += ": " + c.Reason
	case c.State == watch.Present.String() && c.Generation > 1:
		text += " again"
	}
	if c.HostRO {
		text += ", read-only"
	}
	if c.Moved != "" {
		text += ", renamed to " + c.Moved
	}
	return printable(text)
}

func stateStyle(st *mountStatus) style {
	switch {
	case st.State == watch.Present.String() && st.HostRO, st.State == watch.Verifying.String():
		return warn
	case st.State == watch.Present.String():
		return good
	}
	return bad
}

// trafficText is what goes through a mount in a second, and has in all.
func trafficText(bytesNow, now, bytes, all int64) string {
	return fmt.Sprintf("%10s/s  %6d requests/s   in all %s, %s", humanSize(bytesNow), now, humanSize(bytes), plural(all, "request"))
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bar draws a part of a whole, which is more than nothing.
func bar(part, whole int64) string {
	const width = 20
	n := int(float64(max(0, min(part, whole))) / float64(whole) * width)
	if part > 0 {
		n = max(n, 1)
	}
	return "[" + strings.Repeat("#", n) + strings.Repeat("-", width-n) + "]"
}

// clock is a time of today, or with its date.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// span is a time that has passed, with its two largest units.
func span(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
}

// rateWindow is the time over which rates are means.
const rateWindow = 2 * time.Second

// A rateMeter tells what went through a mount of late.
type rateMeter struct{ samples []rateSample }

type rateSample struct {
	at     time.Time
	totals rates
}

// rates are of a second, or totals.
type rates struct{ reads, readBytes, writes, writtenBytes int64 }

// add takes in the totals of a time.
func (m *rateMeter) add(at time.Time, st *mountStatus) {
	m.samples = append(m.samples, rateSample{at, rates{st.Reads, st.ReadBytes, st.Writes, st.Written}})
	// The oldest that is kept is just out of the window.
	old, _ := slices.BinarySearchFunc(m.samples, at.Add(-rateWindow), func(s rateSample, t time.Time) int { return cmp.Compare(s.at.UnixNano(), t.UnixNano()) })
	m.samples = slices.Delete(m.samples, 0, max(0, old-1))
}

// rates are those of the window, or of as much as is known.
func (m *rateMeter) rates() rates {
	n := len(m.samples)
	if n < 2 {
		return rates{}
	}
	a, b := m.samples[0], m.samples[n-1]
	seconds := b.at.Sub(a.at).Seconds()
	if seconds <= 0 {
		return rates{}
	}
	per := func(a, b int64) int64 { return int64(float64(max(b-a, 0))/seconds + 0.5) }
	return rates{
		per(a.totals.reads, b.totals.reads), per(a.totals.readBytes, b.totals.readBytes),
		per(a.totals.writes, b.totals.writes), per(a.totals.writtenBytes, b.totals.writtenBytes),
	}
}
