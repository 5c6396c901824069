package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestExamples runs docs/examples.md.
func TestExamples(t *testing.T) {
	_, examples := readRecipes(t, "../docs/examples.md")
	if len(examples) != 4 {
		t.Errorf("%d examples, want 4", len(examples))
	}
	need(t, "nasm", "ld", "qemu-system-x86_64", "qemu-system-i386", "sfdisk", "mcopy", "git", "tar")
	bin := filepath.Dir(binary(t))
	for _, e := range examples {
		t.Run(e.title, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFiles(t, dir, e.files)
			script := "set -eu\n" + e.script
			if strings.Contains(script, "git ") {
				// A checkout is what the workflow begins with.
				script = "git init -q . && echo text >README.md && git add . && git -c user.name=n -c user.email=e@example.org commit -qm m\n" + script
			}
			cmd := exec.Command("timeout", "180", "sh", "-c", script)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
			start := time.Now()
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v after %v\n%s", err, time.Since(start), out)
			}
		})
	}
}
