package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

const (
	// A verification may take as long as so many calls that just keep their deadlines, or minVerify,
	// as what has to be written again may be much, and the medium slow.
	verifyCalls = 8
	minVerify   = 5 * time.Minute
)

// Look asks the verifier to look at the path, now or when the medium goes.
func (m *Medium) Look() {
	select {
	case m.seen <- struct{}{}:
	default:
	}
}

// returns is the verifier: the only goroutine that looks at what came back, and the only one that leads
// out of Gone. It looks when something was seen, and by itself less and less often; never more than
// once in minLook.
func (m *Medium) returns(ctx context.Context) {
	if m.cfg.Never {
		return
	}
	timer := time.NewTimer(maxLook)
	defer timer.Stop()
	var p pace
	for {
		v := m.cur.Load()
		if v.State != Gone {
			select {
			case <-ctx.Done():
				return
			case <-v.left:
			}
			continue
		}
		p.begin(v.Since)
		timer.Reset(time.Until(p.next))
		select {
		case <-ctx.Done():
			return
		case <-m.seen:
			p.hurry(time.Now())
			continue
		case <-timer.C:
		}
		// Where an attempt to open the image hangs still, time alone is no reason for another.
		if p.event || m.opening.Load() == 0 {
			if m.verify(ctx) {
				p.back = time.Now()
			}
		}
		p.looked(time.Now())
	}
}

// verify looks once at what is at the path, and reports whether the medium is back.
func (m *Medium) verify(ctx context.Context) bool {
	m.awaitRelease(ctx, minLook)
	m.meter.looks.Add(1)
	h, err := m.reopen(ctx)
	// A host that answers again ends what hung in it one call after the other, and each may take its time.
	if err != nil && !absent(err) && m.awaitRelease(ctx, m.cfg.IOTimeout) {
		h, err = m.reopen(ctx)
	}
	if err != nil {
		if !absent(err) && m.transition(news{event: evSeen}) {
			m.refuse(err)
		}
		m.cfg.Log.Debug("the image cannot be opened", "image", m.cfg.Path, "error", err)
		return false
	}
	c := newConn(h, m.cfg.IOTimeout, &m.meter)
	ctx, cancel := context.WithTimeout(ctx, max(verifyCalls*m.cfg.IOTimeout, minVerify))
	defer cancel()
	stop := context.AfterFunc(ctx, c.close)
	// A host that died and is mounted still gives out files from its cache: only what the medium
	// itself answers is looked at.
	l, err := c.look(time.Now(), Place{Asked: absolute(m.cfg.Path)})
	if err != nil || !m.transition(news{event: evSeen}) {
		c.close()
		m.cfg.Log.Debug("nothing alive is at the image's path", "image", m.cfg.Path, "error", err)
		return false
	}
	err = m.examine(ctx, c)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err == nil && m.transition(news{event: evSame, conn: c, look: l, readOnly: m.takesNoWrites(l, c)}) {
		return true
	}
	c.close()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("it took longer than %v to verify", max(verifyCalls*m.cfg.IOTimeout, minVerify))
	}
	m.refuse(err)
	return false
}

// awaitRelease waits until the open file of the generation before is closed: the lock of that would keep the image from
// being opened again, as if it were somebody else's. A host that hangs may never let go of it, so it waits for
// d at most. It reports whether there was something to wait for, and it came.
func (m *Medium) awaitRelease(ctx context.Context, d time.Duration) bool {
	c := m.left.Load()
	if c == nil {
		return false
	}
	select {
	case <-c.ended:
		return false
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.ended:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// examine returns nil if c is the image that was left.
func (m *Medium) examine(ctx context.Context, c *conn) error {
	if n := c.host.Size(); n != m.size {
		longer := "shorter" // and no number that changes: one line in the log while it is copied back
		if n > m.size {
			longer = "longer"
		}
		return fmt.Errorf("the image is %s than the %d bytes that it had", longer, m.size)
	}
	if err := m.cfg.Verify(ctx, &Candidate{c}); err != nil {
		return err
	}
	// What was read came from the host's cache in part. The medium must be there still.
	return c.probe(time.Now())
}

// refuse ends a verification. Its reason stays what it was if the medium only went again.
func (m *Medium) refuse(err error) {
	n := news{event: evRefused}
	if err != nil && !absent(err) {
		n.reason = err.Error()
	}
	m.transition(n)
}

// absent reports whether an error says no more than that nothing is there, or that it went again.
func absent(err error) bool {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, errClosed),
		errors.Is(err, errTooMany), errors.Is(err, context.Canceled):
		return true
	case isReadOnly(err):
		return false
	}
	return meaningOf(err) != harmless
}

// reopen opens the image under the deadline.
func (m *Medium) reopen(ctx context.Context) (Host, error) {
	var h Host
	err := m.aside(ctx, "open", func() error {
		m.opening.Add(1)
		defer m.opening.Add(-1)
		got, err := m.cfg.Open()
		h = got
		return err
	}, func(err error) {
		if err == nil {
			h.Close()
		}
	})
	if err != nil {
		return nil, err // h may belong to the call still
	}
	return h, nil
}
