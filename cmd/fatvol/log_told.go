package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
)

// A toldHandler is the log of a command that somebody has called and waits for: what is worth a warning becomes a
// message like the others of the program, without what only helps who reads a log later.
type toldHandler struct {
	w     io.Writer
	about string // the image
	attrs []slog.Attr
}

// Enabled leaves out what is mere information.
func (h toldHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

// Handle tells a record, in one line.
func (h toldHandler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	add := func(a slog.Attr) bool {
		if a.Key == "error" || a.Key == "err" {
			text += ": " + a.Value.String()
		} else {
			text += ", " + a.String()
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	if r.Level < slog.LevelError {
		text = "WARNING: " + text
	}
	tell(h.w, "%s: %s", h.about, text)
	return nil
}

// WithAttrs returns a handler that adds attrs to each message.
func (h toldHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = slices.Concat(h.attrs, attrs)
	return h
}

// WithGroup returns the handler: the messages have no groups.
func (h toldHandler) WithGroup(string) slog.Handler { return h }
