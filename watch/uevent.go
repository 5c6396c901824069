package watch

import (
	"bytes"
	"path"
	"strings"
)

// A uevent is what the kernel says about a device: see Documentation/ABI/testing/sysfs-uevent.
type uevent struct {
	action  string // add, remove, change, move, online, offline, bind, unbind
	device  string // path below /sys
	block   bool   // of the block subsystem
	changed bool   // the medium was changed, or its ejection asked for
}

// parseUevent takes a message of the kernel apart: "ACTION@DEVPATH", then "KEY=VALUE", each with a NUL.
// It returns false for anything else, udev's own messages among them.
func parseUevent(msg []byte) (e uevent, ok bool) {
	head, rest, ok := bytes.Cut(msg, []byte{0})
	if !ok {
		return uevent{}, false
	}
	action, device, ok := strings.Cut(string(head), "@")
	if !ok || action == "" || !strings.HasPrefix(device, "/") {
		return uevent{}, false
	}
	e = uevent{action: action, device: path.Clean(device)}
	for field := range bytes.SplitSeq(rest, []byte{0}) {
		switch string(field) {
		case "SUBSYSTEM=block":
			e.block = true
		case "DISK_MEDIA_CHANGE=1", "DISK_EJECT_REQUEST=1", "SDEV_MEDIA_CHANGE=1":
			e.changed = true
		}
	}
	return e, true
}

// A blockDevice is a device under an image: a partition, its disk, a mapping, the disks under that.
type blockDevice struct {
	path string // below /sys
	// sole: what is above it has nothing else. The disk of a mirror may go, and the mirror be there.
	sole bool
}

type devices []blockDevice

// signal says what an event means to an image on these devices, and false if nothing.
func (d devices) signal(e uevent) (Signal, bool) {
	for _, dev := range d {
		above := isAbove(e.device, dev.path)
		switch {
		case above && e.action == "remove" && dev.sole:
			return Removed, true
		case above && (e.changed || e.action != "add" && e.action != "bind"):
			return Suspect, true
		// Before a disk goes, its generic and its bsg device do: beside it, below what it is part of.
		case isAbove(hardware(dev.path), e.device) && e.action != "add" && e.action != "bind":
			return Suspect, true
		}
	}
	// A disk that is plugged in is added, a loop device or a card reader changes.
	if e.block && (e.action == "add" || e.action == "change") {
		return MaybeBack, true
	}
	return 0, false
}

// hardware returns the device that the disk or partition dev is part of, or dev where it is part of
// nothing but the machine.
func hardware(dev string) string {
	i := strings.LastIndex(dev, "/block/")
	if i < 0 || strings.HasPrefix(dev, "/devices/virtual/") {
		return dev
	}
	return dev[:i]
}
