package integration

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The control socket of a mount is for its owner and root: others cannot even see it, and learn from
// 'fatvol status' that they may not ask.
func TestControlSocketIsPrivate(t *testing.T) {
	needRoot(t)
	dir := mountImage(t, mkfsFAT(t, 4<<20))
	if st := statusOf(t, dir); st.State != "present" {
		t.Fatalf("%+v", st)
	}
	sockets := 0
	err := filepath.WalkDir("/run/fatvol", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && d.Type()&fs.ModeSocket != 0 {
			sockets++
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v", path, info.Mode())
			}
		}
		return nil
	})
	if err != nil || sockets == 0 {
		t.Fatalf("%d sockets in /run/fatvol, %v", sockets, err)
	}
	if info, err := os.Stat("/run/fatvol"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("/run/fatvol: %v, %v", info.Mode(), err)
	}
	out, code := asNobody(t, binary(t), "status", "--json", dir)
	if code == 0 && !strings.Contains(out, `"state":"unknown"`) {
		t.Errorf("status as another user: exit code %d: %s", code, out)
	}
	if strings.Contains(out, "present") || strings.Count(out, "\n") != 1 {
		t.Errorf("status as another user: %s", out)
	}
}
