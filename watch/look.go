package watch

import (
	"context"
	"errors"
	"time"
)

// doubts looks at the medium whenever somebody wonders about it: one look at a time, and however many
// wonder meanwhile, one more.
func (m *Medium) doubts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.doubt:
			m.inspect()
		}
	}
}

// Doubt asks for a look at the medium.
func (m *Medium) Doubt() {
	select {
	case m.doubt <- struct{}{}:
	default:
	}
}

// inspect probes the medium, and takes note of what has become of the image and the host. While the
// medium is not Present it does nothing.
func (m *Medium) inspect() {
	v := m.cur.Load()
	if v.conn == nil {
		return
	}
	l, err := v.conn.look(time.Now(), v.place)
	switch {
	case err == nil:
		m.learn(v, l)
	case !errors.Is(err, errClosed) && meaningOf(err) != harmless:
		_ = m.lose(v, err)
	}
}

// learn takes over what a look has found.
func (m *Medium) learn(v *view, l look) {
	if v.hostReadOnly && !l.hostReadOnly && m.writable && !v.conn.writable() {
		// It could only be opened for reading, and need not be any more.
		m.transition(news{event: evRemoved, generation: v.Generation, reason: "the host takes writes again; the image is being reopened"})
		m.Look()
		return
	}
	m.amend(v, func(w *view) {
		// A host that says that it takes writes has not said so before it was asked for one.
		w.refused = w.refused && !(w.hostReadOnly && !l.hostReadOnly)
		w.hostReadOnly = l.hostReadOnly
		w.ReadOnly = w.refused || m.takesNoWrites(l, v.conn)
		switch l.place.Path {
		case "": // it cannot be said
		case w.opened:
			w.Moved = ""
		default:
			if w.opened != "" {
				w.Moved = l.place.Path
			}
		}
		w.place = l.place
	})
}

// takesNoWrites reports whether an image that was opened for writing cannot be written to now.
func (m *Medium) takesNoWrites(l look, c *conn) bool {
	return m.writable && (l.hostReadOnly || !c.writable())
}

// leaves lets the image go when the host is being unmounted under it: what is held back is written
// first, so that the medium is whole and free.
func (m *Medium) leaves(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-m.leave:
			v := m.cur.Load()
			if v.State != Present || v.Generation != r.Generation {
				continue
			}
			if m.cfg.Leaving == nil {
				_ = m.Sync()
			} else if err := m.leaving(ctx, v); err != nil {
				r.Detail += "; what was held back could not be written: " + err.Error()
			}
			m.transition(news{event: evRemoved, generation: r.Generation, reason: r.Detail})
		}
	}
}

// leaving calls cfg.Leaving, whose ctx ends with the generation.
func (m *Medium) leaving(ctx context.Context, v *view) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-v.conn.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	return m.cfg.Leaving(ctx)
}
