package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"fatvol/image"
	"fatvol/image/fat"
)

// openImageAlone opens an image for a command that has it for itself, locked as by a mount. It is refused
// while there are changes of the volume that a mount could not write.
func openImageAlone(arg string, cfg *config, readOnly bool) (*image.Image, error) {
	p, where := parseVolume(arg), cfg.image
	where.ReadOnly, where.NoFallback = readOnly, true
	if p.part != "" {
		if where.Partition != "" {
			return nil, fmt.Errorf("the partition is given twice, as %s and as partition=%s: leave out one of them", p.part, where.Partition)
		}
		where.Partition = p.part
	}
	im, err := image.OpenVolume(p.image, where)
	if err != nil {
		return nil, withoutPath(p.image, err)
	}
	if err := (&usedImage{path: p.image, write: !readOnly, image: im}).unsaved(im.Partition); err != nil {
		im.Close()
		return nil, err
	}
	return im, nil
}

// An offlineVolume is a volume that a command has for itself, and that is in order.
type offlineVolume struct {
	image  *image.Image
	volume *fat.Volume
}

// errUnclean is returned for a volume that has to be checked before anything on it is moved.
var errUnclean = errors.New("the volume was not unmounted cleanly: repair it with 'fatvol check --repair' first")

// openOffline opens the volume of an image, IMAGE or IMAGE:PART, for a command that moves things about
// in it. readOnly opens it for a look.
func openOffline(arg string, cfg *config, readOnly bool) (*offlineVolume, error) {
	im, err := openImageAlone(arg, cfg, readOnly)
	if err != nil {
		return nil, err
	}
	opt := cfg.fat
	opt.ReadOnly = readOnly
	opt.NoAtime, opt.CommitDelay, opt.Repair = true, -1, fat.RepairNo
	opt.Log = slog.New(slog.DiscardHandler) // what it would say is in the error
	volume, err := fat.Open(im.Device(), opt)
	if err != nil {
		im.Close()
		return nil, err
	}
	o := &offlineVolume{im, volume}
	if volume.WasDirty() {
		o.close()
		return nil, errUnclean
	}
	return o, nil
}

// close writes what is left and lets go of the image.
func (o *offlineVolume) close() error {
	return andError(o.volume.Close(), o.image.Close())
}

// andError is errors.Join in one line.
func andError(first, second error) error {
	if first == nil || second == nil {
		return errors.Join(first, second)
	}
	return fmt.Errorf("%w; %w", first, second)
}

// offlineError makes the error of a command about an image, IMAGE or IMAGE:PART: of one line, and with its exit code.
func offlineError(command, path string, err error) error {
	img := parseVolume(path).image // what the layers below name, and what an advice has to
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return failf(exitInterrupted, "%s %s: stopped; the volume is whole, and what was done stays done", command, path)
	case errors.Is(err, fat.ErrCorrupt) && !badBootSector(err):
		return failf(exitFailed, "%s %s: %w: nothing is moved on a damaged volume; repair it with 'fatvol check --repair' first", command, path, withoutPath(img, err))
	case errors.Is(err, fat.ErrLost):
		return failf(exitFailed, "%s %s: %w: give them back with 'fatvol check --repair' first", command, path, withoutPath(img, err))
	case errors.Is(err, fat.ErrNoSpace):
		return failf(exitFailed, "%s %s: %w: remove files, or choose another size ('fatvol resize %s min' finds the smallest)", command, path, withoutPath(img, err), path)
	}
	return failf(exitFailed, "%s %s: %w", command, path, imageError(img, err))
}
