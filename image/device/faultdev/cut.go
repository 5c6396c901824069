package faultdev

import (
	"math/rand/v2"

	"fatvol/image/device"
)

// A Cut is a moment at which the power goes: the first At entries of a log were given to the medium, and
// the first Covered of them are known to be on it.
type Cut struct {
	At, Covered int

	log         []Entry
	now, synced *device.Mem
}

// EachCut calls fn for every moment of a log, from before its first entry until after its last. base is
// what the device held at the start of the log. The Cut is valid until fn returns.
func EachCut(base *device.Mem, log []Entry, fn func(*Cut) error) error {
	c := &Cut{log: log, now: base.Clone(), synced: base.Clone()}
	for ; ; c.At++ {
		if err := fn(c); err != nil || c.At == len(log) {
			return err
		}
		if err := Replay(c.now, log[c.At:], 1); err != nil {
			return err
		}
		e := log[c.At]
		if e.Mark == "" && e.Kind == Sync && e.Covers > c.Covered {
			if err := Replay(c.synced, log[c.Covered:], e.Covers-c.Covered); err != nil {
				return err
			}
			c.Covered = e.Covers
		}
	}
}

// Open is how many entries no sync covers.
func (c *Cut) Open() int { return c.At - c.Covered }

// Next is the entry that was under way; at the end of the log there is none.
func (c *Cut) Next() (e Entry, ok bool) {
	if c.At < len(c.log) {
		return c.log[c.At], true
	}
	return e, false
}

// InOrder is what a medium has that writes everything at once.
func (c *Cut) InOrder() *device.Mem { return c.now.Clone() }

// Torn is InOrder with a first part of so many sectors of what was under way.
func (c *Cut) Torn(sectors int) (*device.Mem, error) {
	m := c.now.Clone()
	if e, ok := c.Next(); ok {
		return m, Tear(m, e, sectors)
	}
	return m, nil
}

// Scattered is what a medium has that knows no order between two syncs: see Scatter.
func (c *Cut) Scattered(rng *rand.Rand) (*device.Mem, error) {
	m := c.synced.Clone()
	return m, Scatter(m, c.log[c.Covered:c.At], rng)
}

// Selected is what a host leaves that has written back some pages and not others: see Select.
func (c *Cut) Selected(rng *rand.Rand) (*device.Mem, error) {
	m := c.synced.Clone()
	return m, Select(m, c.log[c.Covered:c.At], rng)
}
