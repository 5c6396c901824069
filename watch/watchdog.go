package watch

import (
	"sync"
	"time"
)

// A watchdog answers for a host that does not. It has an eye on the calls under way instead of each of them
// having a timer and looking out for the end of the conn by itself: that would be as much work again as handing
// a call to a worker is.
type watchdog struct {
	mu    sync.Mutex // guards what follows; nothing is called under it
	calls []*job
	next  int64 // when it looks next, in nanoseconds of base; 0: when it is woken
	ended bool  // nobody enters any more

	wake chan struct{}
}

// enter puts a job under its eyes, until it leaves. It returns false when the conn has ended.
func (w *watchdog) enter(j *job) bool {
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return false
	}
	j.place = len(w.calls)
	w.calls = append(w.calls, j)
	// Deadlines mostly come in the order of calls, so this happens once in many.
	sooner := w.next == 0 || j.deadline < w.next
	if sooner {
		w.next = j.deadline
	}
	w.mu.Unlock()
	if sooner {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// leave takes a job away that has been answered. After it the job may be used again.
func (w *watchdog) leave(j *job) {
	w.mu.Lock()
	w.removeLocked(j)
	w.mu.Unlock()
}

func (w *watchdog) removeLocked(j *job) {
	if j.place < 0 {
		return
	}
	last := len(w.calls) - 1
	w.calls[j.place] = w.calls[last]
	w.calls[j.place].place = j.place
	w.calls[last] = nil
	w.calls = w.calls[:last]
	j.place = -1
}

// guard is the watchdog's goroutine.
func (c *conn) guard() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-c.quit:
			c.abandon(errClosed, func(*job) bool { return true })
			return
		case <-c.watch.wake:
		case <-timer.C:
		}
		now := int64(time.Since(c.base))
		if next := c.abandon(errDeadline, func(j *job) bool { return j.deadline <= now }); next != 0 {
			timer.Reset(time.Duration(next - now))
		}
	}
}

// abandon answers the calls that are to be given up, and returns when the next one is due, or 0. A job cannot
// be used again meanwhile, as for that it has to leave.
func (c *conn) abandon(why error, which func(*job) bool) (next int64) {
	w := &c.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = w.ended || why == errClosed
	for i := len(w.calls) - 1; i >= 0; i-- {
		j := w.calls[i]
		if !which(j) {
			if next == 0 || j.deadline < next {
				next = j.deadline
			}
			continue
		}
		w.removeLocked(j)
		c.meter.stuck.Add(1)
		if j.state.CompareAndSwap(running, abandoned) {
			j.err = why
			j.done <- struct{}{}
		} else { // it has its answer
			c.meter.stuck.Add(-1)
		}
	}
	w.next = next
	return next
}
