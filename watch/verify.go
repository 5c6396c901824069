package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

const (
	// The time between two looks at the path while the medium is gone, where no event asks for one.
	minLook = time.Second
	maxLook = 30 * time.Second
	// verifyCalls bounds a verification, in deadlines of one call.
	verifyCalls = 8
)

// returns is the verifier: the only goroutine that looks at what came back. It looks when something
// was seen, and by itself less and less often, never more than once in minLook.
func (m *Medium) returns(ctx context.Context) {
	wait := minLook
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var last time.Time
	for {
		event := false
		select {
		case <-ctx.Done():
			return
		case <-m.seen:
			event = true
		case <-timer.C:
		}
		if m.Status().State != Gone || m.cfg.Never {
			wait = minLook
			timer.Reset(wait)
			continue
		}
		if pause := minLook - time.Since(last); event && pause > 0 {
			// Events come in swarms; the last of them matters as much as the first.
			timer.Reset(pause)
			continue
		}
		m.verify(ctx)
		last = time.Now()
		wait = min(2*wait, maxLook)
		timer.Reset(wait)
	}
}

// Look asks the verifier to look at the path.
func (m *Medium) Look() {
	select {
	case m.seen <- struct{}{}:
	default:
	}
}

// verify looks once at what is at the path.
func (m *Medium) verify(ctx context.Context) {
	if m.stuck.Load() >= maxCalls {
		return // every thread that we allow ourselves is stuck in a call: nothing could be asked
	}
	before := m.Status().Reason
	if !m.transition(evSeen, 0, "", nil) {
		return
	}
	attempt := m.cur.Load().attempt
	ctx, cancel := context.WithTimeout(ctx, verifyCalls*m.cfg.IOTimeout)
	defer cancel()
	c, err := m.reopen(ctx)
	if err == nil {
		err = m.cfg.Verify(ctx, &Candidate{c, c.host})
		if err == nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		if err == nil && m.transition(evSame, attempt, "", c) {
			m.cfg.Log.Info("medium is back", "image", m.cfg.Path, "generation", m.Status().Generation)
			return
		}
		c.close()
	}
	reason := ""
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		reason = err.Error()
	}
	if m.transition(evRefused, attempt, reason, nil) && reason != "" && reason != before {
		m.cfg.Log.Warn("something is at the image's path, and it is not what was there", "image", m.cfg.Path, "reason", reason)
	}
}

// reopen opens the image under the deadline.
func (m *Medium) reopen(ctx context.Context) (*conn, error) {
	type result struct {
		h   Host
		err error
	}
	got := make(chan result, 1)
	m.calls.Add(1)
	select {
	case m.slots <- struct{}{}:
	default:
		return nil, errDeadline
	}
	timer := time.NewTimer(m.cfg.IOTimeout)
	defer timer.Stop()
	go func() {
		h, err := m.cfg.Open()
		<-m.slots
		got <- result{h, err}
	}()
	giveUp := func(err error) (*conn, error) {
		m.stuck.Add(1)
		go func() {
			r := <-got
			m.stuck.Add(-1)
			if r.err == nil {
				r.h.Close()
			}
		}()
		return nil, err
	}
	select {
	case r := <-got:
		if r.err != nil {
			return nil, r.err
		}
		if r.h.Size() != m.size {
			r.h.Close()
			return nil, fmt.Errorf("the image has %d bytes, expected %d", r.h.Size(), m.size)
		}
		return m.newConn(r.h), nil
	case <-timer.C:
		return giveUp(fmt.Errorf("open: %w", errDeadline))
	case <-ctx.Done():
		return giveUp(ctx.Err())
	}
}
