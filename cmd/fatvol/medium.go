package main

import (
	"context"
	"errors"
	"fmt"

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
}

// openImage opens the image with the gate and the log under its volume.
func (s *served) openImage() (err error) {
	opt := s.cfg.image
	s.image, err = image.OpenThrough(s.req.image, opt, func(h *device.Host) device.Device {
		// The image comes back as it was opened: what could be written to then must be so again.
		again := opt
		again.ReadOnly, again.NoFallback = !h.Writable(), true
		s.medium.gate = watch.New(h, watch.Config{
			Path:      s.req.image,
			IOTimeout: s.cfg.medium.ioTimeout,
			Open: func() (watch.Host, error) {
				h, _, err := image.OpenHost(s.req.image, again)
				if err != nil {
					return nil, err
				}
				return h, nil
			},
			Verify:    s.verify,
			Never:     s.cfg.medium.never,
			Changed:   s.mediumChanged,
			Detectors: detectors(),
			Log:       s.log,
		})
		s.medium.log = replay.New(s.medium.gate, s.cfg.medium.unsynced)
		return s.medium.log
	})
	if err != nil {
		s.closeMedium()
	}
	return err
}

// closeMedium lets go of the medium. What the log holds is still there.
func (s *served) closeMedium() {
	if s.medium.log != nil {
		s.medium.log.Close()
		s.medium.gate.Close()
	}
}

// verify looks whether what came back is what went, and writes what it lacks.
func (s *served) verify(ctx context.Context, dev *watch.Candidate) error {
	if err := s.sameVolume(dev); err != nil {
		return err
	}
	err := s.medium.log.Verify(dev)
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
		return errors.Join(changed, err)
	}
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
	boot := make([]byte, min(fat.BootSize, part.Size))
	if _, err := dev.ReadAt(boot, part.Start); err != nil {
		return nil, err
	}
	return fat.ParseGeometry(boot, part.Size, s.cfg.fat.Geometry)
}

func serialText(n uint32) string { return fmt.Sprintf("%04X-%04X", n>>16, n&0xffff) }

// mediumChanged is told of each state of the medium.
func (s *served) mediumChanged(st watch.Status) {
	if st.State == watch.Gone && s.server != nil {
		// The kernel must not go on serving what it remembers.
		s.server.InvalidateAll()
	}
}

// rootState gives the extended attributes of the root that tell of the medium.
func (s *served) rootState() map[string]string {
	st := s.medium.gate.Status()
	return map[string]string{
		"state":      st.State.String(),
		"reason":     st.Reason,
		"generation": fmt.Sprint(st.Generation),
		"unsynced":   fmt.Sprint(s.medium.log.Unsynced()),
	}
}
