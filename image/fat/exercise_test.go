package fat_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

var (
	seed = flag.Uint64("seed", usualSeed, "seed of the exerciser for the first kind of volume; each next one has the next seed")
	ops  = flag.Int("ops", usualOps, "operations of the exerciser for each kind of volume")
)

const (
	usualOps  = 4000
	usualSeed = 1000
)

// opsEach is how many operations each of n kinds of volumes gets where -ops does not say: a million
// in all.
func opsEach(n int) int {
	switch {
	case *ops != usualOps:
		return *ops
	case testing.Short():
		return 1500
	}
	return 1_000_000/n + 1
}

// cell is a kind of volume that the exerciser runs on.
type cell struct {
	fattest.Layout
	opt fat.Options
}

func (c cell) name(i int) string {
	return fmt.Sprintf("%d_FAT%d_%d_%d", i, c.Width, c.SectorSize, c.ClusterSize)
}

// cells are widths × sectors × clusters, with numbers of FATs, roots and options spread over them.
func cells() []cell {
	var cs []cell
	for i, sector := range []int{512, 1024, 2048, 4096} {
		for k, per := range []int{1, 8, 128} {
			fats := 1 + (i+k)%2
			// Few clusters, so that volumes fill up; of FAT32 there can be no fewer.
			cs = append(cs,
				cell{fattest.Layout{Width: 12, Clusters: uint32(60 + 300*i), SectorSize: sector, ClusterSize: sector * per, FATs: fats, RootEntries: 128 << k}, fat.Options{}},
				cell{fattest.Layout{Width: 16, Clusters: 4085 + uint32(k), SectorSize: sector, ClusterSize: sector * per, FATs: 3 - fats}, fat.Options{}},
				cell{fattest.Layout{Width: 32, Clusters: 65525 + uint32(i*k), SectorSize: sector, ClusterSize: sector * per, FATs: fats, RootCluster: uint32(2 + 1000*k), Spare: min(i, per-1)}, fat.Options{}})
		}
	}
	return append(cs,
		cell{fattest.Layout{Width: 12, Clusters: 4084, FATs: 4, Bad: []uint32{2, 3, 100, 4085}}, fat.Options{}},
		cell{fattest.Layout{Width: 16, Clusters: 65524, FATs: 3, Label: "LABEL"}, fat.Options{}},
		cell{fattest.Layout{Width: 32, Clusters: 140000, ClusterSize: 32768, Label: "BIG"}, fat.Options{}}, // files up to 4 GiB - 1
		cell{fattest.Layout{Width: 32, Clusters: 66000, NoFSInfo: true, NoBackup: true}, fat.Options{}},
		cell{fattest.Layout{Width: 12, Clusters: 300}, fat.Options{Sync: true}},
		cell{fattest.Layout{Width: 16, Clusters: 5000}, fat.Options{DirSync: true, Flush: true}},
		cell{fattest.Layout{Width: 32, Clusters: 66000}, fat.Options{Discard: true, StrictAtime: true}},
		cell{fattest.Layout{Width: 16, Clusters: 5000}, fat.Options{CommitDelay: time.Millisecond}},
		cell{fattest.Layout{Width: 32, Clusters: 66000}, fat.Options{CommitDelay: -1, CacheBytes: 1 << 16}})
}

// TestExercise compares the engine with the model, operation by operation. A failure prints what
// leads to it; -run, -seed and -ops repeat it.
func TestExercise(t *testing.T) {
	each := opsEach(len(cells()))
	for i, c := range cells() {
		t.Run(c.name(i), func(t *testing.T) {
			t.Parallel()
			cfg := engineConfig(t, c)
			cfg.Seed, cfg.Ops, cfg.Remount = *seed+uint64(i), each, 2000
			if err := fattest.Exercise(cfg); err != nil {
				t.Errorf("%v\nto repeat: go test -run '%s' -seed %d -ops %d", err, t.Name(), *seed, each)
			}
		})
	}
}

// engineConfig exercises a cell's kind of volume in process.
func engineConfig(t testing.TB, c cell) fattest.Config {
	setDefault := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	l := c.Layout
	setDefault(&l.SectorSize, 512)
	setDefault(&l.ClusterSize, l.SectorSize)
	if l.Width != 32 {
		setDefault(&l.RootEntries, 512)
	}
	dir := t.TempDir()
	return fattest.Config{
		Traits: fattest.Traits{ClusterSize: l.ClusterSize, Clusters: l.Clusters, RootEntries: l.RootEntries},
		New:    func() (fattest.Target, error) { return newEngineTarget(l, c.opt) },
		Deep: func(src fattest.Source) error {
			// fsck.fat knows 1 or 2 FATs, and wants a backup and an FSInfo. The clusters of a file of
			// 4 GiB - 1 are 0 bytes to it.
			if m := src.(*device.Mem); l.FATs <= 2 && !l.NoFSInfo && m.Size() < 4<<30 && m.Allocated() < 64<<20 && rand.IntN(4) == 0 {
				return fsckMem(m, filepath.Join(dir, "volume.img"))
			}
			return nil
		},
		Shrink: 30 * time.Second,
	}
}

// fsckMem has fsck.fat check the volume, which goes to a file at path.
func fsckMem(m *device.Mem, path string) error {
	if out, err := fsckOutput(m, path); err != nil {
		return fmt.Errorf("fsck.fat: %w\n%s", err, out)
	}
	return nil
}

// fsckOutput is what fsck.fat says, where there is one. It goes with an error where it says that something is wrong.
func fsckOutput(m *device.Mem, path string) (string, error) {
	if _, err := exec.LookPath("fsck.fat"); err != nil {
		return "", nil
	}
	if err := m.WriteFile(path); err != nil {
		return "", err
	}
	defer os.Remove(path)
	out, err := exec.Command("fsck.fat", "-n", path).CombinedOutput()
	return string(out), err
}
