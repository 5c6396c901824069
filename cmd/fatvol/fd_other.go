//go:build !linux

package main

import "golang.org/x/sys/unix"

// maxInherited bounds the descriptors that are looked at.
const maxInherited = 256

// closeInheritedOnExec keeps descriptors that this process was given from its children. Those that
// Go opens are kept from them anyway.
func closeInheritedOnExec() {
	for fd := 3; fd < maxInherited; fd++ {
		unix.CloseOnExec(fd)
	}
}

// dupOver makes the descriptor to refer to what from refers to.
func dupOver(from, to int) error { return unix.Dup2(from, to) }
