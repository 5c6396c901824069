//go:build !linux

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// unmount takes the mount at dir away. These systems have no lazy unmount; theirs is one by force,
// after which its users get errors. It fails with EBUSY, wrapped, while somebody uses the mount.
func unmount(dir string, lazy bool) error {
	flags := 0
	if lazy {
		flags = unix.MNT_FORCE
	}
	if err := unix.Unmount(dir, flags); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return nil
}
