package fat_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestOrphan closes volumes of whose device nothing can be read any more: everything that was done is
// there all the same, and nothing worse is left behind than after a cut.
func TestOrphan(t *testing.T) {
	for _, l := range append(faultLayouts, fattest.Layout{Width: 32, Clusters: 65600, ClusterSize: 512, FATs: 2}) {
		for i, s := range append(scenarios(), append(far(l), scenarios()...)...) {
			cache, name := int64(0), s.name
			if i >= len(scenarios())+len(far(l)) {
				cache, name = 1, name+", directories evicted"
			}
			t.Run(fmt.Sprintf("FAT%d in %d/%s", l.Width, l.FATs, name), func(t *testing.T) {
				t.Parallel()
				opt := fat.Options{CommitDelay: -1, CacheBytes: cache}
				whole, err := newFaultTarget(l, opt, faultdev.Rule{})
				if err != nil {
					t.Fatal(err)
				}
				orphan, err := newFaultTarget(l, opt, faultdev.Rule{Kinds: faultdev.Of(faultdev.Read)})
				if err != nil {
					t.Fatal(err)
				}
				for _, target := range []*faultTarget{whole, orphan} {
					for _, op := range append(s.before[:len(s.before):len(s.before)], s.ops...) {
						switch op.Kind {
						case fattest.OpSync, fattest.OpFsync:
						case fattest.OpRemount: // nothing is in memory then
							if _, err := target.Unmount(); err != nil {
								t.Fatal(err)
							}
							if err := target.Mount(); err != nil {
								t.Fatal(err)
							}
						default:
							target.Do(op) // some are meant to fail
						}
					}
				}
				orphan.v.Stat() // the count of free clusters is complete, and reads no more
				orphan.v.DropCachedFAT()
				orphan.fd.Inject(orphan.rule)
				orphan.v.Orphan()
				for _, target := range []*faultTarget{whole, orphan} {
					if err := target.v.Close(); err != nil && !errors.Is(err, fat.ErrNotClean) {
						t.Fatal(err)
					}
				}
				want, err := fattest.Check(whole.mem)
				if err != nil {
					t.Fatal(err)
				}
				got, err := fattest.Check(orphan.mem)
				if err != nil {
					t.Fatal(err)
				}
				if err := got.DamageErr(); err != nil {
					t.Error(err)
				}
				sameFiles(t, want, got)
			})
		}
	}
}

// sameFiles compares names and contents.
func sameFiles(t *testing.T, want, got *fattest.Report) {
	t.Helper()
	if len(got.Files) != len(want.Files) {
		t.Errorf("%d files and directories, want %d", len(got.Files), len(want.Files))
	}
	for _, w := range want.Files {
		g := got.Find(w.Path)
		if g == nil {
			t.Errorf("%s is missing", w.Path)
			continue
		}
		a, aerr := w.Contents()
		b, berr := g.Contents()
		if aerr != nil || berr != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %d bytes, want %d: %v, %v", w.Path, len(b), len(a), berr, aerr)
		}
	}
}

// far are scenarios about files whose clusters are in a part of the FAT that nothing else has read.
func far(l fattest.Layout) []scenario {
	if l.Width != 32 {
		return nil
	}
	const pageEntries = 8192 / 4
	before := []fattest.Op{
		{Kind: fattest.OpOpen, Path: "filler", Slot: 1, Flags: excl},
		{Kind: write, Slot: 1, Len: 2 * pageEntries * 512, Seed: 1},
		{Kind: fattest.OpOpen, Path: "far", Slot: 1, Flags: excl},
		{Kind: write, Slot: 1, Len: 20000, Seed: 2},
		{Kind: fattest.OpRemount},
	}
	near := fattest.Op{Kind: fattest.OpOpen, Path: "near", Slot: 1, Flags: excl}
	return []scenario{
		{"unlink far away", before, []fattest.Op{near, {Kind: fattest.OpUnlink, Path: "far"}}},
		{"rename over what is far away", before, []fattest.Op{near, {Kind: fattest.OpRename, Path: "near", To: "far"}}},
		{"truncate what is far away", before, []fattest.Op{near, {Kind: fattest.OpOpen, Path: "far", Slot: 2}, {Kind: fattest.OpFtruncate, Slot: 2}}},
	}
}
