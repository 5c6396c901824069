package fattest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// fsckLines are what fsck.fat says about harmless leftovers, and which finding of Check each is about: one of
// them. Lines without a finding say nothing about the volume, or go on from the line before them.
var fsckLines = []struct {
	line  *regexp.Regexp
	kinds []Kind
}{
	{regexp.MustCompile(`^$|^fsck\.fat \d|^Leaving filesystem unchanged|: \d+ files, \d+/\d+ clusters$`), nil},
	{regexp.MustCompile(`^ +(Auto-correcting|Auto-deleting|Using first FAT|Truncating file to \d+ bytes|Not automatically fixing this)\.`), nil},
	{regexp.MustCompile(`^ Automatically removing dirty bit\.`), nil},
	{regexp.MustCompile(`^/`), nil}, // the path that the next line is about
	{regexp.MustCompile(`^FATs differ but appear to be intact\.`), []Kind{LagFAT}},
	{regexp.MustCompile(`^There are differences between boot sector and its backup\.`), []Kind{StaleBackup}},
	{regexp.MustCompile(`^This is mostly harmless\. Differences: `), []Kind{StaleBackup}},
	{regexp.MustCompile(`^  \d+:[0-9a-f]{2}/[0-9a-f]{2}`), []Kind{StaleBackup}},
	{regexp.MustCompile(`^Orphaned long file name part "`), []Kind{OrphanSlots}},
	{regexp.MustCompile(`^  File size is \d+ bytes, cluster chain length is > \d+ bytes\.`), []Kind{LongChain}},
	// Of a directory under two names, it is right for one of them.
	{regexp.MustCompile(`^  Invalid '\.\.' entry in the second slot\. Fixing\.`), []Kind{OldParent, DoubleName}},
	// The second name loses its chain before its size is looked at. Where chains meet behind their first
	// cluster, it would keep some of it.
	{regexp.MustCompile(`^  share clusters\.`), []Kind{DoubleName}},
	{regexp.MustCompile(`^  Truncating second to 0 bytes\.`), []Kind{DoubleName}},
	{regexp.MustCompile(`^  File size is \d+ bytes, cluster chain length is 0 bytes\.`), []Kind{DoubleName}},
	// Counted when everything above is done.
	{regexp.MustCompile(`^Reclaimed \d+ unused clusters? \(`), []Kind{Leaked, DoubleName}},
	{regexp.MustCompile(`^Free cluster summary wrong \(`), []Kind{StaleInfo, Leaked, LongChain, DoubleName}},
}

const fsckDirty = "Dirty bit is set."

// FsckErr is what the output of fsck.fat -n says about a volume beyond the harmless leftovers that the report
// of the same volume has.
func (r *Report) FsckErr(out string) error {
	for line := range strings.Lines(out) {
		if !r.explains(strings.TrimRight(line, "\n")) {
			return fmt.Errorf("fsck.fat says %q, which no leftover explains (%v):\n%s", strings.TrimSpace(line), r.Err(), out)
		}
	}
	if !strings.HasPrefix(out, "fsck.fat ") {
		return fmt.Errorf("this is not from fsck.fat: %q", out)
	}
	return nil
}

func (r *Report) explains(line string) bool {
	if strings.HasPrefix(line, fsckDirty) {
		return r.Dirty
	}
	for _, l := range fsckLines {
		if l.line.MatchString(line) {
			return l.kinds == nil || slices.ContainsFunc(l.kinds, func(k Kind) bool { return r.Count(k) > 0 })
		}
	}
	return false
}
