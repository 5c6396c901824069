package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"fatvol/fs"
)

// signalWatch are the signals that ask a serving process to end. From its creation on they no
// longer end the process by themselves, and they never do so again: the volume is first written.
type signalWatch struct {
	asked chan os.Signal
}

// catchSignals starts to catch. A hang-up means nothing to a process in the background; one in
// the foreground loses its terminal by it, and unmounts, unless it was started to outlive that.
func catchSignals(background bool) *signalWatch {
	w := &signalWatch{make(chan os.Signal, 4)}
	if background {
		signal.Ignore(syscall.SIGHUP)
		signal.Notify(w.asked, syscall.SIGINT, syscall.SIGTERM)
	} else {
		signal.Notify(w.asked, heeded(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)...)
	}
	// A reader of our log that goes away is no reason to end.
	signal.Ignore(syscall.SIGPIPE)
	return w
}

// serve answers signals until gone is closed: the first one unmounts. Where the mount is busy, the
// volume is at least made complete on the host, and the next signal detaches the mount, which then
// ends when its last user does.
func (w *signalWatch) serve(s *served, gone <-chan struct{}) {
	busy := false
	for {
		select {
		case <-gone:
			return
		case sig := <-w.asked:
			s.log.Info("unmounting", "dir", s.req.dir, "signal", sig.String())
		}
		if busy {
			if err := s.server.Detach(); err != nil {
				s.log.Error("detach", "dir", s.req.dir, "err", err)
			}
			continue
		}
		err := s.server.Unmount()
		switch {
		case err == nil, errors.Is(err, fs.ErrNotMounted):
		case errors.Is(err, unix.EBUSY):
			busy = true
			reason := "unknown"
			var by *busyError
			if errors.As(err, &by) && by.by != "" {
				reason = by.by
			} else if m, err := mountAt(s.req.dir); err == nil && m != nil {
				reason = busyReason(m)
			}
			s.log.Warn("not unmounted: busy; another signal detaches it", "dir", s.req.dir, "by", reason)
			if err := s.volume.Sync(); err != nil {
				s.log.Error("sync", "err", err)
			}
		default:
			s.log.Error("unmount", "dir", s.req.dir, "err", err)
			busy = true
		}
	}
}

// A busyError says who uses a mount that could not be unmounted, where somebody else has looked.
type busyError struct{ dir, by string }

func (e *busyError) Error() string { return "unmount " + e.dir + ": " + unix.EBUSY.Error() }
func (e *busyError) Unwrap() error { return unix.EBUSY }
