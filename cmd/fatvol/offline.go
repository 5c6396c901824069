package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"

	"fatvol/image"
	"fatvol/image/fat"
)

// An offlineVolume is a volume that a command has for itself: locked as by a mount, and in order.
type offlineVolume struct {
	image  *image.Image
	volume *fat.Volume
}

// openOffline opens the volume of an image for a command that moves things about in it. readOnly opens
// it for a look. One that was not unmounted cleanly is refused: it has to be checked first.
func openOffline(path string, cfg *config, readOnly bool) (*offlineVolume, error) {
	where := cfg.image
	where.ReadOnly, where.NoFallback = readOnly, true
	im, err := image.OpenVolume(path, where)
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
		return nil, errors.New("the volume was not unmounted cleanly: repair it with 'fatvol check --repair' first")
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

// untilSignal is a context that ends with the first signal that asks the program to end; the second
// one ends the program.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// offlineError makes the error of a command about an image: of one line, and with its exit code.
func offlineError(command, path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return failf(exitInterrupted, "%s %s: stopped; the volume is whole, and what was done stays done", command, path)
	case errors.Is(err, fat.ErrCorrupt):
		return failf(exitFailed, "%s %s: %w: nothing is moved on a damaged volume; repair it with 'fatvol check --repair' first", command, path, withoutPath(path, err))
	}
	return failf(exitFailed, "%s %s: %w", command, path, withoutPath(path, err))
}
