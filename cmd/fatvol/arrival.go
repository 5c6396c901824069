package main

import (
	"errors"
	"os"
	"time"

	"fatvol/image/device"
)

// settleTime is how long another file at the image's path must have been left alone where the kernel cannot tell whether
// somebody writes to it.
const settleTime = 2 * time.Second

// errUnsettled is the reason not to take up a file yet.
var errUnsettled = errors.New("what is at its path is being written to, or was a moment ago")

// An arrival is a file at the image's path, as it has been since a time.
type arrival struct {
	id              device.FileID
	modified, since time.Time
}

// settled refuses another file than was left while it may still be copied there: it can have its whole length from the
// beginning, and all that is compared, while the rest of it is to come, over what we would write. Whoever writes to the
// file that was left is found by its contents, and a device is written to by nobody who opens it so.
func (m *medium) settled(path string) error {
	file, err := os.Stat(path)
	if err != nil || !file.Mode().IsRegular() {
		return nil // to open it tells what is wrong
	}
	id, err := device.Identify(path)
	if left := m.left.Load(); err != nil || left != nil && *left == id || device.Unwritten(path) {
		return nil
	}
	now := time.Now()
	a := m.arrival.Load()
	if a == nil || a.id != id || !a.modified.Equal(file.ModTime()) {
		a = &arrival{id: id, modified: file.ModTime(), since: now}
		m.arrival.Store(a)
	}
	// Another machine's clock may be wrong, so to see it unchanged is enough.
	if now.Sub(file.ModTime()) >= settleTime || now.Sub(a.since) >= settleTime {
		return nil
	}
	return errUnsettled
}

// note remembers which file was opened.
func (m *medium) note(path string) {
	if id, err := device.Identify(path); err == nil {
		m.opened.Store(&id)
	}
}
