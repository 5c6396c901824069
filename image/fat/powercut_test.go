package fat_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// A cutter runs operations on a recorded volume, and afterwards looks at what a power cut at each
// moment would have left.
type cutter struct {
	t      *engineTarget
	rec    *faultdev.Recorder
	base   *device.Mem // the volume when the recording began
	synced []syncPoint
}

// syncPoint is the tree as it was when a sync had returned.
type syncPoint struct {
	at    int               // entries of the log
	files map[string]digest // by path
}

type digest struct {
	size int64
	sum  [32]byte
}

func newCutter(l fattest.Layout, opt fat.Options) (*cutter, error) {
	target, err := newEngineTarget(l, opt)
	if err != nil {
		return nil, err
	}
	if err := target.v.Close(); err != nil {
		return nil, err
	}
	c := &cutter{t: target}
	return c, c.Mount()
}

// Mount begins a recording.
func (c *cutter) Mount() error {
	c.base = c.t.mem.Clone()
	c.rec = faultdev.NewRecorder(c.t.mem)
	c.t.dev = c.rec
	c.synced = nil
	if err := c.t.Mount(); err != nil {
		return err
	}
	return c.note()
}

func (c *cutter) SetNow(now time.Time)  { c.t.SetNow(now) }
func (c *cutter) Free() (uint32, error) { return c.t.Free() }
func (c *cutter) Close()                { c.t.Close() }

// Unmount ends the recording.
func (c *cutter) Unmount() (fattest.Source, error) {
	src, err := c.t.Unmount()
	if err == nil {
		err = c.note()
	}
	return src, err
}

// Do performs an operation. After a sync it remembers the tree.
func (c *cutter) Do(op fattest.Op) fattest.Result {
	res := c.t.Do(op)
	if res.Err == 0 && (op.Kind == fattest.OpSync || op.Kind == fattest.OpFsync) {
		if err := c.note(); err != nil {
			res.Err, res.Note = syscall.EIO, err.Error()
		}
	}
	return res
}

func (c *cutter) note() error {
	r, err := fattest.Check(c.t.mem)
	if err != nil {
		return err
	}
	p := syncPoint{at: c.rec.Len(), files: map[string]digest{}}
	for _, f := range r.Files {
		if !f.IsDir {
			if p.files[f.Path], err = digestOf(f); err != nil {
				return err
			}
		}
	}
	c.synced = append(c.synced, p)
	return nil
}

func digestOf(f *fattest.File) (digest, error) {
	b, err := f.Contents()
	return digest{f.Size, sha256.Sum256(b)}, err
}

// promised are the files that must be whole at a cut with so many entries written: those that were
// there at the last sync, and that were there unchanged at the next, so that nobody has touched them
// in between.
func (c *cutter) promised(at int) map[string]digest {
	out := map[string]digest{}
	for i := len(c.synced) - 1; i >= 0; i-- {
		if c.synced[i].at > at {
			continue
		}
		for path, d := range c.synced[i].files {
			// An empty file may have been removed and made again.
			if d.size > 0 && (i+1 == len(c.synced) || c.synced[i+1].files[path] == d) {
				out[path] = d
			}
		}
		break
	}
	return out
}

// cut is one state of the medium.
type cut struct {
	at   int
	what string
	m    *device.Mem
}

// cuts calls fn for the states of the medium after each entry from the first on, of which every
// step-th is looked at: as written, with the next write torn, and with the sectors since the last
// sync written in any order.
func (c *cutter) cuts(rng *rand.Rand, step int, fn func(cut)) error {
	end := c.rec.Len()
	return faultdev.EachCut(c.base, c.rec.Log(), func(x *faultdev.Cut) error {
		if rng.IntN(step) != 0 && x.At != end {
			return nil
		}
		fn(cut{x.At, "as written", x.InOrder()})
		if next, ok := x.Next(); ok && next.Len > faultdev.SectorSize {
			n := 1 + rng.IntN(int(next.Len/faultdev.SectorSize))
			m, err := x.Torn(n)
			if err != nil {
				return err
			}
			fn(cut{x.At, fmt.Sprintf("the next write torn after %d sectors", n), m})
		}
		if x.Open() > 1 {
			m, err := x.Scattered(rng)
			if err != nil {
				return err
			}
			fn(cut{x.At, fmt.Sprintf("entries %d to %d in any order", x.Covered, x.At), m})
		}
		return nil
	})
}

// checkCut reports what a cut must not leave.
func (c *cutter) checkCut(x cut) (*fattest.Report, error) {
	r, err := fattest.Check(x.m)
	if err != nil {
		return nil, err
	}
	if err := r.DamageErr(); err != nil {
		return r, err
	}
	if !r.Dirty && len(r.Findings) > 0 {
		return r, fmt.Errorf("not marked dirty, and yet %w", r.Err())
	}
	byPath, byContents := map[string]digest{}, map[digest]bool{}
	for _, f := range r.Files {
		if !f.IsDir {
			d, err := digestOf(f)
			if err != nil {
				return r, fmt.Errorf("%q: %w", f.Path, err)
			}
			byPath[f.Path], byContents[d] = d, true
		}
	}
	for path, d := range c.promised(x.at) {
		// A file that was renamed there and back may be caught under its other name.
		if byPath[path] != d && !byContents[d] {
			return r, fmt.Errorf("%q was synced with %d bytes, and is lost or changed", path, d.size)
		}
	}
	return r, nil
}

// TestPowerCut cuts the power at every moment of the things that applications do.
func TestPowerCut(t *testing.T) {
	for _, l := range faultLayouts {
		for _, s := range scenarios() {
			t.Run(fmt.Sprintf("FAT%d/%s", l.Width, s.name), func(t *testing.T) {
				t.Parallel()
				c, err := newCutter(l, fat.Options{CommitDelay: -1})
				if err != nil {
					t.Fatal(err)
				}
				run := func(ops []fattest.Op) {
					for _, op := range ops {
						if op.Kind == fattest.OpRemount {
							if _, err := c.Unmount(); err != nil {
								t.Fatal(err)
							}
							if err := c.Mount(); err != nil {
								t.Fatal(err)
							}
						} else if res := c.Do(op); res.Err != 0 && res.Err != syscall.ENOENT {
							t.Fatalf("%v: %v %s", op, res.Err, res.Note)
						}
					}
				}
				run(s.before)
				run(s.ops)
				if _, err := c.Unmount(); err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(*seed, 0))
				if err := c.cuts(rng, 1, func(x cut) {
					if _, err := c.checkCut(x); err != nil {
						t.Errorf("cut after entry %d, %s: %v", x.at, x.what, err)
					}
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestPowerCutExercise cuts the power at random moments of random operations.
func TestPowerCutExercise(t *testing.T) {
	for i, l := range []fattest.Layout{
		{Width: 12, Clusters: 300}, {Width: 12, Clusters: 100, ClusterSize: 4096}, {Width: 16, Clusters: 4100, RootEntries: 64},
		{Width: 16, Clusters: 4085, ClusterSize: 2048, FATs: 1}, {Width: 32, Clusters: 65600},
	} {
		t.Run(fmt.Sprintf("%d_FAT%d", i, l.Width), func(t *testing.T) {
			t.Parallel()
			cfg := engineConfig(t, cell{l, fat.Options{}})
			cfg.Seed, cfg.Ops, cfg.Remount, cfg.Deep = *seed+uint64(i), *ops/8, 250, nil
			rng := rand.New(rand.NewPCG(cfg.Seed, 1))
			var c *cutter
			cfg.New = func() (_ fattest.Target, err error) {
				c, err = newCutter(l, fat.Options{CommitDelay: -1})
				return c, err
			}
			cfg.Deep = func(fattest.Source) error {
				var failed error
				// All moments of few operations, so that a list that fails can be made shorter.
				err := c.cuts(rng, 1+c.rec.Len()/200, func(x cut) {
					if _, err := c.checkCut(x); err != nil && failed == nil {
						failed = fmt.Errorf("cut after entry %d, %s: %w", x.at, x.what, err)
					}
				})
				return errors.Join(failed, err)
			}
			if err := fattest.Exercise(cfg); err != nil {
				t.Errorf("%v\nto repeat: go test -run '%s' -seed %d -ops %d", err, t.Name(), *seed, *ops)
			}
		})
	}
}

// TestPowerCutSave: saving a file by writing another and renaming it over the first leaves the old
// contents or the new ones, whole.
func TestPowerCutSave(t *testing.T) {
	for _, l := range faultLayouts {
		for _, fsync := range []bool{true, false} {
			t.Run(fmt.Sprintf("FAT%d/fsync=%v", l.Width, fsync), func(t *testing.T) {
				c, err := newCutter(l, fat.Options{CommitDelay: -1})
				if err != nil {
					t.Fatal(err)
				}
				do := func(op fattest.Op) {
					if res := c.Do(op); res.Err != 0 {
						t.Fatalf("%v: %v %s", op, res.Err, res.Note)
					}
				}
				contents := func(i int) fattest.Op { return fattest.Op{Kind: write, Slot: 1, Len: int64(700 * i), Seed: uint64(i)} }
				var versions [][]byte
				first := 0 // entries once the first version is safe
				for i := 1; i <= 6; i++ {
					if i > 1 {
						versions = append(versions, contents(i-1).Data())
					}
					do(fattest.Op{Kind: fattest.OpOpen, Path: "document.tmp", Slot: 1, Flags: excl})
					do(contents(i))
					if fsync {
						do(fattest.Op{Kind: fattest.OpFsync, Slot: 1})
					}
					do(fattest.Op{Kind: fattest.OpClose, Slot: 1})
					do(fattest.Op{Kind: fattest.OpRename, Path: "document.tmp", To: "A document with a long name.txt"})
					if i == 1 {
						do(fattest.Op{Kind: fattest.OpSync})
						first = c.rec.Len()
					}
				}
				versions = append(versions, contents(6).Data())
				if _, err := c.Unmount(); err != nil {
					t.Fatal(err)
				}
				if err := c.cuts(rand.New(rand.NewPCG(*seed, 2)), 1, func(x cut) {
					r, err := c.checkCut(x)
					if err != nil {
						t.Errorf("cut after entry %d, %s: %v", x.at, x.what, err)
						return
					}
					f := r.Find("A document with a long name.txt")
					if f == nil {
						if x.at > first {
							t.Errorf("cut after entry %d, %s: the document is gone", x.at, x.what)
						}
						return
					}
					got, err := f.Contents()
					for _, v := range versions {
						if bytes.Equal(got, v) {
							return
						}
					}
					t.Errorf("cut after entry %d, %s: the document has %d bytes that are no version of it (%v)", x.at, x.what, len(got), err)
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
