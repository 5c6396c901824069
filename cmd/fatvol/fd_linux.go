package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// closeInheritedOnExec keeps descriptors that this process was given from its children. Those that
// Go opens are kept from them anyway.
func closeInheritedOnExec() {
	// Kernels before 5.11 cannot; the child then keeps what the caller left open.
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
}

// dupOver makes the descriptor to refer to what from refers to.
func dupOver(from, to int) error { return unix.Dup3(from, to, 0) }
