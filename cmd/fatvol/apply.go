package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/replay"
	"fatvol/watch"
)

// savedFor finds the replay files for the volume that is being mounted, the oldest first.
func (s *served) savedFor() (paths []string, err error) { return savedReplays(s.serial) }

// savedReplays finds the replay files for volumes with a serial number, the oldest first.
func savedReplays(serial uint32) (paths []string, err error) {
	dir, err := stateDir()
	if err != nil {
		return nil, nil // then there can be none
	}
	// The serial number is hexadecimal: no character of a pattern.
	paths, _ = filepath.Glob(filepath.Join(dir, serialText(serial)+"-*"+replaySuffix))
	if len(paths) == 0 {
		return nil, nil
	}
	if err := checkOwner(dir, os.Geteuid()); err != nil {
		return nil, fmt.Errorf("there are unsaved changes of it, which are not trusted: %w", err)
	}
	return paths, nil
}

// applySaved writes what earlier mounts of the volume could not write.
func (s *served) applySaved() error {
	if s.cfg.medium.replay == replayIgnore {
		return nil
	}
	if err := s.heldElsewhere(); err != nil {
		return err
	}
	paths, err := s.savedFor()
	if err != nil {
		return err
	}
	for _, path := range paths {
		info, err := replay.LoadInfo(path)
		if err != nil {
			complain("mount %s: WARNING: %v", s.req.image, err)
			continue
		}
		if s.serial == 0 && info.Image != s.req.image {
			continue // a volume without a number is known by its path alone
		}
		if err := s.applyOne(path, info); err != nil {
			return err
		}
	}
	return nil
}

// heldElsewhere refuses a volume whose last changes a mount holds that waits for it.
func (s *served) heldElsewhere() error {
	st := waitingMount(s.serial, s.image.Partition.Start, s.req.image)
	if st == nil {
		return nil
	}
	return fmt.Errorf("%w: 'fatvol umount %s' keeps them for the next mount, -o replay=ignore mounts without them", heldBy(st), st.Dir)
}

// waitingMount finds a mount that holds changes of a volume in memory and waits for it, which it may not find, as at another
// path; nil where none is known of. Whatever changes the volume meanwhile makes another one of it, which takes them no more.
// A copy with the same serial number cannot be told from it.
func waitingMount(serial uint32, offset int64, path string) *mountStatus {
	all, err := collectMounts(nil)
	if err != nil {
		return nil // nobody can be asked
	}
	i := slices.IndexFunc(all, func(st *mountStatus) bool {
		waits := st.State == watch.Gone.String() || st.State == watch.Verifying.String()
		return waits && (st.Unsynced > 0 || st.Names) && st.Serial == serialText(serial) && st.Offset == offset &&
			(serial != 0 || st.Image == path) // a volume without a number is known by its path alone
	})
	if i < 0 {
		return nil
	}
	return all[i]
}

// heldBy says what st holds.
func heldBy(st *mountStatus) error {
	return fmt.Errorf("changes of this volume are in the memory of its mount on %s, which waits for it at %s", st.Dir, st.Image)
}

// applyOne writes what one replay file holds. Serial numbers are no proof: copies of an image have the
// same. So where the changes do not fit, the mount fails only if the image is
// where it was; elsewhere, it is a copy that has nothing to do with them, and a warning says so.
func (s *served) applyOne(path string, info *replay.Info) error {
	what := fmt.Sprintf("%s of unsaved changes from %s in %s", byteCount(info.Bytes), info.Saved.Local().Format(time.DateTime), path)
	saved, err := replay.Load(path)
	if err == nil {
		err = s.fits(saved)
	}
	switch {
	case err != nil && info.Image != s.req.image && !isMediumError(err):
		complain("mount %s: WARNING: there are %s for %s, which has the same serial number: they are not for this image: %v",
			s.req.image, what, info.Image, err)
		return nil
	case err != nil:
		return fmt.Errorf("there are %s, which cannot be written: %w: 'fatvol replay extract %s DIR' gets files out of them, 'fatvol replay discard %s' forgets them, -o replay=ignore mounts without them", what, err, path, path)
	case s.cfg.medium.replay == replayAsk:
		return fmt.Errorf("there are %s: 'fatvol replay apply %s' writes them, 'fatvol replay discard %s' forgets them, -o replay=ignore mounts without them", what, path, path)
	case s.image.ReadOnly():
		return fmt.Errorf("there are %s, and the mount is read-only: mount it for writing once, or with -o replay=ignore", what)
	}
	if err := saved.Apply(s.medium.log); err != nil {
		return fmt.Errorf("there are %s, which cannot be written: %w: they are kept", what, err)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	s.log.Info("unsaved changes of an earlier mount were written", "bytes", info.Bytes, "files", len(info.Files), "saved", info.Saved)
	return nil
}

// fits looks whether the image is what the changes were made to.
func (s *served) fits(saved *replay.Saved) error {
	if saved.Offset != s.image.Partition.Start {
		return fmt.Errorf("%w: it begins at offset %d, expected %d", replay.ErrOther, s.image.Partition.Start, saved.Offset)
	}
	return saved.Verify(s.medium.log)
}

// isMediumError tells a medium that cannot be read from one that was read and is another.
func isMediumError(err error) bool {
	return !errors.Is(err, replay.ErrChanged) && !errors.Is(err, replay.ErrOther) && !errors.Is(err, replay.ErrFile)
}

// applyTo verifies an image and writes what a replay file holds for it.
func applyTo(dev device.Device, saved *replay.Saved) error {
	err := saved.Verify(dev)
	if errors.Is(err, replay.ErrChanged) {
		err = otherThan(saved, dev, err)
	}
	if err != nil {
		return err
	}
	return saved.Apply(dev)
}

// otherThan tells a volume that was changed, which err says, from another one in its place.
func otherThan(saved *replay.Saved, dev device.Device, err error) error {
	volume, serr := device.NewSection(dev, saved.Offset, dev.Size()-saved.Offset)
	if serr != nil {
		return fmt.Errorf("%w: it would begin at offset %d of %d bytes", replay.ErrOther, saved.Offset, dev.Size())
	}
	g, gerr := volumeGeometry(volume, &config{})
	switch {
	case errors.Is(gerr, fat.ErrNotFAT):
		return fmt.Errorf("%w: there is no FAT volume where one was", replay.ErrOther)
	case gerr == nil && serialText(g.Serial) != saved.Serial:
		return fmt.Errorf("%w: serial number %s, expected %s", replay.ErrOther, serialText(g.Serial), saved.Serial)
	}
	return err
}
