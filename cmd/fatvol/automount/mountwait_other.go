//go:build !linux

package automount

import (
	"context"
	"time"
)

// mountInterval is how often the mount table is read where nothing tells that it has changed.
const mountInterval = 2 * time.Second

// watchMounts sends when it is time to read the mount table again.
func watchMounts(ctx context.Context) (<-chan error, error) {
	due := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(mountInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				replace(due, nil)
			}
		}
	}()
	return due, nil
}
