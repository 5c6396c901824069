package fattest

import (
	"strings"
	"testing"
)

// TestFsckErr has lines that a leftover explains, and the same where there is no such leftover, or with
// other numbers.
func TestFsckErr(t *testing.T) {
	r := &Report{Dirty: true, Volume: &Volume{}}
	for _, k := range []Kind{LagFAT, LongChain, DoubleName, OrphanSlots} {
		r.add(k, "a", 0, "")
	}
	for out, explained := range map[string]bool{
		"Dirty bit is set. Fs was not properly unmounted\n Automatically removing dirty bit.": true,
		"FATs differ but appear to be intact.\n  Using first FAT.":                            true,
		"/a\n  File size is 7 bytes, cluster chain length is > 512 bytes.":                    true,
		"/a\n  File size is 700 bytes, cluster chain length is 512 bytes.":                    false,
		"/a  and\n/b\n  share clusters.\n  Truncating second to 0 bytes.":                     true,
		"/a  and\n/b\n  share clusters.\n  Truncating second to 512 bytes.":                   false,
		"/a\n  Contains a free cluster (7). Assuming EOF.":                                    false,
		"There are differences between boot sector and its backup.":                           false, // there is no such leftover
		"Both FATs appear to be corrupt. Giving up.":                                          false,
		"Orphaned long file name part \"a name\"\n  Auto-deleting.":                           true,
		"Wrong checksum for long file name \"a name\".":                                       false,
	} {
		if err := r.FsckErr("fsck.fat 4.2 (2021-01-31)\n" + out + "\n/x.img: 3 files, 4/5 clusters\n"); (err == nil) != explained {
			t.Errorf("%q: %v", out, err)
		}
	}
	if err := (&Report{Volume: &Volume{}}).FsckErr("fsck.fat 4.2\nDirty bit is set.\n"); err == nil {
		t.Error("a dirty bit that the report has not")
	}
	if err := r.FsckErr(""); err == nil || !strings.Contains(err.Error(), "fsck.fat") {
		t.Errorf("no output: %v", err)
	}
}
