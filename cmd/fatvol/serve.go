package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"fatvol/fs"
	"fatvol/image"
	"fatvol/image/fat"
	"fatvol/image/replay"
	"fatvol/watch"
)

// logFlush bounds how long the end of the process waits for the system's logger.
const logFlush = 2 * time.Second

// A served mount is what serve holds while it runs.
type served struct {
	req     *mountRequest
	cfg     *config
	log     *slog.Logger
	image   *image.Image
	places  []string // where it may be looked for, for confine
	medium  medium
	volume  *fat.Volume
	serial  uint32 // of the volume
	label   string
	server  *fs.Server
	live    atomic.Pointer[fs.Server] // server, for those who may ask before it is there
	damaged atomic.Bool               // errors=panic: nobody may go on with the volume
	record  *record                   // nil where none could be written
	control *control                  // nil without a record
	noLog   error                     // why there is no logger in the background
}

// serve mounts the volume, tells whoever waits that it is ready, serves it until it has been
// unmounted, and closes it. ready is nil in the foreground.
func (r *mountRequest) serve(ctx context.Context, cfg *config, ready *readyPipe) error {
	for _, w := range cfg.warnings {
		complain("mount %s: %s", r.image, w)
	}
	collectSeldom()
	s := &served{req: r, cfg: cfg}
	closeLog := s.openLog(ready != nil)
	defer closeLog()
	if err := s.open(); err != nil {
		return mountError(r.image, err)
	}
	signals := catchSignals(ready != nil)
	if err := s.mount(); err != nil {
		return mountError(r.image, err)
	}
	if err := s.confine(); err != nil {
		s.log.Warn("this process keeps rights that it does not need", "err", err)
	}
	return s.run(signals, ready)
}

// openLog chooses where the mount logs to: standard error in the foreground, the system's logger
// in the background.
func (s *served) openLog(background bool) (closeLog func()) {
	level := logLevel(s.cfg.fs.Debug, s.req.verbose)
	s.log = foregroundLog(os.Stderr, level)
	closeLog = func() {}
	if background {
		sink, err := dialSyslog()
		if err != nil {
			s.noLog, s.log = err, slog.New(slog.DiscardHandler)
		} else {
			h := newSinkHandler(sink, level)
			s.log = slog.New(h).With("image", s.req.image)
			closeLog = func() { h.close(logFlush) }
		}
	}
	slog.SetDefault(s.log)
	s.cfg.fat.Log, s.cfg.fs.Log = s.log, s.log
	return closeLog
}

// open opens the image and the volume in it.
func (s *served) open() (err error) {
	if err = s.openImage(); err != nil {
		return err
	}
	s.places = imagePlaces(s.req.image) // while the host is mounted: from here on it may go at any time
	defer func() {
		if err != nil {
			s.closeMedium()
		}
	}()
	for _, note := range s.image.Notes() {
		complain("mount %s: WARNING: %s", s.req.image, note)
	}
	if s.image.ReadOnly() {
		s.cfg.setReadOnly(true)
	}
	if err = s.identify(); err != nil {
		return err
	}
	if err = s.applySaved(); err != nil {
		return err
	}
	s.cfg.fat.OnPanic = s.panicked
	s.cfg.fs.State = s.rootState
	if s.volume, err = fat.Open(s.image.Device(), s.cfg.fat); err != nil {
		return err
	}
	s.label, _ = s.volume.Label() // only to name what could not be saved
	s.medium.open.Store(true)
	return nil
}

// mount makes the volume visible at the mount point, and known to other processes.
func (s *served) mount() (err error) {
	if s.record, err = createRecord(s.req.image, s.req.dir); err != nil {
		s.record = nil
		complain("mount %s: no record of this mount can be kept: 'fatvol umount' will not wait for it: %v", s.req.image, err)
	}
	if s.cfg.fs.FSName == "" {
		s.cfg.fs.FSName = s.req.image
	}
	if s.cfg.fs.VolumeName == "" {
		s.cfg.fs.VolumeName = s.label
	}
	s.cfg.fs.Lender = s.medium.log
	s.cfg.fs.Idle = giveBack
	if s.server, err = fs.Mount(s.volume, s.req.dir, s.cfg.fs); err != nil {
		if s.record != nil {
			s.record.remove()
		}
		return errors.Join(err, s.close())
	}
	s.live.Store(s.server)
	if s.damaged.Load() {
		s.detach() // when it was found, there was nothing to detach yet
	}
	if s.medium.gate.Status().State != watch.Present {
		s.server.InvalidateAll() // it went in between, when nobody could be told
	}
	if s.record != nil {
		teller := &statusTeller{served: s, started: time.Now()}
		if s.control, err = listenControl(controlPath(s.record.path), s.log, teller.status); err != nil {
			s.log.Warn("'fatvol status' will not know of this mount", "err", err)
		}
		device := ""
		if m, err := mountAt(s.req.dir); err == nil && m != nil {
			device = deviceNumber(m)
		}
		if err := s.record.mounted(device); err != nil {
			s.log.Warn("record of the mount", "err", err)
		}
	}
	return nil
}

// run serves until the mount is gone.
func (s *served) run(signals *signalWatch, ready *readyPipe) error {
	if s.noLog != nil && firstTime("no-system-logger") {
		complain("mount %s: no system logger (%v): what the mount reports later is lost, -f shows it", s.req.image, s.noLog)
	}
	if ready != nil {
		if err := ready.report(nil); err != nil {
			// The caller is gone, or believes that the mount failed: so it must not be there.
			s.log.Error("the caller cannot be told that the mount is ready", "err", err)
			_ = s.server.Detach()
		}
	}
	notifySupervisor("READY=1", "STATUS="+printable(s.req.image)+" on "+printable(s.req.dir))
	s.log.Info("mounted", "dir", s.req.dir, "read_only", s.volume.ReadOnly())

	gone := make(chan struct{})
	go signals.serve(s, gone)
	s.server.Wait()
	close(gone)
	notifySupervisor("STOPPING=1")
	if err := s.finish(); err != nil {
		return failf(exitFailed, "mount %s: unmounted, but the image is not complete: %w", s.req.image, err)
	}
	return nil
}

// finish completes the image once nothing is mounted any more, and tells whoever waits for that.
func (s *served) finish() error {
	err := s.close()
	end := recordEnd{Code: exitOK}
	if err != nil {
		end.Code, end.Error = exitFailed, err.Error()
		if kept, ok := errors.AsType[*keptError](err); ok {
			end.Kept = kept.path
		}
		s.log.Error("unmounted, and the image is not complete", "dir", s.req.dir, "err", err)
	} else {
		s.log.Info("unmounted", "dir", s.req.dir)
	}
	if s.record != nil {
		s.record.finish(end)
	}
	return err
}

// close writes what is left and lets go of the image. Where the medium is gone, what is left goes to
// a replay file.
func (s *served) close() error {
	defer s.closeMedium()
	if s.control != nil {
		defer s.control.close()
	}
	err := s.volume.Close()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replay.ErrForeign) && errors.Is(err, fat.ErrNotClean):
		return nil // all of ours had been written before; to say that the volume is whole is not for us
	}
	return s.closeWithout(err)
}

// panicked is what errors=panic comes to: nobody may go on with the volume.
func (s *served) panicked(cause error) {
	s.log.Error("damage found, and errors=panic asked for: the volume answers errors and is detached", "err", cause)
	s.damaged.Store(true) // before live is looked at: mount does it the other way round
	if s.live.Load() != nil {
		s.detach()
	}
}

func (s *served) detach() {
	if err := s.live.Load().Detach(); err != nil {
		s.log.Error("detach", "dir", s.req.dir, "err", err)
	}
}

// mountError gives an error of the layers below its exit code, the image it is about, and what can
// be done about it.
func mountError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotPermitted): // it says what to do
		return failf(exitUsage, "mount %s: %w", path, withoutPath(path, err))
	case errors.Is(err, fs.ErrNoFUSE), errors.Is(err, fs.ErrMountPoint): // likewise
		return failf(exitFailed, "mount %s: %w", path, withoutPath(path, err))
	case errors.Is(err, os.ErrPermission):
		return failf(exitUsage, "mount %s: %w", path, imageError(path, err))
	case errors.Is(err, syscall.ENOMEM):
		return failf(exitSystem, "mount %s: %w", path, withoutPath(path, err))
	}
	return failf(exitFailed, "mount %s: %w", path, imageError(path, err))
}
