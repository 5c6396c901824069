// Package fakemedium is a medium for tests: a slot into which sticks are plugged and from which they are
// pulled, mounted as a host file system with a cache of its own, that can be made to fail and to hang.
//
// It does what real ones do after a pull: the dead host stays mounted, gives out from its cache what it
// has there, takes writes and loses them, and only an uncached read or a sync tells.
package fakemedium
