package fat_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
	"fatvol/image/replay"
)

// TestRenamedElsewhere: renames leave the FAT and the free count as they are. Where something else makes some while the
// medium is away, in a directory that was evicted, the files that are open from there are not written into its entries as
// if they were the old ones.
func TestRenamedElsewhere(t *testing.T) { synctest.Test(t, renamedElsewhere) }

func renamedElsewhere(t *testing.T) {
	mem := fattest.Formatted(t, fattest.Layout{Width: 32, Clusters: 70000})
	log := replay.New(mem, 0)
	defer log.Close()
	opt := fat.Options{CacheBytes: 1, Log: slog.New(slog.DiscardHandler)}
	v, err := fat.Open(log, opt)
	if err != nil {
		t.Fatal(err)
	}
	dir := func(name string) *fat.Node {
		t.Helper()
		n, err := v.Mkdir(v.Root(), name, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	create := func(dir *fat.Node, name string) *fat.Handle {
		t.Helper()
		n, err := v.Create(dir, name, 0)
		if err != nil {
			t.Fatal(err)
		}
		h, err := n.Open()
		if err == nil {
			_, err = h.WriteAt(bytes.Repeat([]byte(name), 3), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	d := dir("D")
	open := create(d, "a")
	create(d, "b").Close()
	for i := range 40 {
		create(dir(fmt.Sprint("other ", i)), "x").Close()
	}
	time.Sleep(time.Minute)
	if v.Pending() || log.Unsynced() > 0 {
		t.Fatal("not everything is written")
	}

	elsewhere, err := fat.Open(mem, opt)
	if err != nil {
		t.Fatal(err)
	}
	there, _, err := elsewhere.Lookup(elsewhere.Root(), "D")
	if err == nil {
		err = errors.Join(elsewhere.Rename(there, "a", there, "c", 0), elsewhere.Rename(there, "b", there, "a", 0), elsewhere.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Verify(mem); err != nil {
		t.Fatalf("the directory was not evicted: %v", err) // then it is noticed here
	}
	_, _ = open.WriteAt([]byte("much longer than it was"), 0)
	time.Sleep(time.Minute)
	open.Close()
	_ = v.Close()

	r, err := fattest.Check(mem)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.DamageErr(); err != nil {
		t.Error(err)
	}
	for _, f := range r.Findings {
		if f.Kind == fattest.DoubleName {
			t.Error(f)
		}
	}
	got, err := r.Find("D/a").Contents()
	if err != nil || string(got) != "bbb" {
		t.Errorf("the file that was renamed elsewhere has %q (%v)", got, err)
	}
}
