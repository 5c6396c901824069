package fat_test

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// faultTarget is an engine on a device that fails once it is armed.
type faultTarget struct {
	*engineTarget
	fd   *faultdev.Device
	rule faultdev.Rule
}

func newFaultTarget(l fattest.Layout, opt fat.Options, rule faultdev.Rule) (*faultTarget, error) {
	t, err := newEngineTarget(l, opt)
	if err != nil {
		return nil, err
	}
	if err := t.v.Close(); err != nil {
		return nil, err
	}
	fd := faultdev.New(t.mem)
	t.dev = fd
	return &faultTarget{t, fd, rule}, t.Mount()
}

func (t *faultTarget) Arm() {
	// Nothing goes on in the background that nobody would be told of.
	t.v.Stat()
	t.fd.Reset()
	t.fd.Inject(t.rule)
}
func (t *faultTarget) Injected() int64 { return t.fd.Injected() }
func (t *faultTarget) Heal()           { t.fd.Heal() }

// Names of operations, for short lists.
const (
	excl  = fattest.Create | fattest.Excl
	write = fattest.OpWrite
)

// scenario is something that an application does, and what there is before.
type scenario struct {
	name        string
	before, ops []fattest.Op
}

// tree is what most scenarios begin with; a remount has emptied all caches.
var tree = []fattest.Op{
	{Kind: fattest.OpMkdir, Path: "dir"},
	{Kind: fattest.OpMkdir, Path: "dir/A directory with a long name"},
	{Kind: fattest.OpMkdir, Path: "empty"},
	{Kind: fattest.OpOpen, Path: "dir/file.txt", Slot: 1, Flags: excl},
	{Kind: write, Slot: 1, Len: 3000, Seed: 11},
	{Kind: fattest.OpOpen, Path: "dir/other file with a long name.txt", Slot: 1, Flags: excl},
	{Kind: write, Slot: 1, Len: 1700, Seed: 22},
	{Kind: fattest.OpOpen, Path: "top", Slot: 1, Flags: excl},
	{Kind: write, Slot: 1, Len: 20000, Seed: 33},
	{Kind: fattest.OpRemount},
}

// filled is tree in a volume with directories of many entries.
func filled(n int) []fattest.Op {
	ops := tree[: len(tree)-1 : len(tree)-1]
	for i := range n {
		ops = append(ops, fattest.Op{Kind: fattest.OpOpen, Path: fmt.Sprintf("dir/filler with a long name %d", i), Slot: 2, Flags: excl})
	}
	return append(ops, fattest.Op{Kind: fattest.OpRemount})
}

func scenarios() []scenario {
	sync, fsync := fattest.Op{Kind: fattest.OpSync}, fattest.Op{Kind: fattest.OpFsync, Slot: 1}
	open := func(path string) fattest.Op { return fattest.Op{Kind: fattest.OpOpen, Path: path, Slot: 1} }
	list := func(ops ...fattest.Op) []fattest.Op { return ops }
	return []scenario{
		{"create", tree, list(fattest.Op{Kind: fattest.OpOpen, Path: "dir/new file.txt", Slot: 1, Flags: excl}, fsync)},
		{"create in a directory that grows", filled(20), list(
			fattest.Op{Kind: fattest.OpOpen, Path: "dir/one more with a long name", Slot: 1, Flags: excl},
			fattest.Op{Kind: fattest.OpOpen, Path: "dir/two more with a long name", Slot: 2, Flags: excl}, sync)},
		{"write", tree, list(open("dir/file.txt"), fattest.Op{Kind: write, Slot: 1, Off: 100, Len: 2500, Seed: 5}, fsync)},
		{"write beyond the end", tree, list(open("dir/file.txt"), fattest.Op{Kind: write, Slot: 1, Off: 9000, Len: 2500, Seed: 5}, fsync)},
		{"append", tree, list(fattest.Op{Kind: fattest.OpOpen, Path: "top", Slot: 1, Flags: fattest.Append},
			fattest.Op{Kind: write, Slot: 1, Len: 700, Seed: 6}, fattest.Op{Kind: write, Slot: 1, Len: 7000, Seed: 7}, fsync)},
		{"truncate up", tree, list(open("top"), fattest.Op{Kind: fattest.OpFtruncate, Slot: 1, Len: 30000}, fsync)},
		{"truncate down", tree, list(open("top"), fattest.Op{Kind: fattest.OpFtruncate, Slot: 1, Len: 700}, fsync)},
		{"truncate to nothing and write", tree, list(open("top"), fattest.Op{Kind: fattest.OpFtruncate, Slot: 1},
			fattest.Op{Kind: write, Slot: 1, Len: 5000, Seed: 8}, fsync)},
		{"allocate, zero, punch, copy", tree, list(open("top"),
			fattest.Op{Kind: fattest.OpAllocate, Slot: 1, Off: 20000, Len: 5000, Flags: fattest.KeepSize},
			fattest.Op{Kind: fattest.OpZero, Slot: 1, Off: 19000, Len: 3000},
			fattest.Op{Kind: fattest.OpPunch, Slot: 1, Off: 100, Len: 3000},
			fattest.Op{Kind: fattest.OpCopy, Slot: 1, Slot2: 1, Off: 5000, Off2: 21000, Len: 4000}, fsync)},
		{"mkdir", tree, list(fattest.Op{Kind: fattest.OpMkdir, Path: "dir/another"}, fattest.Op{Kind: fattest.OpMkdir, Path: "dir/another/below"}, sync)},
		{"rmdir", tree, list(fattest.Op{Kind: fattest.OpRmdir, Path: "dir/A directory with a long name"}, sync)},
		{"rename", tree, list(fattest.Op{Kind: fattest.OpRename, Path: "dir/file.txt", To: "dir/a new and long name.txt"}, sync)},
		{"rename to another directory", tree, list(fattest.Op{Kind: fattest.OpRename, Path: "dir/A directory with a long name", To: "empty/moved"}, sync)},
		{"rename over", tree, list(fattest.Op{Kind: fattest.OpRename, Path: "top", To: "dir/other file with a long name.txt"}, sync)},
		{"rename over a directory", tree, list(fattest.Op{Kind: fattest.OpRename, Path: "dir", To: "empty"}, sync)},
		{"exchange", tree, list(fattest.Op{Kind: fattest.OpRename, Path: "top", To: "dir/file.txt", Flags: fattest.Exchange}, sync)},
		{"change the case of a name", tree, list(fattest.Op{Kind: fattest.OpRename, Path: "dir/file.txt", To: "dir/File.TXT"}, sync)},
		{"unlink", tree, list(fattest.Op{Kind: fattest.OpUnlink, Path: "top"}, sync)},
		{"unlink an open file", tree, list(open("top"), fattest.Op{Kind: fattest.OpUnlink, Path: "top"},
			fattest.Op{Kind: fattest.OpRead, Slot: 1, Len: 4000}, fattest.Op{Kind: fattest.OpClose, Slot: 1}, sync)},
		{"unlink and use again", tree, list(fattest.Op{Kind: fattest.OpUnlink, Path: "top"}, sync,
			fattest.Op{Kind: fattest.OpOpen, Path: "top", Slot: 1, Flags: excl}, fattest.Op{Kind: write, Slot: 1, Len: 15000, Seed: 9}, fsync)},
		{"save as editors do", tree, list(fattest.Op{Kind: fattest.OpOpen, Path: "dir/.file.txt.swp", Slot: 1, Flags: excl},
			fattest.Op{Kind: write, Slot: 1, Len: 3500, Seed: 10}, fsync, fattest.Op{Kind: fattest.OpClose, Slot: 1},
			fattest.Op{Kind: fattest.OpRename, Path: "dir/.file.txt.swp", To: "dir/file.txt"}, sync)},
		{"times and attributes", tree, list(fattest.Op{Kind: fattest.OpTimes, Path: "dir/file.txt", Off: 1600000000, Off2: 1600000000},
			fattest.Op{Kind: fattest.OpAttr, Path: "top", Flags: 3}, sync)},
		{"readdir", filled(60), list(fattest.Op{Kind: fattest.OpList, Path: "dir"})},
		{"readdir in parts", filled(60), list(fattest.Op{Kind: fattest.OpDirOpen, Path: "dir", Slot: 1},
			fattest.Op{Kind: fattest.OpDirRead, Slot: 1, Len: 10}, fattest.Op{Kind: fattest.OpDirRead, Slot: 1, Len: 10}, fattest.Op{Kind: fattest.OpDirRead, Slot: 1, Len: 100})},
		{"lookup", tree, list(fattest.Op{Kind: fattest.OpStat, Path: "dir/FILE.TXT"}, fattest.Op{Kind: fattest.OpStat, Path: "dir/missing"},
			fattest.Op{Kind: fattest.OpStat, Path: "dir/A directory with a long name/missing"})},
		{"read", tree, list(open("top"), fattest.Op{Kind: fattest.OpRead, Slot: 1, Len: 20000})},
	}
}

var faultLayouts = []fattest.Layout{
	{Width: 12, Clusters: 300},
	{Width: 16, Clusters: 4100, ClusterSize: 2048, FATs: 1},
	{Width: 32, Clusters: 65600},
}

// TestFaults fails each operation on the device in turn: once, in the middle or after its effect, and
// from there on until the device works again.
func TestFaults(t *testing.T) {
	kinds := []struct {
		name string
		rule faultdev.Rule
	}{
		{"once", faultdev.Rule{Count: 1}},
		{"torn", faultdev.Rule{Count: 1, Effect: faultdev.Torn, Sectors: 1}},
		{"done", faultdev.Rule{Count: 1, Effect: faultdev.Full}},
		{"for good", faultdev.Rule{}},
	}
	before := runtime.NumGoroutine()
	t.Run("all", func(t *testing.T) {
		for i, l := range faultLayouts {
			for k, s := range scenarios() {
				kinds := kinds
				if testing.Short() { // they take turns
					kinds = kinds[(i+k)%len(kinds):][:1]
				}
				for _, kind := range kinds {
					t.Run(fmt.Sprintf("FAT%d/%s/%s", l.Width, s.name, kind.name), func(t *testing.T) {
						t.Parallel()
						failEach(t, l, s, kind.rule)
					})
				}
			}
		}
	})
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}

func failEach(t *testing.T, l fattest.Layout, s scenario, rule faultdev.Rule) {
	cfg := engineConfig(t, cell{l, fat.Options{CommitDelay: -1}})
	cfg.Deep = nil
	for k := int64(1); ; k++ {
		rule.From = k
		cfg.New = func() (fattest.Target, error) { return newFaultTarget(l, fat.Options{CommitDelay: -1}, rule) }
		injected, noticed, err := fattest.ReplayFaulty(cfg, s.before, s.ops)
		if err != nil {
			t.Fatalf("device operation %d fails: %v", k, err)
		}
		if injected == 0 {
			if k == 1 {
				t.Fatal("nothing uses the device")
			}
			return
		}
		if !noticed {
			t.Errorf("device operation %d fails and nobody is told", k)
		}
	}
}

// randomFaults is a target whose device fails at random, but at the same places of the same
// operation, whatever comes before: so lists of operations that fail can be made shorter.
type randomFaults struct {
	*faultTarget
	state atomic.Uint64
	seed  uint64
}

func newRandomFaults(c cell, seed uint64) (fattest.Target, error) {
	t := &randomFaults{seed: seed}
	var err error
	t.faultTarget, err = newFaultTarget(c.Layout, c.opt, faultdev.Rule{Match: func(faultdev.Op) bool {
		x := t.state.Add(0x9e3779b97f4a7c15)
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return (x^x>>31)%150 == 0
	}})
	if err == nil {
		t.Arm()
	}
	return t, err
}

func (t *randomFaults) Do(op fattest.Op) fattest.Result {
	h := fnv.New64a()
	fmt.Fprint(h, t.seed, op)
	t.state.Store(h.Sum64())
	return t.faultTarget.Do(op)
}

// TestExerciseFaults is TestExercise on devices that fail at random.
func TestExerciseFaults(t *testing.T) {
	for i, c := range cells() {
		if c.opt.Sync || c.opt.DirSync || c.opt.Flush {
			continue // what a call has done stays done when its sync fails
		}
		t.Run(c.name(i), func(t *testing.T) {
			t.Parallel()
			cfg := engineConfig(t, c)
			cfg.Seed, cfg.Ops, cfg.Remount = *seed+uint64(i), *ops/4, 250
			cfg.New = func() (fattest.Target, error) {
				return newRandomFaults(c, cfg.Seed)
			}
			if err := fattest.Exercise(cfg); err != nil {
				t.Errorf("%v\nto repeat: go test -run '%s' -seed %d -ops %d", err, t.Name(), *seed, *ops)
			}
		})
	}
}
