package integration

import (
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
