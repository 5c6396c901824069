package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestMoveToFailing: what does not get to the target's medium stays where it was, whether the target fails or the program is
// killed when it would sync.
func TestMoveToFailing(t *testing.T) {
	need(t, "strace", "mkfs.fat")
	for _, how := range []string{"error=EIO", "signal=KILL"} {
		target, file := mkfsFAT(t, 8<<20), filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte("content"), 0o666); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-P", target, "-e", "trace=fdatasync", "-e", "inject=fdatasync:"+how,
			binary(t), "mv", file, target+":/")
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%s: mv succeeded: %s", how, out)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
}
