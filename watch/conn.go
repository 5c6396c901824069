package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"
)

// Why a call ended without the host's answer.
var (
	// errDeadline: it overran.
	errDeadline = errors.New("the host did not answer in time")
	// errClosed: the medium went, or was closed, in the meantime.
	errClosed = errors.New("the image was let go")
)

const (
	// maxCalls bounds the calls of one conn that are under way: each may hold a thread.
	maxCalls = 64
	// maxStuck bounds the calls of a Medium that it gave up on and that have not ended: with so many,
	// it does not look at the path again.
	maxStuck = 64
)

// A meter counts, over the life of a Medium.
type meter struct {
	calls  atomic.Int64 // calls of open hosts
	errors atomic.Int64 // those that failed
	looks  atomic.Int64 // attempts to open the image again
	stuck  atomic.Int64 // calls given up on that have not ended; closing a host is among them from the start
}

// A conn is a host with deadlines. Each call runs on a worker, a goroutine that calls the host and does
// nothing else; whoever asked waits for the answer, the deadline, or the end of the conn, whichever is
// first. In the last two cases the call is abandoned: worker, thread and buffer belong to it until it
// ends, which may be never.
type conn struct {
	host    Host
	quick   noWaiter // host, if it is one
	timeout time.Duration
	meter   *meter
	slots   chan struct{} // one for each call under way, abandoned ones included
	workers atomic.Int64
	jobs    chan *job
	quit    chan struct{}
	once    sync.Once
	closed  chan struct{} // closed when the host has been
	free    sync.Pool     // of *job
	bad     atomic.Bool   // a call failed although the medium was there

	trial       trial
	unwritten   unwritten
	noWriteBack atomic.Bool   // the host has no means for it
	syncTurn    chan struct{} // has a token while a sync is under way

	progress atomic.Int64 // when a call last ended, or the first of several began, in nanoseconds of base
	base     time.Time
}

// A job is one call on its way.
type job struct {
	fn    func() error
	state atomic.Uint32
	err   error         // of fn, when finished
	done  chan struct{} // gets one token when finished; has room for it
	timer *time.Timer
}

// States of a job.
const (
	running uint32 = iota
	finished
	abandoned
)

func newConn(h Host, timeout time.Duration, meter *meter) *conn {
	c := &conn{
		host: h, timeout: timeout, meter: meter,
		slots: make(chan struct{}, maxCalls), jobs: make(chan *job),
		syncTurn: make(chan struct{}, 1),
		quit:     make(chan struct{}), closed: make(chan struct{}), base: time.Now(),
	}
	c.quick, _ = h.(noWaiter)
	return c
}

// newJob returns a job whose timer runs. Pooled ones are of this conn: neither timers nor channels may
// travel between tests with time of their own.
func (c *conn) newJob(fn func() error, left time.Duration) *job {
	j, _ := c.free.Get().(*job)
	if j == nil {
		j = &job{done: make(chan struct{}, 1), timer: time.NewTimer(left)}
	} else {
		j.timer.Reset(left)
	}
	j.fn, j.err = fn, nil
	j.state.Store(running)
	return j
}

// call runs fn, which makes one call of the host, and returns its error. It returns errDeadline when
// the timeout has passed since began, and errClosed when the conn ends, and then fn may go on for as
// long as it likes.
func (c *conn) call(op string, began time.Time, fn func() error) error {
	select {
	case <-c.quit:
		return fmt.Errorf("%s: %w", op, errClosed)
	default:
	}
	j := c.newJob(fn, c.timeout-time.Since(began))
	if err := c.start(j); err != nil {
		j.timer.Stop()
		return c.noAnswer(op, err)
	}
	var why error
	select {
	case <-j.done:
		return c.finish(j)
	case <-j.timer.C:
		why = errDeadline
	case <-c.quit:
		why = errClosed
	}
	c.meter.stuck.Add(1)
	if !j.state.CompareAndSwap(running, abandoned) {
		c.meter.stuck.Add(-1)
		<-j.done
		return c.finish(j)
	}
	j.timer.Stop()
	return c.noAnswer(op, why)
}

func (c *conn) noAnswer(op string, why error) error {
	if why == errDeadline {
		return fmt.Errorf("%s: %w (%v)", op, why, c.timeout)
	}
	return fmt.Errorf("%s: %w", op, why)
}

// finish takes the answer of a job, which is used again.
func (c *conn) finish(j *job) error {
	err := j.err
	j.timer.Stop()
	j.fn, j.err = nil, nil
	c.free.Put(j)
	return err
}

// start hands a job to a worker, once there is a slot.
func (c *conn) start(j *job) error {
	select {
	case c.slots <- struct{}{}:
	default:
		select {
		case c.slots <- struct{}{}:
		case <-j.timer.C:
			return errDeadline
		case <-c.quit:
			return errClosed
		}
	}
	c.meter.calls.Add(1)
	if len(c.slots) == 1 {
		c.progress.Store(int64(time.Since(c.base)))
	}
	select {
	case c.jobs <- j:
		return nil
	default:
	}
	if c.workers.Add(1) <= maxCalls {
		go c.work(j)
		return nil
	}
	// There are as many workers as slots: one of them is on its way to the next job.
	c.workers.Add(-1)
	select {
	case c.jobs <- j:
		return nil
	case <-c.quit:
		<-c.slots
		return errClosed
	}
}

// work is a worker.
func (c *conn) work(j *job) {
	for {
		c.do(j)
		select {
		case j = <-c.jobs:
		case <-c.quit:
			return
		}
	}
}

// do makes one call.
func (c *conn) do(j *job) {
	if j.state.Load() == running {
		if j.err = j.fn(); errors.Is(j.err, fs.ErrClosed) {
			j.err = errClosed // by close, between the start of the call and its arrival
		}
	}
	c.progress.Store(int64(time.Since(c.base)))
	<-c.slots
	if j.state.CompareAndSwap(running, finished) {
		j.done <- struct{}{}
	} else {
		c.meter.stuck.Add(-1)
	}
}

// sluggish is how long the host may take for a call before it is asked nothing without a worker.
const sluggish = 20 * time.Millisecond

// prompt reports whether the host has answered lately, or has not been asked.
func (c *conn) prompt() bool {
	return len(c.slots) == 0 || time.Since(c.base)-time.Duration(c.progress.Load()) < sluggish
}

// close lets go of the host: those who wait for an answer get errClosed, later calls too, and the
// descriptor is closed. It waits for nothing.
func (c *conn) close() {
	c.once.Do(func() {
		close(c.quit)
		c.meter.stuck.Add(1)
		go func() {
			c.host.Close()
			c.meter.stuck.Add(-1)
			close(c.closed)
		}()
	})
}
