package watch

import (
	"context"
	"io"
	"sync/atomic"
)

// askFor has open, which may take for ever, make something under the deadline. What it makes too late is
// closed.
func askFor[T io.Closer](ctx context.Context, s *Scene, op string, open func() (T, error)) (T, error) {
	var made T
	var taken atomic.Bool // by the first of the two that want to decide what becomes of made
	err := s.Ask(ctx, op, func() error {
		t, err := open()
		if err != nil {
			return err
		}
		made = t
		if taken.Swap(true) {
			t.Close()
		}
		return nil
	})
	if err == nil {
		return made, nil
	}
	if taken.Swap(true) {
		made.Close()
	}
	var none T
	return none, err
}
