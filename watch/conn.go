package watch

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// errDeadline is returned for a call of the host that overran.
var errDeadline = errors.New("the host did not answer in time")

// maxCalls bounds the calls of one Medium that are under way, abandoned ones included: each may hold a
// thread for ever.
const maxCalls = 64

// A conn is a host with deadlines: every call runs on a worker, and a watchdog answers for those that
// overrun. The worker of such a call is abandoned: it, and the buffer it reads into, belong to the call
// until that ends.
type conn struct {
	host    Host
	timeout time.Duration
	slots   chan struct{} // one for each call that may be under way; shared by all conns of a Medium
	stuck   *atomic.Int64 // calls that were abandoned and have not ended
	calls   *atomic.Int64 // calls made

	jobs chan *job
	mu   sync.Mutex
	busy map[*job]struct{}
	quit chan struct{}
	once sync.Once
}

// A job is one call on its way.
type job struct {
	fn    func() error
	began time.Time
	state atomic.Uint32 // running, finished or abandoned
	err   error
	done  chan struct{}
}

const (
	running uint32 = iota
	finished
	abandoned
)

func (m *Medium) newConn(h Host) *conn {
	c := &conn{
		host: h, timeout: m.cfg.IOTimeout, slots: m.slots, stuck: &m.stuck, calls: &m.calls,
		jobs: make(chan *job), busy: make(map[*job]struct{}), quit: make(chan struct{}),
	}
	go c.watchdog()
	return c
}

// call runs fn, which makes one call of the host, and returns its error, or errDeadline after the
// timeout: then fn may still be running, and goes on for as long as it likes.
func (c *conn) call(op string, fn func() error) error {
	j := &job{fn: fn, began: time.Now(), done: make(chan struct{})}
	c.calls.Add(1)
	if err := c.start(j); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	<-j.done
	if j.state.Load() == abandoned {
		return fmt.Errorf("%s: %w (%v)", op, errDeadline, c.timeout)
	}
	return j.err
}

// start hands a job to a worker that waits, or to a new one.
func (c *conn) start(j *job) error {
	select {
	case c.slots <- struct{}{}:
	default:
		timer := time.NewTimer(c.timeout)
		defer timer.Stop()
		select {
		case c.slots <- struct{}{}:
		case <-timer.C:
			return errDeadline
		case <-c.quit:
			return errClosed
		}
	}
	c.mu.Lock()
	c.busy[j] = struct{}{}
	c.mu.Unlock()
	select {
	case c.jobs <- j:
	default:
		go c.worker(j)
	}
	return nil
}

var errClosed = errors.New("the connection to the host is closed")

// idleTime is how long a worker waits for another job.
const idleTime = 10 * time.Second

func (c *conn) worker(j *job) {
	timer := time.NewTimer(idleTime)
	defer timer.Stop()
	for {
		j.err = j.fn()
		c.end(j)
		timer.Reset(idleTime)
		select {
		case j = <-c.jobs:
		case <-timer.C:
			return
		case <-c.quit:
			return
		}
	}
}

// end takes over that the host answered.
func (c *conn) end(j *job) {
	c.mu.Lock()
	delete(c.busy, j)
	c.mu.Unlock()
	<-c.slots
	if j.state.CompareAndSwap(running, finished) {
		close(j.done)
	} else {
		c.stuck.Add(-1)
	}
}

// watchdog answers for calls that overrun.
func (c *conn) watchdog() {
	tick := time.NewTicker(max(c.timeout/16, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-c.quit:
			return
		case now := <-tick.C:
			for _, j := range c.overdue(now) {
				c.abandon(j)
			}
		}
	}
}

func (c *conn) overdue(now time.Time) (list []*job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for j := range c.busy {
		if now.Sub(j.began) >= c.timeout && j.state.Load() == running {
			list = append(list, j)
		}
	}
	return list
}

func (c *conn) abandon(j *job) {
	c.stuck.Add(1)
	if !j.state.CompareAndSwap(running, abandoned) {
		c.stuck.Add(-1)
		return
	}
	close(j.done)
}

// close lets go of the host: calls under way that nobody answered for are abandoned, and the descriptor
// is closed, without waiting for either.
func (c *conn) close() {
	c.once.Do(func() {
		close(c.quit)
		c.mu.Lock()
		left := make([]*job, 0, len(c.busy))
		for j := range c.busy {
			left = append(left, j)
		}
		c.mu.Unlock()
		for _, j := range left {
			c.abandon(j)
		}
		go c.host.Close()
	})
}
