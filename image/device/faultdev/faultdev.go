package faultdev

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"fatvol/image/device"
)

// SectorSize is the unit in which writes tear, in bytes: what a medium writes whole.
const SectorSize = 512

// ErrInjected is in the chain of every error that a Device made up.
var ErrInjected = errors.New("injected fault")

// EIO is what a rule without an error of its own returns: ErrInjected and syscall.EIO both.
var EIO error = fmt.Errorf("%w: %w", ErrInjected, syscall.EIO)

// Kind tells operations apart.
type Kind uint8

// The kinds of operations on a device.
const (
	Read Kind = iota
	Write
	Sync
	Zero
	Discard
	kinds
)

func (k Kind) String() string {
	return [...]string{"read", "write", "sync", "zero", "discard", "?"}[min(k, kinds)]
}

// Op is one operation on the device.
type Op struct {
	Kind Kind
	Off  int64 // bytes; 0 for a sync
	Len  int64 // bytes; 0 for a sync
	No   int64 // the how-manyth operation this is, from 1, over all kinds
}

// Counts is the number of operations by kind.
type Counts struct{ Read, Write, Sync, Zero, Discard int64 }

// Total is the number of operations of all kinds.
func (c Counts) Total() int64 { return c.Read + c.Changes() }

// Changes is the number of operations of all kinds but Read.
func (c Counts) Changes() int64 { return c.Write + c.Sync + c.Zero + c.Discard }

// Device passes operations on to another device, but for those that a Rule breaks.
type Device struct {
	d device.Device

	mu struct {
		sync.Mutex
		counts   [kinds]int64
		rules    []*rule
		injected int64
		gone     error
	}
}

// New returns a Device over d that breaks nothing yet.
func New(d device.Device) *Device { return &Device{d: d} }

// Counts returns the number of operations since New or the last Reset.
func (f *Device) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.mu.counts
	return Counts{c[Read], c[Write], c[Sync], c[Zero], c[Discard]}
}

// Injected is the number of operations that a rule broke since New or the last Reset.
func (f *Device) Injected() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.injected
}

// Inject adds rules. The first one that selects an operation decides about it.
func (f *Device) Inject(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rules {
		f.mu.rules = append(f.mu.rules, &rule{Rule: r})
	}
}

// Heal removes all rules; the counts go on.
func (f *Device) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules, f.mu.gone = nil, nil
}

// Reset removes all rules and starts to count anew.
func (f *Device) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules, f.mu.gone, f.mu.injected = nil, nil, 0
	f.mu.counts = [kinds]int64{}
}

// Vanish makes every operation, and Check, fail with err until Heal or Reset: the medium was
// pulled. A nil err stands for EIO.
func (f *Device) Vanish(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.gone = err; err == nil {
		f.mu.gone = EIO
	}
}

// Check returns the error of Vanish, and otherwise what the device below says.
func (f *Device) Check() error {
	f.mu.Lock()
	gone := f.mu.gone
	f.mu.Unlock()
	if gone != nil {
		return gone
	}
	return device.Check(f.d)
}

// Size is the length in bytes.
func (f *Device) Size() int64 { return f.d.Size() }

// ReadAt fills p from the byte offset off.
func (f *Device) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.do(Read, off, int64(len(p)), func(m int64) error {
		n, err = f.d.ReadAt(p[:m], off)
		return err
	})
	return n, err
}

// WriteAt writes p at the byte offset off.
func (f *Device) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.do(Write, off, int64(len(p)), func(m int64) error {
		n, err = f.d.WriteAt(p[:m], off)
		return err
	})
	if err != nil && n == len(p) {
		n = 0 // an error after the effect: the caller cannot know how much arrived
	}
	return n, err
}

// Sync passes the call on.
func (f *Device) Sync() error {
	return f.do(Sync, 0, 0, func(int64) error { return f.d.Sync() })
}

// ZeroAt makes a range read as zeros.
func (f *Device) ZeroAt(off, n int64) error {
	return f.do(Zero, off, n, func(m int64) error { return device.ZeroAt(f.d, off, m) })
}

// DiscardAt gives the storage under a range back.
func (f *Device) DiscardAt(off, n int64) error {
	return f.do(Discard, off, n, func(m int64) error { return device.DiscardAt(f.d, off, m) })
}

// do counts one operation, and runs as much of its effect as the rules leave.
func (f *Device) do(k Kind, off, n int64, effect func(n int64) error) error {
	r, op, gone := f.decide(k, off, n)
	if gone != nil {
		return fail(op, gone)
	}
	if r == nil {
		return effect(n)
	}
	if r.Gate != nil {
		r.Gate.wait()
		if r.Err == nil {
			return effect(n) // held up, then done
		}
	}
	part := n
	switch r.Effect {
	case None:
		part = -1
	case Torn:
		part = min(n, tornAt(off, n, r.Sectors))
	}
	// A sync has no parts: torn means that it did not happen.
	if part > 0 || (part == n && r.Effect != Torn) {
		if err := effect(part); err != nil {
			return err
		}
	}
	if r.Err != nil {
		return fail(op, r.Err)
	}
	return fail(op, EIO)
}

// decide counts the operation and returns the rule that breaks it, if any.
func (f *Device) decide(k Kind, off, n int64) (*rule, Op, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.counts[k]++
	op := Op{Kind: k, Off: off, Len: n}
	for _, c := range f.mu.counts {
		op.No += c
	}
	if f.mu.gone != nil {
		f.mu.injected++
		return nil, op, f.mu.gone
	}
	for _, r := range f.mu.rules {
		if r.selects(op) {
			f.mu.injected++
			return r, op, nil
		}
	}
	return nil, op, nil
}

func fail(op Op, err error) error {
	return fmt.Errorf("%s of %d bytes at offset %d (operation %d): %w", op.Kind, op.Len, op.Off, op.No, err)
}

var _ interface {
	device.Device
	device.Zeroer
	device.Discarder
	device.Checker
} = (*Device)(nil)
