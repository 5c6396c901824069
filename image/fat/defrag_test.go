package fat_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// treeOf is what a volume holds: the digest of each file by its path, and the directories.
func treeOf(t testing.TB, src fattest.Source) (map[string]digest, *fattest.Report) {
	t.Helper()
	r, err := fattest.Check(src)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := digests(r)
	if err != nil {
		t.Fatal(err)
	}
	return tree, r
}

func digests(r *fattest.Report) (map[string]digest, error) {
	tree := map[string]digest{}
	for _, f := range r.Files {
		if f.IsDir {
			tree[f.Path] = digest{size: -1}
			continue
		}
		d, err := digestOf(f)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", f.Path, err)
		}
		tree[f.Path] = d
	}
	return tree, nil
}

func sameTree(got, want map[string]digest) error {
	for path, d := range want {
		if g, ok := got[path]; !ok || g != d {
			return fmt.Errorf("%q is lost or changed", path)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d files and directories, want %d", len(got), len(want))
	}
	return nil
}

// scattered is a volume with files and directories in pieces, some of them nested, that was closed.
func scattered(t testing.TB, l fattest.Layout, files int) *device.Mem {
	t.Helper()
	mem := fattest.Formatted(t, l)
	v, err := fat.Open(mem, fat.Options{CommitDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	scatter(t, v, rand.New(rand.NewPCG(*seed, uint64(l.Width))), files)
	// Directories that grow in turns with files, and hold others.
	a, _, err := v.Lookup(v.Root(), "a directory")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release(1)
	long := "a rather long name, so that there is room for only a few of them in a cluster, number %d"
	for i := range 12 {
		n, err := v.Mkdir(a, fmt.Sprintf(long, i), 0)
		if err != nil {
			t.Fatal(err)
		}
		f, err := v.Create(n, "below.txt", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(fmt.Appendf(nil, "file %d", i), 0); err != nil {
			t.Fatal(err)
		}
		g, err := v.Create(v.Root(), fmt.Sprintf("R%d", i), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.WriteAt(make([]byte, 700), 0); err != nil {
			t.Fatal(err)
		}
		if err := v.Sync(); err != nil {
			t.Fatal(err)
		}
		n.Release(1)
		f.Release(1)
		g.Release(1)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return mem
}

func pieces(r *fattest.Report) (n int) {
	for _, f := range r.Files {
		if len(f.Extents) > 1 {
			n++
		}
	}
	return n
}

var arrangeLayouts = []fattest.Layout{
	{Width: 12, Clusters: 700}, {Width: 12, Clusters: 350, ClusterSize: 1024, FATs: 1},
	{Width: 16, Clusters: 4100}, {Width: 32, Clusters: 65600},
}

// arrangeOptions are those under which files are moved: nothing happens but what is asked for.
var arrangeOptions = fat.Options{CommitDelay: -1, NoAtime: true}

func TestDefrag(t *testing.T) {
	for i, l := range arrangeLayouts {
		for _, pack := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d_FAT%d/pack=%v", i, l.Width, pack), func(t *testing.T) {
				mem := scattered(t, l, 40)
				want, before := treeOf(t, mem)
				v, err := fat.Open(mem, arrangeOptions)
				if err != nil {
					t.Fatal(err)
				}
				dry, err := v.Defrag(context.Background(), fat.DefragOptions{DryRun: true})
				if err != nil {
					t.Fatal(err)
				}
				if v.Pending() {
					t.Error("a dry run has changed something")
				}
				var told int64
				rep, err := v.Defrag(context.Background(), fat.DefragOptions{Pack: pack, Progress: func(n int64) { told += n }})
				if err != nil {
					t.Fatal(err)
				}
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
				check(t, mem)
				got, after := treeOf(t, mem)
				if err := sameTree(got, want); err != nil {
					t.Error(err)
				}
				if n := pieces(before); n == 0 || rep.Before.Fragmented < uint64(n) || dry.Before.Fragmented != rep.Before.Fragmented {
					t.Errorf("%d files in pieces, survey says %d, and %d in the dry run", n, rep.Before.Fragmented, dry.Before.Fragmented)
				}
				if n := pieces(after); n > 0 || rep.After.Fragmented != 0 || rep.Left != 0 {
					t.Errorf("%d files are left in pieces; the report says %d, and %d %q", n, rep.After.Fragmented, rep.Left, rep.LeftPaths)
				}
				if told != rep.Bytes || rep.Bytes == 0 || dry.Bytes == 0 {
					t.Errorf("%d bytes moved, %d by progress, %d expected", rep.Bytes, told, dry.Bytes)
				}
				if pack && rep.After.FreeRuns > 1+rep.Before.FreeRuns/8 {
					t.Errorf("free space is in %d pieces, it was in %d", rep.After.FreeRuns, rep.Before.FreeRuns)
				}
				if rep.After.Free != after.Free || rep.After.Used != rep.Before.Used {
					t.Errorf("%+v, want %d free", rep.After, after.Free)
				}
			})
		}
	}
}

// arrangement is something that moves files about.
type arrangement struct {
	name  string
	moves bool // directories that hold others
	run   func(ctx context.Context, v *fat.Volume) error
}

// arrangements of a volume.
func arrangements(l fattest.Layout) []arrangement {
	return []arrangement{
		{"defrag", false, func(ctx context.Context, v *fat.Volume) error {
			_, err := v.Defrag(ctx, fat.DefragOptions{})
			return err
		}},
		{"pack", false, func(ctx context.Context, v *fat.Volume) error {
			_, err := v.Defrag(ctx, fat.DefragOptions{Pack: true})
			return err
		}},
		{"evacuate the beginning", true, func(ctx context.Context, v *fat.Volume) error {
			return v.Evacuate(ctx, 2, min(90, l.Clusters/4), nil)
		}},
		{"evacuate a little", false, func(ctx context.Context, v *fat.Volume) error {
			return v.Evacuate(ctx, 30, 4, nil)
		}},
	}
}

// TestArrangePowerCut cuts the power at every moment while files are moved: all of them are there,
// whole, under their names.
func TestArrangePowerCut(t *testing.T) {
	for i, l := range arrangeLayouts {
		for _, a := range arrangements(l) {
			t.Run(fmt.Sprintf("%d_FAT%d/%s", i, l.Width, a.name), func(t *testing.T) {
				t.Parallel()
				mem := scattered(t, l, 15)
				want, _ := treeOf(t, mem)
				c := &cutter{base: mem.Clone(), rec: faultdev.NewRecorder(mem)}
				v, err := fat.Open(c.rec, arrangeOptions)
				if err != nil {
					t.Fatal(err)
				}
				if err := a.run(context.Background(), v); err != nil {
					t.Fatal(err)
				}
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
				check(t, mem)
				step := 1
				if l.Width == 32 || testing.Short() {
					step = 1 + c.rec.Len()/100 // a state of this volume takes long to check
				}
				failed := 0
				if err := c.cuts(rand.New(rand.NewPCG(*seed, 3)), step, func(x cut) {
					if failed > 3 {
						return
					}
					r, err := c.checkCut(x)
					if err == nil {
						var got map[string]digest
						if got, err = digests(r); err == nil {
							err = sameTree(got, want)
						}
					}
					if err != nil {
						failed++
						t.Errorf("cut after entry %d of %d, %s: %v", x.at, c.rec.Len(), x.what, err)
					}
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestArrangeFault lets each operation of the device fail once: the error is reported, nothing is
// lost, and with the device working again the volume is closed with nothing worse than lost clusters.
func TestArrangeFault(t *testing.T) {
	for i, l := range arrangeLayouts[:3] {
		for _, a := range arrangements(l) {
			t.Run(fmt.Sprintf("%d_FAT%d/%s", i, l.Width, a.name), func(t *testing.T) {
				t.Parallel()
				base := scattered(t, l, 15)
				want, _ := treeOf(t, base)
				step := int64(1)
				for k := int64(1); ; k += step {
					mem := base.Clone()
					dev := faultdev.New(mem)
					v, err := fat.Open(dev, arrangeOptions)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := v.Stat(); err != nil { // so that nothing reads in the background
						t.Fatal(err)
					}
					dev.Inject(faultdev.FailAt(k, nil))
					err = a.run(context.Background(), v)
					hit := dev.Injected() > 0
					if hit && !errors.Is(err, faultdev.ErrInjected) {
						t.Errorf("operation %d failed, and the result is %v", k, err)
					}
					if err := v.Close(); err != nil {
						if err := v.Close(); err != nil {
							t.Fatalf("operation %d failed; close: %v", k, err)
						}
					}
					got, r := treeOf(t, mem)
					if err := errors.Join(r.DamageErr(), sameTree(got, want)); err != nil {
						t.Errorf("operation %d failed: %v", k, err)
					}
					if !hit {
						break
					}
					if step = 1 + k/40; testing.Short() {
						step *= 4
					}
				}
			})
		}
	}
}

// TestArrangeInterrupted: what is stopped leaves a volume that is whole and clean.
func TestArrangeInterrupted(t *testing.T) {
	l := fattest.Layout{Width: 16, Clusters: 4100}
	base := scattered(t, l, 40)
	want, _ := treeOf(t, base)
	for stop := int64(1); ; stop += 7 {
		mem := base.Clone()
		ctx, cancel := context.WithCancel(context.Background())
		v, err := fat.Open(mem, arrangeOptions)
		if err != nil {
			t.Fatal(err)
		}
		left := stop
		_, err = v.Defrag(ctx, fat.DefragOptions{Pack: true, Progress: func(int64) {
			if left--; left == 0 {
				cancel()
			}
		}})
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		check(t, mem)
		got, _ := treeOf(t, mem)
		if err := sameTree(got, want); err != nil {
			t.Errorf("stopped after %d steps: %v", stop, err)
		}
		if left > 0 {
			return
		}
	}
}
