package fat

import (
	"fmt"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat/fattest"
)

// busyDevice always has something that is unsynced.
type busyDevice struct{ *device.Mem }

func (busyDevice) Unsynced() int64 { return 1 }

// Files that come and go do not stay in memory, also where something is always unsynced.
func TestRemovedFilesCool(t *testing.T) {
	l := fattest.Layout{Width: 16, Clusters: 5000}
	mem := fattest.Formatted(t, l)
	v, err := Open(busyDevice{mem}, Options{CommitDelay: -time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	const files = 100
	for i := range files {
		name := fmt.Sprint("file ", i)
		n, err := v.Create(v.Root(), name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.WriteAt([]byte("contents"), 0); err != nil {
			t.Fatal(err)
		}
		n.Release(1)
		if i == 0 {
			continue // this one stays, and is unsynced
		}
		if err := v.Unlink(v.Root(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if !v.cool() {
		t.Error("a file that is unsynced is not kept")
	}
	if len(v.hot.nodes) != 1 || len(v.inos) > 2 {
		t.Errorf("%d hot files and %d nodes are kept for one file", len(v.hot.nodes), len(v.inos))
	}
}
