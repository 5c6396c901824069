package watch

import "sync"

// buffers are what workers read into: the caller's own may be in other use by the time that a call which
// was given up on ends.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func (c *conn) read(p []byte, off int64) error {
	buf := buffers.Get().(*[]byte)
	if cap(*buf) < len(p) {
		*buf = make([]byte, len(p))
	}
	b := (*buf)[:len(p)]
	err := c.call("read", func() error {
		_, err := c.host.ReadAt(b, off)
		return err
	})
	if err != nil {
		return err // the buffer may belong to the call still
	}
	copy(p, b)
	buffers.Put(buf)
	return nil
}

func (c *conn) write(p []byte, off int64) error {
	return c.call("write", func() error {
		_, err := c.host.WriteAt(p, off)
		return err
	})
}

func (c *conn) sync() error { return c.call("sync", c.host.Sync) }

func (c *conn) probe() error { return c.call("probe", c.host.Probe) }

func (c *conn) zero(off, n int64) error {
	return c.call("zero", func() error { return c.host.ZeroAt(off, n) })
}

func (c *conn) discard(off, n int64) error {
	return c.call("discard", func() error { return c.host.DiscardAt(off, n) })
}

// A Candidate is what came back, while it is being verified: a device whose calls have deadlines.
type Candidate struct {
	conn *conn
	host Host
}

// Host is what Config.Open returned.
func (d *Candidate) Host() Host { return d.host }

// Size is the length in bytes.
func (d *Candidate) Size() int64 { return d.host.Size() }

// ReadAt reads from the host.
func (d *Candidate) ReadAt(p []byte, off int64) (int, error) {
	if err := d.conn.read(p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteAt writes to the host; p must not change after an error.
func (d *Candidate) WriteAt(p []byte, off int64) (int, error) {
	if err := d.conn.write(p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sync makes what was written durable.
func (d *Candidate) Sync() error { return d.conn.sync() }

// ZeroAt makes a range read as zeros.
func (d *Candidate) ZeroAt(off, n int64) error { return d.conn.zero(off, n) }
