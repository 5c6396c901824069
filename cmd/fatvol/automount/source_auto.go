package automount

import (
	"context"
	"log/slog"
	"time"
)

// Auto is the Source that asks udisks2 for as long as that runs, and reads the mount table otherwise.
type Auto struct {
	UDisks Source
	Table  Source
	Log    *slog.Logger
	// Again is how long after udisks2 failed it is asked for again.
	Again time.Duration
}

// DefaultAgain is Auto.Again where there is no reason for another time.
const DefaultAgain = 5 * time.Minute

// Name implements Source.
func (Auto) Name() string { return "auto" }

// Follow implements Source.
func (s Auto) Follow(ctx context.Context, send func([]Medium)) error {
	for said := false; ; {
		err := s.UDisks.Follow(ctx, func(m []Medium) {
			said = false
			send(m)
		})
		if ctx.Err() != nil {
			return nil
		}
		if !said {
			s.Log.Info("media are found in the mount table, as udisks cannot be asked", "err", err)
			said = true
		}
		while, stop := context.WithTimeout(ctx, s.Again)
		err = s.Table.Follow(while, send)
		stop()
		if err != nil {
			return err
		}
	}
}
