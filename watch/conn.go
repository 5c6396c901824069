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
	losses atomic.Int64 // times that the medium went
	stuck  atomic.Int64 // calls given up on that have not ended; closing a host is among them from the start
}

// A conn is a host with deadlines. Each call runs on a worker, a goroutine that calls the host and does
// nothing else; whoever asked waits for an answer, which is the worker's or, when the call overruns or the
// conn ends, that of the watchdog. Then the call is abandoned: worker, thread and buffer belong to it until it
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
	ended   chan struct{} // closed when, besides, no call of it is under way any more
	free    sync.Pool     // of *job
	bad     atomic.Bool   // a call failed although the medium was there

	trial       trial
	unwritten   unwritten
	noWriteBack atomic.Bool   // the host has no means for it
	syncTurn    chan struct{} // has a token while a sync is under way
	pieces      int64         // written back at once, guarded by syncTurn; 0: one
	refused     bool          // a sync, by a host that takes no writes; guarded by syncTurn
	unsafe      error         // why a sync failed, which ends the generation; guarded by syncTurn

	watch watchdog

	progress atomic.Int64 // when a call last ended, or the first of several began, in nanoseconds of base
	base     time.Time
}

// A job is one call on its way.
type job struct {
	fn       func() error
	state    atomic.Uint32
	err      error         // what the call is answered with
	done     chan struct{} // gets one token when there is an answer; has room for it
	deadline int64         // in nanoseconds of base
	place    int           // among those that the watchdog has an eye on; guarded by its mutex
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
		quit:     make(chan struct{}), closed: make(chan struct{}), ended: make(chan struct{}), base: time.Now(),
	}
	c.quick, _ = h.(noWaiter)
	c.watch.wake = make(chan struct{}, 1)
	go c.guard()
	return c
}

// newJob returns a job. Pooled ones are of this conn: channels may not travel between tests with time of their
// own.
func (c *conn) newJob(fn func() error, deadline int64) *job {
	j, _ := c.free.Get().(*job)
	if j == nil {
		j = &job{done: make(chan struct{}, 1)}
	}
	j.fn, j.err, j.deadline = fn, nil, deadline
	j.state.Store(running)
	return j
}

// call runs fn, which makes one call of the host, and returns its error. It returns errDeadline when
// the timeout has passed since began, and errClosed when the conn ends, and then fn may go on for as
// long as it likes.
func (c *conn) call(op string, began time.Time, fn func() error) error {
	j := c.newJob(fn, int64(began.Sub(c.base)+c.timeout))
	err := c.start(j)
	if err == nil {
		<-j.done
		if err = j.err; j.state.Load() == finished {
			c.watch.leave(j)
			j.fn, j.err = nil, nil
			c.free.Put(j)
			return err
		}
	}
	if err == errDeadline {
		return fmt.Errorf("%s: %w (%v)", op, err, c.timeout)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// start hands a job to a worker, once there is a slot. On an error the job was not started.
func (c *conn) start(j *job) error {
	select {
	case <-c.quit:
		return errClosed
	default:
	}
	select {
	case c.slots <- struct{}{}:
	default:
		timer := time.NewTimer(time.Duration(j.deadline) - time.Since(c.base))
		defer timer.Stop()
		select {
		case c.slots <- struct{}{}:
		case <-timer.C:
			return errDeadline
		case <-c.quit:
			return errClosed
		}
	}
	if !c.watch.enter(j) {
		<-c.slots
		return errClosed
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
	case <-c.quit:
		<-c.slots
		c.watch.leave(j)
		if !j.state.CompareAndSwap(running, finished) {
			c.meter.stuck.Add(-1) // the watchdog took it for one that a worker has
		}
		return errClosed
	}
	return nil
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
	var err error
	if j.state.Load() == running {
		if err = j.fn(); errors.Is(err, fs.ErrClosed) {
			err = errClosed // by close, between the start of the call and its arrival
		}
	}
	c.progress.Store(int64(time.Since(c.base)))
	<-c.slots
	if j.state.CompareAndSwap(running, finished) {
		j.err = err
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
			for range maxCalls { // each call has a slot until it ends, and holds the open file as long
				c.slots <- struct{}{}
			}
			close(c.ended)
		}()
	})
}
