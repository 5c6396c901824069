//go:build !linux

package main

// A holder is a process that uses a mount.
type holder string

func (h holder) String() string { return string(h) }

// holders lists the processes that use a mount, which these systems tell to fstat(1) only.
func holders(dir, device string) []holder { return nil }
