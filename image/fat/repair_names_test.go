package fat

import (
	"errors"
	"testing"
	"time"

	"fatvol/image/fat/fattest"
)

// A directory may be removed while the repair is about to look into it.
func TestSubdirectoryOfRemoved(t *testing.T) {
	l := fattest.Layout{Width: 12, Clusters: 300}
	mem := fattest.Formatted(t, l)
	v, err := Open(mem, Options{CommitDelay: -time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	outer, err := v.Mkdir(v.Root(), "outer", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Release(1)
	inner, err := v.Mkdir(outer, "inner", 0)
	if err != nil {
		t.Fatal(err)
	}
	first := inner.d.first
	inner.Release(1)
	if err := v.pin(outer); err != nil {
		t.Fatal(err)
	}
	defer v.unpin(outer)
	n, err := v.subdirectory(outer, first)
	if err != nil {
		t.Fatal(err)
	}
	n.Release(1)
	if err := errors.Join(v.Rmdir(outer, "inner"), v.Rmdir(v.Root(), "outer")); err != nil {
		t.Fatal(err)
	}
	if n, err := v.subdirectory(outer, first); !errors.Is(err, errNoWay) {
		t.Errorf("in a directory that was removed: %v, %v", n, err)
	}
}
