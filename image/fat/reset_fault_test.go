package fat_test

import (
	"errors"
	"testing"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestResetFails: the medium goes again while it is taken up as one that was changed elsewhere, at each read. What is known
// of the volume must be as good as before: what comes back next may be what it knows.
func TestResetFails(t *testing.T) {
	for name, l := range map[string]fattest.Layout{"FAT12": cutLayouts[0], "FAT16": cutLayouts[1], "FAT32": cutLayouts[2]} {
		t.Run(name, func(t *testing.T) {
			m := fattest.Formatted(t, l)
			v, err := fat.Open(m, fat.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := v.Mkdir(v.Root(), "dir", 0); err != nil {
				t.Fatal(err)
			} else {
				n.Release(1)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			if v, err = fat.Open(m, fat.Options{}); err != nil {
				t.Fatal(err)
			}
			n, _, err := v.Lookup(v.Root(), "dir")
			if err != nil {
				t.Fatal(err)
			}
			for k := int64(1); ; k++ {
				fd := faultdev.New(m)
				fd.Inject(faultdev.FailAt(k, nil))
				err := v.Reset(fd)
				if err == nil && fd.Injected() == 0 {
					if k < 2 {
						t.Error("nothing was read")
					}
					break
				}
				if !errors.Is(err, faultdev.ErrInjected) {
					t.Fatalf("operation %d failed: %v", k, err)
				}
				if _, err := n.Attr(); err != nil {
					t.Fatalf("after a reset that failed at operation %d: %v", k, err)
				}
				again, _, err := v.Lookup(v.Root(), "dir")
				if err != nil || again != n {
					t.Fatalf("after a reset that failed at operation %d: %v, another node: %v", k, err, again != n)
				}
				again.Release(1)
				if _, err := v.Stat(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := n.Attr(); !errors.Is(err, fat.ErrStale) {
				t.Errorf("after the reset: %v", err)
			}
			n.Release(1)
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			check(t, m)
		})
	}
}
