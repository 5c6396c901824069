package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"fatvol/image"
	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/replay"
	"fatvol/watch"
)

// medium is what lies between the host and the volume: the gate, which knows whether the medium is
// there, and above it the log of what was written and may not have reached it.
type medium struct {
	gate *watch.Medium
	log  *replay.Log
	// open is set once the volume is: before that, what comes back cannot be compared with it.
	open atomic.Bool
	// refused is what was last at the image's path and was not taken.
	refused atomic.Pointer[refusal]
	// opened is the file at the path that was opened last, left the last that the volume was found on, and arrival the
	// last that may still have been written to.
	opened, left atomic.Pointer[device.FileID]
	arrival      atomic.Pointer[arrival]
	// startedOver is set while the kernel has not been told that the volume is another.
	startedOver atomic.Bool
	// released is closed once the gate has let go of the image; nil before it was told to.
	released chan struct{}
}

// A refusal is why what came to the image's path was not taken.
type refusal struct {
	what string // "other" volume, "changed" elsewhere; "" for anything else
	at   time.Time
}

// releaseTime is how long the end of a mount waits for the image to be let go of, which a host that hangs
// may never do.
const releaseTime = time.Second

// release ends the gate: nothing goes through any more, and nothing comes back.
func (m *medium) release() {
	if m.released != nil {
		return
	}
	m.released = make(chan struct{})
	go func() {
		defer close(m.released)
		_ = m.gate.Close() // its error is that of a host that hangs
	}()
	select {
	case <-m.released:
	case <-time.After(releaseTime):
	}
}

// openImage opens the image with the gate and the log under its volume.
func (s *served) openImage() (err error) {
	opt := s.cfg.image
	s.image, err = image.OpenThrough(s.req.image, opt, func(h *device.Host) device.Device {
		// The image comes back as it was opened. Where the host then takes no writes, it can at least
		// be read.
		again := opt
		again.ReadOnly, again.NoFallback = !h.Writable(), false
		s.medium.gate = watch.New(h, watch.Config{
			Path:      s.req.image,
			IOTimeout: s.cfg.medium.ioTimeout,
			Open:      func() (watch.Host, error) { return s.reopen(again) },
			Verify:    s.verify,
			Leaving:   s.leaving,
			Never:     s.cfg.medium.never,
			Changed:   s.mediumChanged,
			Detectors: s.cfg.medium.detectors(),
			Log:       slog.New(loudHandler{s.log.Handler()}),
		})
		s.medium.log = replay.New(s.medium.gate, s.cfg.medium.unsynced)
		s.medium.log.OnForeign(s.otherWriter)
		s.medium.note(s.req.image)
		s.medium.left.Store(s.medium.opened.Load())
		return s.medium.log
	})
	if err != nil {
		s.closeMedium()
	}
	return err
}

// otherWriter ends all writing: what we hold in memory is not what the volume is any more.
func (s *served) otherWriter(cause error) {
	if s.medium.open.Load() {
		s.volume.SetReadOnly()
	}
	s.log.Error("the mount is read-only from now on: unmount it, and 'fatvol check' tells whether the volume is whole", "image", s.req.image, "err", cause)
}

// errStuck is the reason not to take up an image that a call of ours may still write to.
var errStuck = errors.New("the host has not ended a call that was given up on, and which may still write to the image")

// reopen opens the image anew. A call that was given up on keeps the image open, and locked, until the
// host ends it, and would overwrite what is written after the return. So the lock that refuses us our own
// image is right, and only its reason is to be told; where there are no locks, the call is what is looked
// for.
func (s *served) reopen(opt image.OpenOptions) (watch.Host, error) {
	if err := s.medium.settled(s.req.image); err != nil {
		return nil, err
	}
	stuck := s.medium.gate.Counters().Stuck > 0
	h, notes, err := image.OpenHost(s.req.image, opt)
	switch {
	case stuck && errors.Is(err, image.ErrLocked):
		return nil, errStuck
	case err != nil:
		return nil, err
	case stuck && h.Writable() && len(notes) > 0: // that there are no locks
		h.Close()
		return nil, errStuck
	}
	s.medium.note(s.req.image)
	return h, nil
}

// leaving writes what is held back, before the host is unmounted.
func (s *served) leaving(context.Context) error {
	if !s.medium.open.Load() {
		return nil
	}
	return s.volume.Sync()
}

// closeMedium lets go of the medium. What the log holds is still there.
func (s *served) closeMedium() {
	if s.medium.log != nil {
		s.medium.release() // first: then a call in the background ends as well
		s.medium.log.Close()
	}
}

// verify looks whether what came back is what went, and writes what it lacks.
func (s *served) verify(ctx context.Context, dev *watch.Candidate) (err error) {
	opened := s.medium.opened.Load()
	defer func() {
		if err == nil {
			s.medium.left.Store(opened)
		}
		r := &refusal{at: time.Now()}
		switch {
		case errors.Is(err, replay.ErrOther):
			r.what = "other"
		case errors.Is(err, replay.ErrChanged):
			r.what = "changed"
		}
		s.medium.refused.Store(r)
	}()
	if !s.medium.open.Load() {
		return errors.New("it went while it was being mounted")
	}
	if err := s.sameVolume(dev); err != nil {
		return err
	}
	err = s.medium.log.Verify(dev)
	if errors.Is(err, replay.ErrChanged) && s.medium.log.Unsynced() == 0 {
		return s.startOver(dev, err)
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.medium.log.Replay(dev)
}

// startOver takes up a volume that something else changed while nothing of ours was missing on it: what
// was open is lost, but the mount goes on.
func (s *served) startOver(dev device.Device, changed error) error {
	if dev.Size() != s.medium.log.Size() {
		return changed
	}
	volume, err := device.NewSection(dev, s.image.Partition.Start, s.image.Partition.Size)
	if err != nil {
		return err
	}
	undo := s.medium.log.Reset()
	if err := s.volume.Reset(volume); err != nil {
		undo()
		return fmt.Errorf("%w, and not everything of ours is on it: %w", changed, err)
	}
	s.medium.startedOver.Store(true)
	s.log.Warn("the volume was changed elsewhere: files that were open answer errors, everything else goes on", "image", s.req.image)
	return nil
}

// identify reads the serial number of the volume that was found.
func (s *served) identify() error {
	g, err := s.geometry(s.medium.log)
	if err == nil {
		s.serial = g.Serial
	}
	return err
}

// sameVolume compares what identifies a volume.
func (s *served) sameVolume(dev device.Device) error {
	g, err := s.geometry(dev)
	if errors.Is(err, fat.ErrNotFAT) {
		return fmt.Errorf("%w: there is no FAT volume where one was", replay.ErrOther)
	}
	if err != nil {
		return err
	}
	if g.Serial != s.serial {
		return fmt.Errorf("%w: serial number %s, expected %s", replay.ErrOther, serialText(g.Serial), serialText(s.serial))
	}
	return nil
}

// geometry reads the boot sector of the volume on a device that holds the whole image.
func (s *served) geometry(dev device.Device) (*fat.Geometry, error) {
	part := &s.image.Partition
	volume, err := device.NewSection(dev, part.Start, part.Size)
	if err != nil {
		return nil, err
	}
	return volumeGeometry(volume, s.cfg)
}

// volumeGeometry reads the boot sector of a volume.
func volumeGeometry(volume device.Device, cfg *config) (*fat.Geometry, error) {
	boot := make([]byte, min(fat.BootSize, volume.Size()))
	if _, err := volume.ReadAt(boot, 0); err != nil {
		return nil, err
	}
	return fat.ParseGeometry(boot, volume.Size(), cfg.fat.Geometry)
}

func serialText(n uint32) string { return fmt.Sprintf("%04X-%04X", n>>16, n&0xffff) }

// mediumChanged is told of each state of the medium.
func (s *served) mediumChanged(st watch.Status) {
	server := s.live.Load()
	if server == nil {
		return
	}
	// When it is gone, the kernel must not go on serving what it remembers. When it is back as another,
	// what was under way when it went may have left something since.
	if st.State == watch.Gone || st.State == watch.Present && s.medium.startedOver.Swap(false) {
		server.InvalidateAll()
	}
}

// mediumStatus is the gate's, with a reason that does not name the image again.
func (s *served) mediumStatus() watch.Status {
	st := s.medium.gate.Status()
	st.Reason = s.shortReason(st.Reason)
	return st
}

func (s *served) shortReason(reason string) string {
	return strings.TrimPrefix(reason, s.req.image+": ")
}

// rootState gives the extended attributes of the root that tell of the medium.
func (s *served) rootState() map[string]string {
	st := s.mediumStatus()
	return map[string]string{
		"state":      st.State.String(),
		"reason":     st.Reason,
		"generation": fmt.Sprint(st.Generation),
		"unsynced":   fmt.Sprint(s.medium.log.Unsynced()),
	}
}
