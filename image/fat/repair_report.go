package fat

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// report tells of a repair: one line for each thing that it does, within bounds, and one at its end.
type report struct {
	log   *slog.Logger
	lines int
	// What was repaired.
	names, parts, chains, kept, parents int
	freed                               int64 // clusters
	copied                              int64 // bytes of other FATs
}

// maxReport bounds the lines of one repair; the last tells of everything.
const maxReport = 100

func (r *report) info(format string, args ...any) { r.line(r.log.Info, format, args...) }
func (r *report) warn(format string, args ...any) { r.line(r.log.Warn, format, args...) }

// full reports whether what is said from now on is not listed any more.
func (r *report) full() bool { return r.lines >= maxReport-1 }

func (r *report) line(say func(string, ...any), format string, args ...any) {
	switch r.lines++; {
	case r.lines < maxReport:
		say(fmt.Sprintf(format, args...))
	case r.lines == maxReport:
		say("repair: there is more, which is not listed")
	}
}

func (r *report) summary(took time.Duration) {
	var did []string
	for _, c := range []struct {
		n    int64
		what string
	}{
		{int64(r.names), "second names removed"}, {int64(r.parts), "parts of long names removed"},
		{int64(r.chains), "chains cut to the size of their file"}, {int64(r.kept), "lost chains kept as files"},
		{int64(r.parents), "directories that named an old place of their parent"},
		{r.freed, "lost clusters freed"}, {r.copied, "bytes of other FATs brought up"},
	} {
		if c.n > 0 {
			did = append(did, fmt.Sprintf("%s: %d", c.what, c.n))
		}
	}
	if did == nil {
		did = []string{"nothing was wrong"}
	}
	r.log.Info("repair: the volume, which was not unmounted properly, is whole: "+strings.Join(did, ", "), "took", took.Round(time.Millisecond))
}
