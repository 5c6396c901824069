package watch

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// errTooMany is returned when so many calls are stuck that no further one is risked.
var errTooMany = errors.New("too many calls of the host have not ended")

// aside runs fn, which may block for ever, on a goroutine of its own, and returns its error, errDeadline
// after the timeout, or that of ctx. late, if there is one, runs when a call that was given up on ends
// after all; the call keeps whatever it uses until then.
func (m *Medium) aside(ctx context.Context, op string, fn func() error, late func(error)) error {
	if m.meter.stuck.Load() >= maxStuck {
		return fmt.Errorf("%s: %w", op, errTooMany)
	}
	var state atomic.Uint32
	answer := make(chan error, 1)
	go func() {
		err := fn()
		if state.CompareAndSwap(running, finished) {
			answer <- err
			return
		}
		if late != nil {
			late(err)
		}
		m.meter.stuck.Add(-1)
	}()
	timer := time.NewTimer(m.cfg.IOTimeout)
	defer timer.Stop()
	var why error
	select {
	case err := <-answer:
		return err
	case <-timer.C:
		why = fmt.Errorf("%s: %w (%v)", op, errDeadline, m.cfg.IOTimeout)
	case <-ctx.Done():
		why = fmt.Errorf("%s: %w", op, ctx.Err())
	}
	m.meter.stuck.Add(1)
	if !state.CompareAndSwap(running, abandoned) {
		m.meter.stuck.Add(-1)
		return <-answer
	}
	return why
}
