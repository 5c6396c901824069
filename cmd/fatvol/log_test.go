package main

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// memorySink keeps lines; while held is locked, it accepts none.
type memorySink struct {
	held   sync.Mutex
	mu     sync.Mutex
	lines  []string
	closed bool
}

func (s *memorySink) Send(level slog.Level, line string) error {
	s.held.Lock()
	defer s.held.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, level.String()+" "+line)
	return nil
}

func (s *memorySink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func TestSinkHandler(t *testing.T) {
	sink := &memorySink{}
	h := newSinkHandler(sink, slog.LevelInfo)
	log := slog.New(h).With("image", "/a b.img")
	log.Debug("not this")
	log.Info("mounted", "dir", "/mnt")
	log.WithGroup("g").Error("bad", "err", "two\nlines")
	h.close(time.Minute)
	want := []string{
		`INFO msg=mounted image="/a b.img" dir=/mnt`,
		`ERROR msg=bad image="/a b.img" g.err="two\nlines"`,
	}
	if strings.Join(sink.lines, "|") != strings.Join(want, "|") || !sink.closed {
		t.Errorf("got %q, closed %v", sink.lines, sink.closed)
	}
	log.Info("too late") // goes nowhere, and must not panic
}

// A logger that hangs costs lines, and never the time of those who log.
func TestSinkThatHangs(t *testing.T) {
	sink := &memorySink{}
	sink.held.Lock()
	h := newSinkHandler(sink, slog.LevelInfo)
	log := slog.New(h)
	for i := range 3 * maxQueued {
		log.Info("line", "i", i)
	}
	if h.queue.dropped.Load() < maxQueued {
		t.Errorf("%d lines were dropped", h.queue.dropped.Load())
	}
	sink.held.Unlock()
	h.close(time.Minute)
	if n := len(sink.lines); n < maxQueued || n > 2*maxQueued {
		t.Errorf("%d lines arrived", n)
	}
	if !strings.Contains(strings.Join(sink.lines, "\n"), "dropped_log_lines=") {
		t.Error("nobody is told that lines were dropped")
	}
}
