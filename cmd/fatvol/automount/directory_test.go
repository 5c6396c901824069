package automount

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// TestDirectory: mount points can be made and removed, by several at a time, and by nobody else.
func TestDirectory(t *testing.T) {
	d := &directory{filepath.Join(t.TempDir(), "media")}
	if err := d.prepare(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			for range 20 {
				f, err := d.make(name)
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(shut(f), d.remove(name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	f, err := d.make("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := shut(f); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{d.path: modeShut, d.path + "/x": modeUnder} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if got, err := d.idle(func(p string) bool { return false }); err != nil || !slices.Equal(got, []string{d.path + "/x"}) {
		t.Errorf("idle %q, %v", got, err)
	}
	if err := errors.Join(d.remove("x"), d.remove("x")); err != nil {
		t.Error(err)
	}
}
