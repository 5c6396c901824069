package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCreateOnDiskFromPipe: an archive from a pipe is kept in the directory for temporary files while a disk is
// planned, not beside the disk's device file.
func TestCreateOnDiskFromPipe(t *testing.T) {
	needRoot(t)
	need(t, "tar")
	dir := memoryDir(t)
	tree, backing := filepath.Join(dir, "tree"), filepath.Join(dir, "backing")
	writeCreateTree(t, tree)
	archive, err := exec.Command("tar", "-C", tree, "-c", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(backing, make([]byte, 40<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	loop := loopDevice(t, backing)
	createIn := func(temp string) (string, error) {
		cmd := exec.Command(binary(t), "create", loop, "--force", "--from", "-")
		cmd.Env = append(os.Environ(), "TMPDIR="+temp)
		cmd.Stdin = bytes.NewReader(archive)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	missing := filepath.Join(dir, "missing")
	if out, err := createIn(missing); err == nil || !strings.Contains(out, missing) {
		t.Errorf("without a directory for temporary files: %v: %q", err, out)
	}
	if out, err := createIn(dir); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	run(t, binary(t), "check", loop)
}
