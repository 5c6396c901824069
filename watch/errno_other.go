//go:build !linux

package watch

import "syscall"

// Numbers that no call returns: other systems say ENXIO and EIO.
const (
	enomedium = syscall.Errno(1<<30 + iota)
	eremoteio
)
