package integration

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"fatvol/image/fat/fattest"
)

var (
	modelSeed = flag.Uint64("seed", 5000, "seed of the exerciser for the first kind of volume; each next one has the next seed")
	modelOps  = flag.Int("ops", 0, "operations of the exerciser for each kind of volume; 0 is the usual number")
)

// modelVolume is a kind of volume that the exerciser runs on, and how it is mounted.
type modelVolume struct {
	fattest.Layout
	opts []string
}

func (v modelVolume) name(i int) string {
	return fmt.Sprintf("%d_FAT%d_%d_%d", i, v.Width, v.SectorSize, v.ClusterSize)
}

// modelVolumes are the widths with the smallest, usual and largest sectors and clusters, numbers of FATs
// and options that change how things are written spread over them.
func modelVolumes() []modelVolume {
	return []modelVolume{
		{fattest.Layout{Width: 12, Clusters: 60, SectorSize: 512, ClusterSize: 512, FATs: 1, RootEntries: 128}, nil},
		{fattest.Layout{Width: 12, Clusters: 4084, SectorSize: 512, ClusterSize: 4096, FATs: 2, RootEntries: 512}, nil},
		{fattest.Layout{Width: 12, Clusters: 900, SectorSize: 4096, ClusterSize: 65536, FATs: 2, RootEntries: 256}, nil},
		{fattest.Layout{Width: 16, Clusters: 4085, SectorSize: 512, ClusterSize: 512, FATs: 2, RootEntries: 512, Bad: []uint32{2, 3, 100}}, nil},
		{fattest.Layout{Width: 16, Clusters: 65524, SectorSize: 1024, ClusterSize: 2048, FATs: 1, RootEntries: 512}, nil},
		{fattest.Layout{Width: 16, Clusters: 4100, SectorSize: 4096, ClusterSize: 65536, FATs: 2, RootEntries: 1024}, []string{"flush"}},
		{fattest.Layout{Width: 32, Clusters: 65525, SectorSize: 512, ClusterSize: 512, FATs: 2}, nil},
		{fattest.Layout{Width: 32, Clusters: 66000, SectorSize: 2048, ClusterSize: 16384, FATs: 2, RootCluster: 1000}, nil},
		{fattest.Layout{Width: 32, Clusters: 66000, SectorSize: 4096, ClusterSize: 4096, FATs: 1}, []string{"discard"}},
		{fattest.Layout{Width: 32, Clusters: 140000, SectorSize: 512, ClusterSize: 32768, FATs: 2, Label: "BIG"}, nil}, // files up to 4 GiB - 1
	}
}

// modelTotal is how many operations all kinds of volumes get together.
const modelTotal = 150_000

func modelEach(volumes int) int {
	switch {
	case *modelOps > 0:
		return *modelOps
	case testing.Short() || raceEnabled:
		return 1500
	}
	return modelTotal / volumes
}

// TestModel compares a mount with the model of a FAT volume, system call by system call: what each gives,
// its errno included, and every few thousand of them what is on the volume. The same exerciser runs in
// process in image/fat, which sees the engine alone; here the kernel's caches have their say, and the
// daemon's idea of them. A failure prints what leads to it; -run, -seed and -ops repeat it.
func TestModel(t *testing.T) {
	needFUSE(t)
	needRoot(t) // files that are read-only can be written by root alone
	need(t, "fsck.fat")
	binary(t)
	volumes := modelVolumes()
	each := modelEach(len(volumes))
	for i, v := range volumes {
		t.Run(v.name(i), func(t *testing.T) {
			t.Parallel()
			cfg := modelConfig(t, v)
			cfg.Seed, cfg.Ops = *modelSeed+uint64(i), each
			if err := fattest.Exercise(cfg); err != nil {
				t.Errorf("%v\nto repeat: go test ./integration -run '%s' -seed %d -ops %d", err, t.Name(), *modelSeed, each)
			}
		})
	}
}

// modelConfig exercises a mount of such a volume.
func modelConfig(t testing.TB, v modelVolume) fattest.Config {
	return fattest.Config{
		Remount: 2500,
		Traits: fattest.Traits{ClusterSize: v.ClusterSize, Clusters: v.Clusters, RootEntries: v.RootEntries,
			NoRespell: true, LateClose: true, LateReads: true, DirectWhole: true, NoDots: true},
		New: func() (fattest.Target, error) {
			return newMountTarget(t, v.Layout, append([]string{"tz=UTC"}, v.opts...)...)
		},
		Deep: func(src fattest.Source) error {
			f := src.(imageSource)
			defer f.Close()
			if f.size >= 4<<30 {
				return nil // the clusters of a file of 4 GiB - 1 are 0 bytes to fsck.fat
			}
			return fsckFindsNothing(f.Name())
		},
		Shrink: 30 * time.Second,
	}
}

// fsckFindsNothing is fsck for goroutines that must not end the test.
func fsckFindsNothing(img string) error {
	if out, err := exec.Command("fsck.fat", "-n", img).CombinedOutput(); err != nil {
		return fmt.Errorf("fsck.fat: %w\n%s", err, out)
	}
	return nil
}

// lossyTarget is a mount on which every write across a multiple of 512 loses its last byte.
type lossyTarget struct{ fattest.Target }

func (l lossyTarget) Do(op fattest.Op) fattest.Result {
	if op.Kind == fattest.OpWrite && op.Len > 1 && (op.Off+op.Len-1)%512 == 0 {
		op.Len--
		res := l.Target.Do(op)
		if res.N == op.Len {
			res.N++
		}
		return res
	}
	return l.Target.Do(op)
}

// TestModelFindsFault: what goes wrong on a mount is found, and shrunk to what leads there.
func TestModelFindsFault(t *testing.T) {
	needFUSE(t)
	needRoot(t)
	cfg := modelConfig(t, modelVolumes()[1])
	cfg.Seed, cfg.Ops, cfg.Remount, cfg.Shrink = 1, 5000, 0, 5*time.Second
	mount := cfg.New
	cfg.New = func() (fattest.Target, error) {
		target, err := mount()
		return lossyTarget{target}, err
	}
	var failure *fattest.Failure
	if err := fattest.Exercise(cfg); !errors.As(err, &failure) {
		t.Fatalf("a mount that loses bytes is taken for a good one: %v", err)
	}
	t.Logf("%d operations, shrunk to %d: %.200v", failure.From, len(failure.Ops), failure.Err)
	if err := fattest.Replay(cfg, failure.Ops); err == nil {
		t.Error("what was shrunk does not fail")
	}
}
