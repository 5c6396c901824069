package fat_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
	"fatvol/image/replay"
	"fatvol/watch"
	"fatvol/watch/fakemedium"
)

// mediumTarget is an engine on a stick that can be pulled: below the volume the log of unsynced writes,
// and below that the gate, wired as the program does it.
type mediumTarget struct {
	*engineTarget
	slot  *fakemedium.Slot
	stick *fakemedium.Stick
	gate  *watch.Medium
	log   *replay.Log

	seed  uint64
	ended bool // there is no mount
	armed bool
	out   int          // operations since the pull; 0 while the stick is in
	fuse  atomic.Int64 // host calls until the pull; negative: none is due
	pulls atomic.Int64

	returns uint64 // that the gate took
}

func newMediumTarget(l fattest.Layout, opt fat.Options, seed uint64) (*mediumTarget, error) {
	t := &mediumTarget{seed: seed}
	var err error
	if t.engineTarget, err = newEngineTarget(l, opt); err != nil {
		return nil, err
	}
	if err := t.v.Close(); err != nil {
		return nil, err
	}
	image := make([]byte, t.mem.Size())
	if _, err := t.mem.ReadAt(image, 0); err != nil {
		return nil, err
	}
	t.stick = fakemedium.NewStick(image)
	t.slot = fakemedium.NewSlot(t.stick)
	t.fuse.Store(-1)
	t.slot.SetHook(func(fakemedium.Call) error {
		if t.fuse.Add(-1) == 0 {
			t.slot.Pull()
			t.pulls.Add(1)
		}
		return nil
	})
	return t, t.Mount()
}

// Mount opens the volume with a gate and a log of its own.
func (t *mediumTarget) Mount() error {
	host, err := t.slot.Open()
	if err != nil {
		return err
	}
	t.gate = watch.New(host, watch.Config{
		Path: "/stick/card.img", IOTimeout: time.Second, Open: t.slot.Open, Verify: t.verify,
		Detectors: []watch.Detector{watch.Prober{}}, Log: slog.New(slog.DiscardHandler),
	})
	t.log, t.ended = replay.New(t.gate, 1<<20), false
	t.engineTarget.dev = t.log
	return t.engineTarget.Mount()
}

func (t *mediumTarget) verify(ctx context.Context, dev *watch.Candidate) error {
	err := t.log.Verify(dev)
	if errors.Is(err, replay.ErrChanged) && t.log.Unsynced() == 0 {
		undo := t.log.Reset()
		if err := t.v.Reset(dev); err != nil {
			undo()
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	return t.log.Replay(dev)
}

// Unmount closes the volume and gives out what is on the stick.
func (t *mediumTarget) Unmount() (fattest.Source, error) {
	if _, err := t.engineTarget.Unmount(); err != nil {
		return nil, err
	}
	t.end()
	return t.contents(), nil
}

func (t *mediumTarget) end() {
	t.ended = true
	t.returns += t.gate.Status().Generation - 1
	t.log.Close()
	t.gate.Close()
}

func (t *mediumTarget) contents() *device.Mem {
	image := t.stick.Contents()
	mem := device.NewMem(int64(len(image)))
	if _, err := mem.WriteAt(image, 0); err != nil {
		panic(err)
	}
	return mem
}

// Close lets go of everything.
func (t *mediumTarget) Close() {
	t.engineTarget.Close()
	if !t.ended {
		t.end()
	}
}

// pull takes the stick out at the n-th host call from now on.
func (t *mediumTarget) pull(n int64) {
	t.fuse.Store(n)
	t.out = 1
}

// plug puts the stick back, and waits until the volume is there.
func (t *mediumTarget) plug() error {
	if t.fuse.Swap(-1) > 0 {
		t.slot.Pull() // nothing had asked for so much
		t.pulls.Add(1)
	}
	t.out = 0
	t.slot.Unmount()
	t.slot.Plug(t.stick)
	// A probe tells at the latest that the host which was open is dead.
	time.Sleep(3 * time.Second)
	t.gate.Look()
	for range 1000 {
		if t.gate.Check() == nil {
			return nil
		}
		time.Sleep(time.Second)
	}
	return fmt.Errorf("the medium is in, and not back: %+v", t.gate.Status())
}

func (t *mediumTarget) Arm()            { t.armed = true }
func (t *mediumTarget) Injected() int64 { return t.pulls.Load() }

func (t *mediumTarget) Heal() {
	t.armed = false
	if t.out > 0 {
		if err := t.plug(); err != nil {
			panic(err)
		}
	}
}

// Do performs an operation. Whether the stick is pulled or put in before or meanwhile is a matter of the
// operation itself, so that lists of them can be made shorter.
func (t *mediumTarget) Do(op fattest.Op) fattest.Result {
	if t.armed {
		if t.out > 0 {
			t.out++
		}
		h := fnv.New64a()
		fmt.Fprint(h, t.seed, op)
		rnd := rand.New(rand.NewPCG(t.seed, h.Sum64()))
		switch n := rnd.IntN(100); {
		case n < 3 && t.out == 0:
			t.pull(1 + rnd.Int64N(12))
		case t.out > 0 && n < 15 || t.out > 30:
			again := rnd.IntN(3) == 0
			if again {
				t.fuse.Store(1 + rnd.Int64N(20)) // it goes again, perhaps in the middle of the replay
			}
			if err := t.plugFor(again); err != nil {
				return fattest.Result{Err: errnoOf(err), Note: err.Error()}
			}
		case n < 25:
			t.slot.WriteBack()
		case n < 35:
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		}
	}
	return t.engineTarget.Do(op)
}

// plugFor is plug, or where it is pulled again, the first half of that.
func (t *mediumTarget) plugFor(again bool) error {
	if !again {
		return t.plug()
	}
	t.slot.Unmount()
	t.slot.Plug(t.stick)
	t.gate.Look()
	time.Sleep(2 * time.Second)
	t.out = 1 // it may be out or in; the next plug makes it certain
	return nil
}

// TestExercisePulled is TestExercise on a stick that is pulled and put in again at random, also in the
// middle of commits and of replays: what was acknowledged is there in the end, and nothing else is.
func TestExercisePulled(t *testing.T) {
	for i, c := range []cell{
		{fattest.Layout{Width: 12, Clusters: 300, RootEntries: 128}, fat.Options{}},
		{fattest.Layout{Width: 16, Clusters: 4200, ClusterSize: 2048}, fat.Options{}},
		{fattest.Layout{Width: 32, Clusters: 65600}, fat.Options{}},
		{fattest.Layout{Width: 12, Clusters: 900, SectorSize: 4096, ClusterSize: 4096, FATs: 1}, fat.Options{Discard: true}},
		{fattest.Layout{Width: 32, Clusters: 65600, ClusterSize: 1024}, fat.Options{CommitDelay: 10 * time.Millisecond, CacheBytes: 1 << 16}},
	} {
		t.Run(c.name(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := engineConfig(t, c)
				cfg.Deep, cfg.Shrink = nil, 0
				cfg.Seed, cfg.Ops, cfg.Remount = *seed+uint64(i), *ops/4, 300
				var last *mediumTarget
				cfg.New = func() (fattest.Target, error) {
					m, err := newMediumTarget(c.Layout, c.opt, cfg.Seed)
					if err == nil {
						m.Arm()
						last = m
					}
					return m, err
				}
				if err := fattest.Exercise(cfg); err != nil {
					t.Errorf("%v\nto repeat: go test -run '%s' -seed %d -ops %d", err, t.Name(), *seed, *ops)
				}
				if n := last.pulls.Load(); n < int64(cfg.Ops)/100 {
					t.Errorf("pulled %d times only", n)
				}
				t.Logf("%d operations, %d pulls, %d returns", cfg.Ops, last.pulls.Load(), last.returns)
			})
		})
	}
}
