package watch

import (
	"errors"
	"sync"
	"syscall"
	"time"
)

// buffers are what workers read into: the caller's own may be in other use by the time that a call which
// was given up on ends.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func (c *conn) read(began time.Time, p []byte, off int64) error {
	if c.quick != nil && c.prompt() {
		if done, err := c.quick.ReadNoWait(p, off); done && err == nil {
			return nil
		}
	}
	buf := buffers.Get().(*[]byte)
	if cap(*buf) < len(p) {
		*buf = make([]byte, len(p))
	}
	b := (*buf)[:len(p)]
	err := c.call("read", began, func() error {
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

func (c *conn) write(began time.Time, p []byte, off int64) error {
	c.unwritten.add(off, int64(len(p)))
	return c.call("write", began, func() error {
		_, err := c.host.WriteAt(p, off)
		return err
	})
}

// sync makes what was written durable. A host that turned read-only says that it has, and has not.
func (c *conn) sync() error {
	done, err := c.syncing()
	if err != nil {
		return err
	}
	defer done()
	if c.unsafe != nil {
		return c.unsafe // nobody has heard of it yet, and a host may say so once only
	}
	var turned readOnlyError
	switch err = c.syncNow(); {
	case errors.As(err, &turned): // after a sync that succeeded
	case isReadOnly(err):
		c.refused = true
	case err == nil && c.refused:
		// What it refused to write it may have dropped, and not say so again.
		c.unsafe = errors.New("the host takes writes again after a sync that it refused")
	default:
		c.unsafe = err
	}
	if c.unsafe != nil {
		return c.unsafe
	}
	return err
}

// syncNow is sync for who has the turn.
func (c *conn) syncNow() error {
	if err := c.writeBack(); err != nil {
		return err
	}
	return c.call("sync", time.Now(), func() error {
		if err := c.host.Sync(); err != nil {
			return err
		}
		if ro, err := c.hostReadOnly(); err == nil && ro && c.writable() {
			return readOnlyError{"sync"}
		}
		return nil
	})
}

// zero makes a range read as zeros that is no longer than a piece.
func (c *conn) zero(began time.Time, off, n int64) error {
	c.unwritten.add(off, n)
	return c.call("zero", began, func() error { return c.host.ZeroAt(off, n) })
}

func (c *conn) discard(began time.Time, off, n int64) error {
	return c.call("discard", began, func() error { return c.host.DiscardAt(off, n) })
}

// room is how many bytes the host has room for, or 0 where it does not say.
func (c *conn) room(began time.Time) (int64, error) {
	t, ok := c.host.(roomTeller)
	if !ok {
		return 0, nil
	}
	var room int64
	err := c.call("statfs", began, func() error {
		n, err := t.HostRoom()
		room = n
		return err
	})
	if err != nil {
		return 0, err // room may belong to the call still
	}
	return room, nil
}

// probe is one uncached read.
func (c *conn) probe(began time.Time) error {
	return c.call("probe", began, c.host.Probe)
}

// A look is what a probe finds out, besides whether the medium is there.
type look struct {
	place        Place
	hostReadOnly bool // the host is mounted read-only
}

// look probes, and looks what has become of the image and the host. was is what was known of its place.
func (c *conn) look(began time.Time, was Place) (look, error) {
	var l look
	err := c.call("probe", began, func() error {
		if err := c.host.Probe(); err != nil {
			return err
		}
		found := look{place: locate(c.host, was)}
		found.hostReadOnly, _ = c.hostReadOnly()
		l = found
		return nil
	})
	if err != nil {
		return look{}, err // l may belong to the call still
	}
	return l, nil
}

// locate finds out where the image is; was is what is known without asking.
func (c *conn) locate(was Place) Place {
	var p Place
	err := c.call("locate", time.Now(), func() error {
		p = locate(c.host, was)
		return nil
	})
	if err != nil {
		return was
	}
	return p
}

// hostReadOnly reports whether the host takes no writes, as far as it can say. Runs on a worker.
func (c *conn) hostReadOnly() (bool, error) {
	if t, ok := c.host.(readOnlyTeller); ok {
		return t.HostReadOnly()
	}
	return false, nil
}

// writable reports whether the image was opened for writing.
func (c *conn) writable() bool {
	t, ok := c.host.(writableTeller)
	return !ok || t.Writable()
}

// isReadOnly reports whether an error says that the host takes no writes.
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
