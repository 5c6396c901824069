package image

import (
	"errors"
	"fmt"
	"time"
)

// ErrLocked is returned when an image is in use by somebody else. See LockedError.
var ErrLocked = errors.New("in use")

// holderTime bounds the search for whoever uses an image: a name in an error is worth a moment.
const holderTime = 3 * time.Second

// LockedError is returned when an image cannot be had alone (for writing), or without a writer
// (for reading). It wraps ErrLocked.
type LockedError struct {
	Path  string
	Write bool // it was to be opened for writing
	// Holder is who uses it, as far as that can be known: "process 4711 (fatvol), mounted on
	// /mnt", "loop device /dev/loop0". Empty: somebody.
	Holder string
	// Advice is what to do about it; may be empty.
	Advice string
}

func (e *LockedError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "another program"
	}
	s := fmt.Sprintf("%s: %v by %s", e.Path, ErrLocked, holder)
	if !e.Write {
		s = fmt.Sprintf("%s: %v for writing by %s", e.Path, ErrLocked, holder)
	}
	if e.Advice != "" {
		s += ": " + e.Advice
	}
	return s
}

func (e *LockedError) Unwrap() error { return ErrLocked }

// within returns what fn returns, or the zero value if that takes longer than d: parts of a search
// may touch a host that hangs. fn is left to itself then.
func within[T any](d time.Duration, fn func() T) (result T) {
	done := make(chan T, 1)
	go func() { done <- fn() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case result = <-done:
	case <-timer.C:
	}
	return result
}
