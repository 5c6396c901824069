package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// toFull runs fatvol with a standard output that takes nothing, and returns what it says on standard error.
func toFull(t testing.TB, args ...string) (said string, code int) {
	t.Helper()
	return runCode(t, "sh", append([]string{"-c", `exec "$@" > /dev/full`, "sh"}, args...)...)
}

// TestHelperHelp: who asks a helper what it takes is told, and it is no failure unless nobody can read it.
func TestHelperHelp(t *testing.T) {
	for name, takes := range map[string]string{"mount.fatvol": "IMAGE DIR", "umount.fatvol": "DIR", "mount_fatvol": "IMAGE DIR"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(binary(t), path); err != nil {
			t.Fatal(err)
		}
		for _, flag := range []string{"-h", "--help"} {
			out, code := runCode(t, path, flag)
			if code != 0 || !strings.HasPrefix(out, "Usage:\n  "+name+" "+takes+" [options]\n") || !strings.Contains(out, "--namespace") {
				t.Errorf("%s %s: exit code %d\n%s", name, flag, code, out)
			}
		}
		if said, code := toFull(t, path, "--help"); code != 2 || !strings.Contains(said, "no space left on device") {
			t.Errorf("%s --help > /dev/full: exit code %d\n%s", name, code, said)
		}
	}
}
