package watch

import "syscall"

const (
	enomedium = syscall.ENOMEDIUM
	eremoteio = syscall.EREMOTEIO
)
