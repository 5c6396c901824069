package hostperm

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestCopy(t *testing.T) {
	dir := t.TempDir()
	for _, mode := range []os.FileMode{0o600, 0o666, 0o440, 0o751, 0} {
		old := filepath.Join(dir, "old")
		if err := os.WriteFile(old, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		uid, gid := os.Geteuid(), os.Getegid()
		if uid == 0 {
			uid, gid = 1234, 5678
		}
		if err := os.Chown(old, uid, gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(old, mode); err != nil {
			t.Fatal(err)
		}
		of, err := os.Stat(old)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.CreateTemp(dir, "new")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := Copy(f, of); err != nil {
			t.Errorf("mode %o: %v", mode, err)
		}
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		sys := st.Sys().(*syscall.Stat_t)
		if st.Mode().Perm() != mode || int(sys.Uid) != uid || int(sys.Gid) != gid {
			t.Errorf("mode %o of %d:%d: it has %o of %d:%d", mode, uid, gid, st.Mode().Perm(), sys.Uid, sys.Gid)
		}
		if err := os.Remove(old); err != nil {
			t.Fatal(err)
		}
	}
}
