package integration

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestFullOutput: what was done is done, and that it could not be told is no success.
func TestFullOutput(t *testing.T) {
	unwritten := func(args ...string) {
		t.Helper()
		said, code := toFull(t, append([]string{binary(t)}, args...)...)
		if code != 2 || !strings.Contains(said, "it was done, but what there is to tell could not be written") {
			t.Errorf("%q: exit code %d\n%s", args, code, said)
		}
	}
	stick, _ := newLoopStick(t)
	h := newAutomount(t, stick, "1h")
	h.mounted()
	unwritten("umount", "-v", h.volume())
	if mountTable(t, h.volume()) != "" {
		t.Error("still mounted")
	}
	unwritten("automount", "--once", "--dry-run", "-c", h.config, "-d", h.dir)
	unwritten("eject", "-c", h.config, stick.host)
	if mountTable(t, stick.host) != "" {
		t.Error("the medium is still mounted")
	}
}

// TestFullOutputOfAll: whatever prints says so in one line when that could not be written, and does not end with 0.
func TestFullOutputOfAll(t *testing.T) {
	img := mkfsFAT(t, 8<<20)
	created := filepath.Join(filepath.Dir(img), "new.img")
	files(t, "", "cp", "/dev/null", img+":/file")
	for _, tc := range []struct {
		args string
		code int
	}{
		{"", 2}, {"--help", 2}, {"help", 2}, {"help cp", 2}, {"cp --help", 2}, {"replay list -h", 2}, {"attr --help", 2},
		{"--version", 2}, {"version", 2}, {"mount -o help", 2},
		{"create --size 1M " + created, 2}, {"defrag -n " + img, 2}, {"resize -n " + img + " max", 2},
		{"status", 2}, {"replay list", 2}, {"info " + img, 2}, {"info --json " + img, 2}, {"check " + img, 8},
		{"ls " + img, 1}, {"ls --json " + img, 1}, {"attr " + img + ":/file", 1}, {"label " + img, 1}, {"mkdir -v " + img + ":/dir", 1},
	} {
		said, code := toFull(t, append([]string{binary(t)}, strings.Fields(tc.args)...)...)
		if code != tc.code || !strings.HasSuffix(said, "no space left on device\n") || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: exit code %d\n%s", tc.args, code, said)
		}
	}
}
