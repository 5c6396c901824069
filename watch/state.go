package watch

import (
	"fmt"
	"time"
)

// State is where a Medium is.
type State uint8

const (
	// Present: calls go through.
	Present State = iota
	// Gone: calls fail at once.
	Gone
	// Verifying: something is at the path, and is being looked at; calls fail at once.
	Verifying
	// Closed: the end.
	Closed
)

func (s State) String() string {
	return [...]string{"present", "gone", "verifying", "closed"}[s]
}

// event is what a state can be left for.
type event uint8

const (
	evFailed   event = iota // a call of ours failed as calls fail when the medium is not there
	evRemoved               // a detector says that it is not there
	evDeadline              // a call overran
	evSeen                  // something is at the path, or it is time to look
	evSame                  // verified: the same volume, unchanged, nothing missing on it
	evRefused               // verified: not so
	evClose
)

func (e event) String() string {
	return [...]string{"failed", "removed", "deadline", "seen", "same", "refused", "close"}[e]
}

// next is the table of legal transitions. An event that is not in the row of a state either comes too
// late to matter (late) or is a bug.
var next = [...]map[event]State{
	Present: {evFailed: Gone, evRemoved: Gone, evDeadline: Gone, evClose: Closed},
	Gone:    {evSeen: Verifying, evClose: Closed},
	Verifying: {evSame: Present, evRefused: Gone, evFailed: Gone, evRemoved: Gone, evDeadline: Gone,
		evClose: Closed},
	Closed: {},
}

// late are the events that each state disregards: news of what it has left already.
var late = [...]map[event]bool{
	Present:   {evSeen: true},
	Gone:      {evFailed: true, evRemoved: true, evDeadline: true, evRefused: true, evSame: true},
	Verifying: {evSeen: true},
	Closed: {evFailed: true, evRemoved: true, evDeadline: true, evSeen: true, evSame: true,
		evRefused: true, evClose: true},
}

// Status is what a Medium is at a moment.
type Status struct {
	State      State
	Reason     string    // why it is not Present, in words; "" when it is
	Since      time.Time // of the state
	Generation uint64    // counts the entries into Present, from 1
	// ReadOnly: the host lets the image be read and not be written.
	ReadOnly bool
}

// GoneError is what calls return while the medium is not there.
type GoneError struct {
	State  State
	Reason string
}

func (e *GoneError) Error() string { return fmt.Sprintf("medium is %v: %s", e.State, e.Reason) }

// step returns the state after an event, and whether the event is to be disregarded; the error tells
// of a pair that the design knows nothing of.
func step(s State, e event) (to State, ignore bool, err error) {
	if to, ok := next[s][e]; ok {
		return to, false, nil
	}
	if late[s][e] {
		return s, true, nil
	}
	return s, true, fmt.Errorf("event %v in state %v is not in the table", e, s)
}
