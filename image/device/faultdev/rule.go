package faultdev

import "sync"

// Effect is how much of a broken operation happens.
type Effect uint8

const (
	// None: the operation fails and nothing has changed.
	None Effect = iota
	// Torn: a first part of whole sectors is transferred, then the operation fails.
	Torn
	// Full: everything is transferred, and yet the operation fails.
	Full
)

// Kinds is a set of kinds; the empty set stands for all.
type Kinds uint8

// Of returns the set of the given kinds.
func Of(ks ...Kind) (s Kinds) {
	for _, k := range ks {
		s |= 1 << k
	}
	return s
}

// Changes is every kind but Read.
var Changes = Of(Write, Sync, Zero, Discard)

// Rule selects operations and says what becomes of them. The zero Rule fails everything with EIO.
type Rule struct {
	Kinds Kinds         // kinds that it is about; none means all
	Off   int64         // with Len: only operations which touch [Off, Off+Len)
	Len   int64         // 0: wherever they are
	Match func(Op) bool // nil: all. Called with the device locked: it must not use it.

	// Of the operations that match all of the above, number From (counted from 1 since the rule
	// was injected; 0 is 1) and the Count-1 after it are broken; 0 is all from there on.
	From, Count int64

	Effect  Effect // what happens before the error
	Sectors int    // Torn: how many sectors
	Err     error  // nil: EIO, or success when there is a Gate
	Gate    *Gate  // not nil: hangs there first
}

// FailAt fails operation k, and it alone, with err.
func FailAt(k int64, err error) Rule { return Rule{From: k, Count: 1, Err: err} }

// FailFrom fails operation k and all later ones with err.
func FailFrom(k int64, err error) Rule { return Rule{From: k, Err: err} }

// rule is a Rule with its count.
type rule struct {
	Rule
	seen int64
}

func (r *rule) selects(op Op) bool {
	if r.Kinds != 0 && r.Kinds&(1<<op.Kind) == 0 {
		return false
	}
	if r.Len > 0 && (op.Kind == Sync || op.Off >= r.Off+r.Len || r.Off >= op.Off+op.Len) {
		return false
	}
	if r.Match != nil && !r.Match(op) {
		return false
	}
	r.seen++
	from := max(r.From, 1)
	return r.seen >= from && (r.Count == 0 || r.seen-from < r.Count)
}

// tornAt is how many of the n bytes at off are transferred when it tears after so many sectors.
// Sectors are those of the device: what begins inside of one ends at its end.
func tornAt(off, n int64, sectors int) int64 {
	if sectors <= 0 {
		return 0
	}
	end := off/SectorSize*SectorSize + int64(sectors)*SectorSize
	return max(0, min(n, end-off))
}

// Gate holds operations up until it is opened.
type Gate struct {
	reached, open chan struct{}
	once, opened  sync.Once
}

// NewGate returns a closed gate.
func NewGate() *Gate {
	return &Gate{reached: make(chan struct{}), open: make(chan struct{})}
}

// Reached is closed when the first operation has come to the gate.
func (g *Gate) Reached() <-chan struct{} { return g.reached }

// Open lets everything through, now and later. It may be called more than once.
func (g *Gate) Open() { g.opened.Do(func() { close(g.open) }) }

func (g *Gate) wait() {
	g.once.Do(func() { close(g.reached) })
	<-g.open
}
