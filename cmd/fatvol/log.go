package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// logLevel is what a mount logs.
func logLevel(debug, verbose bool) slog.Level {
	switch {
	case debug:
		return slog.LevelDebug
	case verbose:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// foregroundLog writes to standard error.
func foregroundLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// A loudHandler passes on what would be mere information as a warning: that the medium is back is of as much
// interest as that it went.
type loudHandler struct{ slog.Handler }

// Enabled asks for the level that a record will have.
func (h loudHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, loud(level))
}

// Handle passes a record on.
func (h loudHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = loud(r.Level)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler that adds attrs to each line.
func (h loudHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return loudHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup returns a handler that puts what follows into a group.
func (h loudHandler) WithGroup(name string) slog.Handler {
	return loudHandler{h.Handler.WithGroup(name)}
}

func loud(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelWarn
	}
	return level
}

// A lineSink takes the finished lines of a log, for instance the connection to syslog.
type lineSink interface {
	Send(level slog.Level, line string) error
	Close() error
}

// maxQueued bounds the lines that wait for the system's logger.
const maxQueued = 256

// A sinkHandler is a slog.Handler over a lineSink. It never makes its callers wait: the logger of
// the system might write to the very volume that the caller serves. Lines that find the queue
// full are dropped and counted.
type sinkHandler struct {
	slog.Handler // formats into line.buf, under line.mu
	line         *lineBuffer
	queue        *logQueue
}

type lineBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

type logQueue struct {
	lines   chan queuedLine
	dropped atomic.Int64
	stop    chan struct{} // closed to end run
	done    chan struct{} // closed by run
}

type queuedLine struct {
	level slog.Level
	text  string
}

// newSinkHandler starts sending to sink. close ends that, after what waits has been sent.
func newSinkHandler(sink lineSink, level slog.Level) *sinkHandler {
	line := &lineBuffer{}
	text := slog.NewTextHandler(&line.buf, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			// The system's logger adds these itself.
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		},
	})
	q := &logQueue{
		lines: make(chan queuedLine, maxQueued),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	go q.run(sink)
	return &sinkHandler{text, line, q}
}

// run sends lines as they come, and what is there once it is told to stop.
func (q *logQueue) run(sink lineSink) {
	defer close(q.done)
	defer sink.Close()
	for {
		select {
		case l := <-q.lines:
			q.send(sink, l)
			continue
		case <-q.stop:
		}
		for {
			select {
			case l := <-q.lines:
				q.send(sink, l)
				continue
			default:
			}
			return
		}
	}
}

func (q *logQueue) send(sink lineSink, l queuedLine) {
	// A logger that has gone away has nobody left to be told.
	_ = sink.Send(l.level, l.text)
	if n := q.dropped.Swap(0); n > 0 {
		_ = sink.Send(slog.LevelWarn, slog.Int64("dropped_log_lines", n).String())
	}
}

// Handle formats the record and queues it.
func (h *sinkHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	h.line.buf.Reset()
	err := h.Handler.Handle(ctx, r)
	text := string(bytes.TrimSpace(h.line.buf.Bytes()))
	h.line.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case h.queue.lines <- queuedLine{r.Level, text}:
	default:
		h.queue.dropped.Add(1)
	}
	return nil
}

// WithAttrs returns a handler that adds attrs to each line.
func (h *sinkHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sinkHandler{h.Handler.WithAttrs(attrs), h.line, h.queue}
}

// WithGroup returns a handler that puts what follows into a group.
func (h *sinkHandler) WithGroup(name string) slog.Handler {
	return &sinkHandler{h.Handler.WithGroup(name), h.line, h.queue}
}

// close sends what waits, for at most the given time; what is logged later goes nowhere.
func (h *sinkHandler) close(limit time.Duration) {
	close(h.queue.stop)
	select {
	case <-h.queue.done:
	case <-time.After(limit):
	}
}
