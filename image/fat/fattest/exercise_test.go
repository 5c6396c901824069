package fattest

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

// broken is a model with a fault.
type broken struct {
	*ModelTarget
	before func(t *ModelTarget, op Op) Op
	after  func(t *ModelTarget, op Op, res Result) Result
}

func (b *broken) Do(op Op) Result {
	if b.before != nil {
		op = b.before(b.ModelTarget, op)
	}
	res := b.ModelTarget.Do(op)
	if b.after != nil && res.Err == 0 {
		res = b.after(b.ModelTarget, op, res)
	}
	return res
}

func smallTraits() Traits { return Traits{ClusterSize: 512, Clusters: 3000, RootEntries: 512} }

// TestExerciseModel runs the model against itself.
func TestExerciseModel(t *testing.T) {
	for seed := range uint64(6) {
		for _, traits := range []Traits{smallTraits(), {ClusterSize: 32768, Clusters: 140000}, {ClusterSize: 4096, Clusters: 100, RootEntries: 16}} {
			err := Exercise(Config{Seed: seed, Ops: 3000, Remount: 1000, Traits: traits,
				New: func() (Target, error) { return NewModelTarget(traits), nil }})
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// TestExerciseVariety: the random operations reach what they are there for.
func TestExerciseVariety(t *testing.T) {
	seen, failed := map[OpKind]int{}, map[syscall.Errno]int{}
	traits := smallTraits()
	watch := func(_ *ModelTarget, op Op, res Result) Result { seen[op.Kind]++; return res }
	for seed := range uint64(5) {
		err := Exercise(Config{Seed: seed, Ops: 5000, Traits: traits, New: func() (Target, error) {
			return &counting{&broken{ModelTarget: NewModelTarget(traits), after: watch}, failed}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for k := OpOpen; k < OpRemount; k++ {
		if seen[k] < 20 {
			t.Errorf("%v succeeds %d times in 25000 operations", k, seen[k])
		}
	}
	for _, e := range []syscall.Errno{syscall.ENOENT, syscall.EEXIST, syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY,
		syscall.ENOSPC, syscall.EFBIG, syscall.EINVAL, syscall.ENAMETOOLONG} {
		if failed[e] < 10 {
			t.Errorf("%v is given %d times in 25000 operations", e, failed[e])
		}
	}
}

type counting struct {
	*broken
	failed map[syscall.Errno]int
}

func (c *counting) Do(op Op) Result {
	res := c.broken.Do(op)
	c.failed[res.Err]++
	return res
}

// faults are ways in which a file system goes wrong, each of which the exerciser must find.
var faults = []struct {
	name   string
	before func(t *ModelTarget, op Op) Op
	after  func(t *ModelTarget, op Op, res Result) Result
}{
	{"truncating leaves stale bytes to show when the file grows", nil, nil},
	{"names match by case", func(t *ModelTarget, op Op) Op {
		if _, _, n, _ := t.Model.find(op.Path); op.Kind == OpStat && n != nil && n.parent != nil && n.path() != op.Path {
			op.Path = "not there"
		}
		return op
	}, nil},
	{"rename over an open file loses its data", nil, func(t *ModelTarget, op Op, res Result) Result {
		for _, h := range t.Model.slots {
			if op.Kind == OpRename && h.n.parent == nil {
				h.n.data.zero(0, h.n.size)
			}
		}
		return res
	}},
	{"write of the last byte beyond a cluster is lost", func(t *ModelTarget, op Op) Op {
		if op.Kind == OpWrite && op.Len > 1 && (op.Off+op.Len)%512 == 1 {
			op.Len--
		}
		return op
	}, func(t *ModelTarget, op Op, res Result) Result {
		if op.Kind == OpWrite && (op.Off+op.Len)%512 == 0 {
			res.N++
		}
		return res
	}},
	{"append writes at the offset", func(t *ModelTarget, op Op) Op {
		if h := t.Model.slots[op.Slot]; op.Kind == OpWrite && h != nil {
			h.append = false
		}
		return op
	}, nil},
	{"sizes wrap at 4 GiB", func(t *ModelTarget, op Op) Op {
		if op.Kind == OpFtruncate && op.Len > maxFile {
			op.Len &= maxFile
		}
		return op
	}, nil},
	{"listing leaves out an entry", nil, func(t *ModelTarget, op Op, res Result) Result {
		if op.Kind == OpList && len(res.Entries) > 7 {
			res.Entries = res.Entries[1:]
		}
		return res
	}},
	{"a listing in parts gives an entry twice", nil, func(t *ModelTarget, op Op, res Result) Result {
		if op.Kind == OpDirRead && len(res.Entries) > 1 && res.End {
			res.Entries = append(res.Entries, res.Entries[0])
		}
		return res
	}},
	{"a listing in parts ends early", nil, func(t *ModelTarget, op Op, res Result) Result {
		if op.Kind == OpDirRead && len(res.Entries) > 2 {
			res.End = true
		}
		return res
	}},
	{"times round up", nil, func(t *ModelTarget, op Op, res Result) Result {
		if res.Stat.Modified.Second()%4 == 2 {
			res.Stat.Modified = res.Stat.Modified.Add(2 * time.Second)
		}
		return res
	}},
	{"inode changes with rename", nil, func(t *ModelTarget, op Op, res Result) Result {
		if op.Kind == OpFstat {
			if n := t.Model.slots[op.Slot].n; n.parent != nil {
				res.Stat.Ino = uint64(len(n.name)) + 1
			}
		}
		return res
	}},
	{"ENOSPC with space left", nil, func(t *ModelTarget, op Op, res Result) Result {
		if op.Kind == OpMkdir && t.free() > 2900 {
			res.Err = syscall.ENOSPC
		}
		return res
	}},
	{"a failed operation changes something", func(t *ModelTarget, op Op) Op {
		if _, _, n, _ := t.Model.find(op.Path); op.Kind == OpRmdir && n != nil && len(n.kids) == 1 {
			clear(n.kids)
			n.kids = map[string]*node{}
			t.Model.Do(Op{Kind: OpStat})
		}
		return op
	}, nil},
	{"a directory moves into itself", func(t *ModelTarget, op Op) Op {
		if op.Kind == OpRename && strings.HasPrefix(op.To, op.Path+"/") {
			op.To = "moved"
		}
		return op
	}, nil},
	{"panics", func(t *ModelTarget, op Op) Op {
		if op.Kind == OpPunch && op.Off%50 == 3 {
			panic("deliberate")
		}
		return op
	}, nil},
	{"the read-only attribute is not kept", func(t *ModelTarget, op Op) Op {
		if op.Kind == OpAttr {
			op.Flags &^= attrReadOnly
		}
		return op
	}, nil},
	{"copy within a file takes the wrong end", func(t *ModelTarget, op Op) Op {
		if op.Kind == OpCopy && op.Slot == op.Slot2 {
			op.Off, op.Off2 = op.Off2, op.Off
		}
		return op
	}, nil},
}

// Do lets a fault run an operation of its own.
func (m *Model) Do(op Op) Result { return (&ModelTarget{Model: m}).Do(op) }

func TestExerciseFindsFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			before, after := f.before, f.after
			if before == nil && after == nil {
				after = staleBytes()
			}
			traits := smallTraits()
			cfg := Config{Ops: 20000, Remount: 3000, Traits: traits, Shrink: 4 * time.Second,
				New: func() (Target, error) {
					return &broken{NewModelTarget(traits), before, after}, nil
				}}
			for cfg.Seed = 1; cfg.Seed <= 2; cfg.Seed++ {
				start := time.Now()
				err := Exercise(cfg)
				inTime := time.Since(start) < cfg.Shrink
				var fail *Failure
				if !errors.As(err, &fail) {
					t.Errorf("seed %d: not found: %v", cfg.Seed, err)
					continue
				}
				if len(fail.Ops) > 60 && inTime || len(fail.Ops) > fail.From {
					t.Errorf("shrunk from %d to %d operations only", fail.From, len(fail.Ops))
				}
				if err := Replay(cfg, fail.Ops); err == nil {
					t.Error("what was shrunk does not fail")
				}
				t.Logf("seed %d: %d operations, shrunk to %d: %.120s", cfg.Seed, fail.From, len(fail.Ops), fail.Err)
			}
		})
	}
}

// staleBytes puts back what a truncation cut off, as soon as the file grows over it.
func staleBytes() func(t *ModelTarget, op Op, res Result) Result {
	return func(t *ModelTarget, op Op, res Result) Result {
		if h := t.Model.slots[op.Slot]; op.Kind == OpFtruncate && h != nil && op.Len%512 != 0 && op.Len > 0 {
			h.n.data.write([]byte{1}, op.Len)
		}
		return res
	}
}
