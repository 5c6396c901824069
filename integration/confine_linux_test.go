package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestConfinement: the process that serves a mount has no way to more rights, hands no descriptor to a
// program, and keeps its socket and its record to its user.
func TestConfinement(t *testing.T) {
	needFUSE(t)
	img := mkfsFAT(t, 8<<20)
	dir := mountImage(t, img)
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	var st struct{ PID int }
	if err := json.Unmarshal([]byte(run(t, binary(t), "status", "--json", dir)), &st); err != nil || st.PID == 0 {
		t.Fatal(st, err)
	}
	proc := fmt.Sprintf("/proc/%d", st.PID)
	tasks, _ := filepath.Glob(proc + "/task/*/status")
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(text), "NoNewPrivs:\t1\n") {
			t.Errorf("%s: it may gain privileges", path)
		}
	}
	fds, err := os.ReadDir(proc + "/fd")
	if err != nil || len(tasks) == 0 {
		t.Fatal(err, len(tasks))
	}
	seen := map[string]bool{}
	for _, e := range fds {
		target, _ := os.Readlink(filepath.Join(proc, "fd", e.Name()))
		info, err := os.ReadFile(filepath.Join(proc, "fdinfo", e.Name()))
		if n, _ := strconv.Atoi(e.Name()); n <= 2 || err != nil {
			continue
		}
		seen[target] = true
		_, rest, _ := strings.Cut(string(info), "flags:")
		flags, err := strconv.ParseInt(strings.Fields(rest)[0], 8, 64)
		if err != nil || flags&0o2000000 == 0 {
			t.Errorf("descriptor %s, of %s, is not closed on exec: %s", e.Name(), target, info)
		}
		if strings.HasSuffix(target, ".json") {
			private(t, target, 0o600)
			private(t, strings.TrimSuffix(target, ".json")+".sock", 0o600|os.ModeSocket)
			private(t, filepath.Dir(target), 0o700|os.ModeDir)
		}
	}
	if !seen["/dev/fuse"] || !seen[img] {
		t.Errorf("the image and /dev/fuse are not among %v", seen)
	}
}

func private(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	if st, err := os.Lstat(path); err != nil || st.Mode() != want {
		t.Errorf("%s: %v, %v, want %v", path, st, err, want)
	}
}
