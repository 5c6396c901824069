package fs

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUserOptions: options for other programs go to a fusermount3 that takes them, and cost nothing where it
// does not.
func TestUserOptions(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		calls  []bool // whether each call has the options
	}{
		"libfuse 3.17": {"", []bool{true}},
		"libfuse 3.14": {`case "$2" in *x-*) echo "fusermount3: unknown option 'x-gvfs-show'" >&2; exit 1;; esac`, []bool{true, false}},
	} {
		dir := t.TempDir()
		log := filepath.Join(dir, "log")
		script := "#!/bin/sh\necho \"$2\" >>" + log + "\n" + c.script + "\n"
		if err := os.WriteFile(filepath.Join(dir, fusermount), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		opt := &Options{FSName: "a,b", Subtype: "fatvol", UserOptions: []string{"x-gvfs-show", "x-gvfs-name=P"}, Log: slog.New(slog.DiscardHandler)}
		if _, err := mountHelped(dir, opt); err == nil || !strings.Contains(err.Error(), "no descriptor") {
			t.Errorf("%s: %v", name, err)
		}
		said, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		if len(lines) != len(c.calls) {
			t.Errorf("%s: %d calls, want %d: %q", name, len(lines), len(c.calls), lines)
			continue
		}
		for i, line := range lines {
			if strings.HasSuffix(line, ",x-gvfs-show,x-gvfs-name=P") != c.calls[i] || !strings.Contains(line, `fsname=a\,b,`) {
				t.Errorf("%s: call %d: %q", name, i, line)
			}
		}
	}
}
