package fat_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// scatter fills a volume with files in pieces: they grow in turns, and some go again.
func scatter(t testing.TB, v *fat.Volume, rng *rand.Rand, files int) {
	t.Helper()
	dirs := []*fat.Node{v.Root()}
	for _, name := range []string{"A directory", "B"} {
		n, err := v.Mkdir(dirs[len(dirs)-1], name, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Release(1)
		dirs = append(dirs, n)
	}
	cluster := v.Geometry().ClusterSize
	var nodes []*fat.Node
	for i := range files {
		n, err := v.Create(dirs[i%len(dirs)], fmt.Sprintf("file number %d.data", i), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Release(1)
		nodes = append(nodes, n)
	}
	for round := range 6 {
		for i, n := range nodes {
			if (i+round)%4 == 0 {
				continue
			}
			data := make([]byte, 1+rng.IntN(2*cluster))
			for k := range data {
				data[k] = byte(rng.Uint32())
			}
			if _, _, err := n.Append(data); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < files; i += 5 {
		if err := v.Unlink(dirs[i%len(dirs)], fmt.Sprintf("file number %d.data", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestExtents compares the extents of files, and the runs of the FAT, with what the checker sees.
func TestExtents(t *testing.T) {
	for _, l := range layouts {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			v, mem := open(t, l, fat.Options{CommitDelay: -1})
			scatter(t, v, rand.New(rand.NewPCG(1, uint64(l.Width))), 40)
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := fattest.Check(mem)
			if err != nil {
				t.Fatal(err)
			}
			v, err = fat.Open(mem, fat.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			pieces, ends := 0, 0
			for _, f := range r.Files {
				n, err := walk(v, f.Path)
				if err != nil {
					t.Fatal(err)
				}
				var got []fattest.Extent
				at := int64(0)
				if err := n.Extents(func(e fat.Extent) error {
					if e.At != at || e.Off != r.Volume.DataStart+int64(e.Cluster-2)*int64(r.Volume.ClusterSize) || e.Len != int64(e.Count)*int64(r.Volume.ClusterSize) {
						t.Errorf("%s: %+v at offset %d", f.Path, e, at)
					}
					at += e.Len
					got = append(got, fattest.Extent{Start: uint32(e.Cluster), Count: e.Count})
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(got) != fmt.Sprint(f.Extents) {
					t.Errorf("%s: extents %v, want %v", f.Path, got, f.Extents)
				}
				pieces += len(got)
				ends += min(1, len(got))
				release(n)
			}
			if pieces <= ends {
				t.Fatalf("%d pieces of %d files: nothing is in pieces", pieces, ends)
			}
			if l.Width == 32 { // the root has a chain as well
				if err := v.Root().Extents(func(fat.Extent) error { pieces++; return nil }); err != nil {
					t.Fatal(err)
				}
				ends++
			}
			geo := v.Geometry()
			next := fat.Cluster(2)
			var free uint32
			if err := fat.ScanTable(mem, &geo, func(run fat.Run) error {
				if run.Start != next || run.Count == 0 {
					return fmt.Errorf("%+v after cluster %d", run, next-1)
				}
				next += fat.Cluster(run.Count)
				switch {
				case run.State == fat.RunFree:
					free += run.Count
				case run.State == fat.RunUsed && run.End:
					ends--
				}
				if run.State == fat.RunUsed {
					pieces--
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if uint32(next) != l.Clusters+2 || free != r.Free || pieces != 0 || ends != 0 {
				t.Errorf("runs up to %d, %d free, %d pieces and %d ends too few; the volume has %d clusters, %d free",
					next, free, pieces, ends, l.Clusters, r.Free)
			}
		})
	}
}

// TestExtentsOfDamage: what is there of a damaged chain, and then the damage.
func TestExtentsOfDamage(t *testing.T) {
	l := fattest.Layout{Width: 16, Clusters: 5000}
	size, err := fattest.VolumeSize(l)
	if err != nil {
		t.Fatal(err)
	}
	for name, next := range map[string]uint16{"loop": 10, "free": 0x20, "out of range": 6000, "one": 1} {
		mem := device.NewMem(size)
		if err := fattest.Format(mem, l); err != nil {
			t.Fatal(err)
		}
		v, err := fat.Open(mem, fat.Options{CommitDelay: -1})
		if err != nil {
			t.Fatal(err)
		}
		n, err := v.Create(v.Root(), "F", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.WriteAt(make([]byte, 20*512), 0); err != nil {
			t.Fatal(err)
		}
		n.Release(1)
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		geo := v.Geometry()
		if _, err := mem.WriteAt([]byte{byte(next), byte(next >> 8)}, geo.FATStart+15*2); err != nil {
			t.Fatal(err)
		}
		if v, err = fat.Open(mem, fat.Options{ReadOnly: true, Errors: fat.ErrorsContinue}); err != nil {
			t.Fatal(err)
		}
		if n, _, err = v.Lookup(v.Root(), "F"); err != nil {
			t.Fatal(err)
		}
		var total uint32
		err = n.Extents(func(e fat.Extent) error { total += e.Count; return nil })
		if !errors.Is(err, fat.ErrCorrupt) || total != 14 {
			t.Errorf("%s: %d clusters and %v, want 14 and damage", name, total, err)
		}
		n.Release(1)
		v.Close()
	}
}
