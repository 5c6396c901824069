package watch

import (
	"fmt"
	"syscall"
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
	evSeen                  // a living medium with something at the image's path
	evSame                  // verified: the same volume, unchanged, nothing missing on it
	evRefused               // verified: not so
	evClose
)

func (e event) String() string {
	return [...]string{"failed", "removed", "deadline", "seen", "same", "refused", "close"}[e]
}

const (
	states = int(Closed) + 1
	events = int(evClose) + 1
)

// next is the table of legal transitions. An event that is neither in the row of a state nor in that
// of late is a bug: no order of operations, detectors, verifier and Close leads to it.
var next = [states]map[event]State{
	Present:   {evFailed: Gone, evRemoved: Gone, evDeadline: Gone, evClose: Closed},
	Gone:      {evSeen: Verifying, evClose: Closed},
	Verifying: {evSame: Present, evRefused: Gone, evClose: Closed},
	Closed:    {},
}

// late are the events that a state disregards: news of what it has left already. While it is being
// verified, what came back answers for itself: a call on it that fails ends in evRefused, and what
// detectors say then is of the generation before.
var late = [states]map[event]bool{
	Present:   {},
	Gone:      {evFailed: true, evRemoved: true, evDeadline: true},
	Verifying: {evFailed: true, evRemoved: true, evDeadline: true},
	Closed: {evFailed: true, evRemoved: true, evDeadline: true, evSeen: true, evSame: true,
		evRefused: true, evClose: true},
}

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

// Status is what a Medium is at a moment.
type Status struct {
	State  State
	Reason string // why it is not Present, in words; "" when it is
	// Since is when it became Present, was lost, or was closed. A verification does not change it.
	Since      time.Time
	Generation uint64 // counts the entries into Present, from 1
	// ReadOnly: the host lets the image be read and not be written.
	ReadOnly bool
	// Moved is the path of the image where it was renamed since it was opened, or "".
	Moved string
}

// A GoneError is what calls return while the medium is not there, and what those return that it left in
// the middle. It is an EIO.
type GoneError struct {
	State  State
	Reason string
}

func (e *GoneError) Error() string { return fmt.Sprintf("medium is %v: %s", e.State, e.Reason) }

// Unwrap makes it an EIO for those who look for errnos.
func (e *GoneError) Unwrap() error { return syscall.EIO }

// Lost reports that the medium is gone, to those who cannot name this type.
func (e *GoneError) Lost() bool { return true }

// view is what an operation looks at: one atomic load, and everything it needs is there. Views do not
// change; transitions replace them.
type view struct {
	Status
	look                  // of the image and its host; while it is not Present, where it was
	refused bool          // the host answered EROFS although it says that it takes writes
	opened  string        // path of the image when this generation opened it
	conn    *conn         // while Present
	err     error         // what calls return while not Present
	left    chan struct{} // closed when this view has been replaced
}

// news are what the state machine is told.
type news struct {
	event
	// generation is the one that the events of Present are news of.
	generation uint64
	reason     string
	conn       *conn // of evSame: what calls go through to from then on
	look       look  // of evSame
	readOnly   bool  // of evSame
}

// after returns the view that follows on news, or nil when they change nothing; the error tells of a
// bug. This is the whole state machine: it calls nothing, and nothing else makes a state.
func (v *view) after(n news, now time.Time) (*view, error) {
	if v.State == Present && n.generation != v.Generation {
		switch n.event {
		case evFailed, evRemoved, evDeadline:
			return nil, nil // of an earlier generation
		}
	}
	to, ignore, err := step(v.State, n.event)
	if ignore {
		return nil, err
	}
	w := &view{Status: v.Status, look: look{place: v.place}, left: make(chan struct{})}
	w.place.Generation = 0
	w.State, w.ReadOnly, w.Moved = to, false, ""
	switch to {
	case Present:
		w.Generation++
		w.Reason, w.Since = "", now
		w.conn, w.look, w.ReadOnly = n.conn, n.look, n.readOnly
		w.place.Generation = w.Generation
		w.opened = w.place.Path
	case Gone:
		if v.State == Present {
			w.Since = now
		}
		if n.reason != "" {
			w.Reason = n.reason
		}
	case Closed:
		w.Reason, w.Since = n.reason, now
	}
	if to != Present {
		w.err = &GoneError{to, w.Reason}
	}
	return w, nil
}
