package automount

import (
	"context"
	"log/slog"
	"time"
)

// A Notifier speaks to the desktop.
type Notifier interface {
	// Notify shows a notice, in the place of the last one about the same thing.
	Notify(ctx context.Context, n notice) error
	// Chosen is what the user chooses in notices.
	Chosen() <-chan choice
	Close()
}

// A choice is a button of a notice.
type choice struct {
	about string // of the notice
	key   string // keyOpen or keyEject
}

const (
	keyOpen  = "default"
	keyEject = "eject"
)

// maxWaiting bounds the notices that wait for a desktop that does not answer.
const maxWaiting = 64

// noticeTime bounds the wait for the desktop to take a notice.
const noticeTime = 10 * time.Second

// A herald hands notices to a Notifier, in order, from a goroutine of its own: a desktop that hangs holds up
// nothing but notices.
type herald struct {
	queue chan notice
	done  chan struct{}
}

func newHerald(ctx context.Context, to Notifier, log *slog.Logger) *herald {
	h := &herald{make(chan notice, maxWaiting), make(chan struct{})}
	go func() {
		defer close(h.done)
		failing := false
		for n := range h.queue {
			ctx, cancel := context.WithTimeout(ctx, noticeTime)
			err := to.Notify(ctx, n)
			cancel()
			if err != nil && !failing {
				log.Warn("the desktop cannot be told; this is said once", "err", err)
			}
			failing = err != nil
		}
	}()
	return h
}

// tell queues a notice. One that finds the queue full is lost; the log has it.
func (h *herald) tell(n notice) {
	select {
	case h.queue <- n:
	default:
	}
}

// NoNotifier says nothing.
type NoNotifier struct{}

// Notify implements Notifier.
func (NoNotifier) Notify(context.Context, notice) error { return nil }

// Chosen implements Notifier.
func (NoNotifier) Chosen() <-chan choice { return nil }

// Close implements Notifier.
func (NoNotifier) Close() {}
