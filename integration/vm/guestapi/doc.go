// Package guestapi is what the two sides of the virtual machine share: the calls that a test makes
// into the guest, the workloads that run there and the records that they keep, the blocks that
// writers write and verifiers look for, and trees of files to compare file systems with.
//
// Calls go over a virtio serial port as net/rpc with its gob encoding, which lets any number of
// them run at the same time. All instants are nanoseconds of the guest's CLOCK_MONOTONIC.
package guestapi
