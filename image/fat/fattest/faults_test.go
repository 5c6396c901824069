package fattest

import "testing"

// A tearing target reports half of a write when it is armed, although more has reached the device: up to reach bytes,
// beginning skew bytes before its place.
type tearing struct {
	*ModelTarget
	reach, skew int64
	armed       bool
	torn        int64
}

func (t *tearing) Arm()            { t.armed = true }
func (t *tearing) Heal()           { t.armed = false }
func (t *tearing) Injected() int64 { return t.torn }

func (t *tearing) Do(op Op) Result {
	if !t.armed || op.Kind != OpWrite {
		return t.ModelTarget.Do(op)
	}
	t.torn++
	half := op
	half.Len /= 2
	res := t.ModelTarget.Do(half)
	if h := t.Model.slots[op.Slot]; h != nil && t.reach > half.Len {
		h.n.data.write(op.Data()[half.Len:t.reach], op.Off+half.Len-t.skew)
	}
	return res
}

// TestCutShort: when the device fails within a write, what comes after the part that was reported may have been
// overwritten or not; nothing else may.
func TestCutShort(t *testing.T) {
	before := []Op{{Kind: OpOpen, Path: "f", Slot: 1, Flags: Create}, {Kind: OpWrite, Slot: 1, Len: 6000, Seed: 1}}
	ops := []Op{{Kind: OpWrite, Slot: 1, Off: 1000, Len: 4000, Seed: 3}, {Kind: OpRead, Slot: 1, Len: 6000}}
	for _, tc := range []struct {
		name        string
		reach, skew int64
		allowed     bool
	}{
		{"nothing more", 0, 0, true},
		{"some more", 3000, 0, true},
		{"all of it", 4000, 0, true},
		{"within what was reported", 3000, 100, false},
		{"beyond the write", 4000, -100, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			traits := smallTraits()
			_, _, err := ReplayFaulty(Config{Traits: traits, New: func() (Target, error) {
				return &tearing{ModelTarget: NewModelTarget(traits), reach: tc.reach, skew: tc.skew}, nil
			}}, before, ops)
			if (err == nil) != tc.allowed {
				t.Errorf("allowed: %v; %v", tc.allowed, err)
			}
		})
	}
}
