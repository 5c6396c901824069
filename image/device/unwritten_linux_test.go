package device

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestUnwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if Unwritten(path) {
		t.Error("a file that does not exist")
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if Unwritten(path) {
		t.Error("while it is open for writing")
	}
	f.Close()
	for range 2 { // the first leaves no lease behind
		if !Unwritten(path) {
			t.Error("after it was closed")
		}
	}
	if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !Unwritten(path) {
		t.Error("while it is open for reading")
	}
}

// TestIdentify: a file made where another was deleted is another one, though it may get the same inode.
func TestIdentify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := Identify(path); !os.IsNotExist(err) {
		t.Error(err)
	}
	var ids []FileID
	for range 2 {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			id, err := Identify(path)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		nextTick(t, path)
	}
	if ids[0] != ids[1] || ids[2] != ids[3] {
		t.Errorf("writing makes it another: %v", ids)
	}
	if ids[0] == ids[2] {
		t.Errorf("two files are one: %v", ids)
	}
}

// nextTick returns once a file that is made is younger than one made before: file systems go by a clock that ticks every
// few milliseconds.
func nextTick(t *testing.T, path string) {
	t.Helper()
	var first time.Time
	for {
		if err := os.WriteFile(path+".tick", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path + ".tick")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path + ".tick"); err != nil {
			t.Fatal(err)
		}
		if first.IsZero() {
			first = info.ModTime()
		} else if info.ModTime().After(first) {
			return
		}
	}
}
