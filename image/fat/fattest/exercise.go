package fattest

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Config is a run of the exerciser.
type Config struct {
	Seed    uint64
	Ops     int // how many operations, remounts not counted
	Remount int // remount after every so many; 0 only at the end
	// Next, where it is set, says after each operation what follows, in place of Ops and Remount.
	Next func() Turn
	// Keep is how many operations a failure shows at most, the last ones; 0 for all. Those of a run
	// for hours do not fit into memory.
	Keep int
	// Root is the directory of the volume that the target's root is, where it is not the volume's.
	Root   string
	Traits Traits
	// New makes a target with an empty volume.
	New func() (Target, error)
	// Deep is a further check of the volume at each remount, such as fsck.fat; it may be nil.
	Deep func(Source) error
	// Shrink is how long a failing list of operations may be replayed to make it shorter.
	Shrink time.Duration
}

// Turn is what follows an operation.
type Turn uint8

const (
	GoOn      Turn = iota // another operation
	DoRemount             // a remount, and further operations
	DoEnd                 // a remount as the last
	GiveUp                // nothing
)

// after says what follows operation i.
func (cfg *Config) after(i int) Turn {
	switch {
	case cfg.Next != nil:
		return cfg.Next()
	case i >= cfg.Ops:
		return DoEnd
	case cfg.Remount > 0 && i%cfg.Remount == 0:
		return DoRemount
	}
	return GoOn
}

// Failure is a difference between a target and the model.
type Failure struct {
	Seed uint64
	Ops  []Op // ends with the one that failed
	Err  error
	From int // length of Ops before it was shrunk

	kept bool // Ops are the last ones only: they cannot be repeated
}

func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: operation %d: %v", f.Seed, f.From, f.Err)
	show := 200
	if f.kept {
		show = len(f.Ops) // they are all the evidence there is
	}
	fmt.Fprintf(&b, "\n%d operations lead there:", len(f.Ops))
	for i, op := range f.Ops {
		if skip := len(f.Ops) - show; skip > 0 && i == 0 {
			fmt.Fprintf(&b, "\n\t… %d more", skip)
		} else if i >= skip {
			fmt.Fprintf(&b, "\n\t%v,", op)
			if op.gave != 0 {
				fmt.Fprintf(&b, " // %v", op.gave)
			}
		}
	}
	return b.String()
}

// Exercise makes random operations, runs them on a target and compares each with the model.
// The error is a *Failure unless there was no target.
func Exercise(cfg Config) error {
	r, err := newRunner(cfg)
	if err != nil {
		return err
	}
	g := newGenerator(cfg.Seed, r.m)
	var ops []Op
	total := 0
	run := func(op Op) error {
		// The time stays with the operation when others before it are left out.
		total++
		op.at = time.Duration(total) * tick
		if cfg.Keep > 0 && len(ops) >= 2*cfg.Keep {
			ops = slices.Delete(ops, 0, cfg.Keep)
		}
		ops = append(ops, op)
		err := r.step(op)
		ops[len(ops)-1].gave = r.gave
		return err
	}
	turn := GoOn
	for i := 1; err == nil && turn != DoEnd && turn != GiveUp; i++ {
		if err = run(g.next()); err != nil {
			break
		}
		if turn = cfg.after(i); turn == DoRemount || turn == DoEnd {
			err = run(Op{Kind: OpRemount})
		}
	}
	if err = r.close(err); err == nil {
		return nil
	}
	f := &Failure{Seed: cfg.Seed, Ops: ops, Err: err, From: total, kept: cfg.Keep > 0}
	f.shrink(cfg)
	return f
}

// Replay runs a list of operations as Exercise runs the ones that it makes.
func Replay(cfg Config, ops []Op) error {
	r, err := newRunner(cfg)
	if err != nil {
		return err
	}
	for i, op := range ops {
		if err := r.step(op); err != nil {
			err = r.close(err)
			return &Failure{Seed: cfg.Seed, Ops: ops[:i+1], Err: err, From: i + 1}
		}
	}
	return r.close(nil)
}

// close ends the use of the target, which may be broken in any way after a failure.
func (r *runner) close(before error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(before, fmt.Errorf("close: panic: %v\n%s", p, debug.Stack()))
		}
	}()
	r.t.Close()
	return before
}

// A clock of ours begins at epoch, shortly before a leap day, and goes on by tick.
var epoch = time.Date(2024, 2, 28, 23, 0, 0, 0, time.UTC)

const tick = 700 * time.Millisecond

// lateTries is how often an operation is tried again that found no space where the model has some,
// on a target with LateClose.
const lateTries = 8

// runner runs operations on a model and a target side by side.
type runner struct {
	cfg  Config
	m    *Model
	t    Target
	now  time.Time     // of a target whose clock is ours
	gave syscall.Errno // of the last operation
}

func newRunner(cfg Config) (*runner, error) {
	t, err := cfg.New()
	if err != nil {
		return nil, err
	}
	return &runner{cfg: cfg, m: NewModel(cfg.Traits), t: t, now: epoch}, nil
}

// step runs one operation. A panic of the target is a failure like any other.
func (r *runner) step(op Op) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v: panic: %v\n%s", op, p, debug.Stack())
		}
	}()
	if op.Kind == OpRemount {
		if err := r.remount(); err != nil {
			return fmt.Errorf("%v: %w", op, err)
		}
		return nil
	}
	if t, ok := r.t.(Faulty); ok {
		_, err := r.faultyStep(t, op)
		return err
	}
	w := r.m.expect(op)
	got, lo, hi := r.do(op)
	err = w.compare(op, got, r.t.Free)
	for again := 0; err != nil && got.Err == syscall.ENOSPC && r.m.LateClose && again < lateTries; again++ {
		// What an earlier close frees may have come just now. Nothing has changed: once more.
		got, lo, hi = r.do(op)
		err = w.compare(op, got, r.t.Free)
	}
	if err != nil && got.Note != "" {
		err = fmt.Errorf("%w\n%s", err, got.Note)
	}
	if err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	switch {
	case got.Err == 0 && w.apply != nil:
		w.apply(got, lo, hi)
	case got.Err != 0 && w.failed != nil:
		w.failed(lo, hi)
	}
	return nil
}

// do runs the operation and says between which times it ran.
func (r *runner) do(op Op) (got Result, lo, hi time.Time) {
	defer func() { r.gave = got.Err }()
	if c, ok := r.t.(Clocked); ok {
		if r.now = r.now.Add(tick); op.at > 0 {
			r.now = epoch.Add(op.at)
		}
		c.SetNow(r.now)
		return r.t.Do(op), r.now, r.now
	}
	lo = time.Now()
	got = r.t.Do(op)
	return got, lo, time.Now()
}

// remount unmounts, compares the volume with the model, and mounts again. The device of a target
// with faults works meanwhile.
func (r *runner) remount() error {
	if t, ok := r.t.(Faulty); ok {
		if err := r.heal(t); err != nil {
			return err
		}
		defer t.Arm()
	}
	r.m.closeAll()
	src, err := r.t.Unmount()
	if err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	if src != nil {
		report, err := Check(src)
		if err != nil {
			return fmt.Errorf("after the unmount: %w", err)
		}
		if err := r.m.verify(report.Below(r.cfg.Root)); err != nil {
			return fmt.Errorf("after the unmount: %w", err)
		}
		if r.cfg.Deep != nil {
			if err := r.cfg.Deep(src); err != nil {
				return fmt.Errorf("after the unmount: %w", err)
			}
		}
	}
	if err := r.t.Mount(); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return nil
}
