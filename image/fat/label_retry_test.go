package fat_test

import (
	"sync"
	"testing"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestLabelBesideFailedCommit: the boot sector that marks the volume dirty could not be written, and is to be written again.
// A label that is set meanwhile must not go with that.
func TestLabelBesideFailedCommit(t *testing.T) {
	for name, f := range map[string]fattest.Layout{"FAT16": cutLayouts[1], "FAT32": cutLayouts[2]} {
		t.Run(name, func(t *testing.T) {
			m := fattest.Formatted(t, f)
			fd := faultdev.New(m)
			v, err := fat.Open(fd, fat.Options{CommitDelay: -1})
			if err != nil {
				t.Fatal(err)
			}
			n, err := v.Mkdir(v.Root(), "dir", 0)
			if err != nil {
				t.Fatal(err)
			}
			n.Release(1)
			fd.Inject(faultdev.FailFrom(1, nil))
			if err := v.Sync(); err == nil {
				t.Fatal("the commit did not fail")
			}
			fd.Heal()
			if err := v.SetLabel("AFTERWARDS"); err != nil {
				t.Fatal(err)
			}
			// A cut now: what is there is what is durable.
			left, err := fat.Open(m.Clone(), fat.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer left.Close()
			if g := left.Geometry(); string(g.Label[:]) != "AFTERWARDS " {
				t.Errorf("the boot sector has the label %q", g.Label)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			check(t, m)
		})
	}
}

// TestGeometryBesideChanges is for the race detector.
func TestGeometryBesideChanges(t *testing.T) {
	m := fattest.Formatted(t, cutLayouts[1])
	v, err := fat.Open(m, fat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var others sync.WaitGroup
	others.Go(func() {
		for range 100 {
			v.Geometry()
		}
	})
	if err := v.SetLabel("LABEL"); err != nil {
		t.Error(err)
	}
	others.Wait()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if g := v.Geometry(); string(g.Label[:]) != "LABEL      " {
		t.Errorf("label %q", g.Label)
	}
}
