package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMakePrivate: a directory of ours is made ours alone, and what another has put in its place is refused.
func TestMakePrivate(t *testing.T) {
	base := t.TempDir()
	for _, c := range []struct {
		name string
		make func(dir string) error
		ok   bool
	}{
		{"absent", func(string) error { return nil }, true},
		{"open to readers", func(dir string) error { return os.Mkdir(dir, 0o755) }, true},
		{"open to writers", func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chmod(dir, 0o770)
		}, false},
		{"symlink to a directory", func(dir string) error { return os.Symlink(base, dir) }, false},
		{"symlink to nothing", func(dir string) error { return os.Symlink(filepath.Join(base, "none"), dir) }, false},
		{"file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, false},
		{"another user's", func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			if os.Geteuid() != 0 {
				return os.Symlink("/", dir+" ") // only root can make one
			}
			return os.Chown(dir, 12345, 12345)
		}, os.Geteuid() != 0},
	} {
		dir := filepath.Join(base, c.name)
		if err := c.make(dir); err != nil {
			t.Fatal(err)
		}
		err := makePrivate(dir)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if st, serr := os.Lstat(dir); c.ok && (serr != nil || st.Mode() != os.ModeDir|0o700) {
			t.Errorf("%s: %v %v", c.name, st, serr)
		}
	}
}
