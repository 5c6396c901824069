package automount

import (
	"context"
	"path/filepath"
	"time"
)

// A State is that of a mounted volume.
type State string

// The states that `fatvol status` tells, and one that it infers.
const (
	Present   State = "present"
	Gone      State = "gone"
	Verifying State = "verifying"
	Closed    State = "closed"
	Dead      State = "dead"    // the serving process has died, and the mount is left
	Unknown   State = "unknown" // nobody could be asked
)

// Why what is at an image's path is not taken for it.
const (
	RefusedOther   = "other"   // another volume
	RefusedChanged = "changed" // the volume, changed elsewhere while something was unsaved
)

// A Mount is a volume that fatvol has mounted below our directory, and what its serving process says.
type Mount struct {
	Dir, Image string
	State      State
	Reason     string // why it is not present, in words
	Refused    string // RefusedOther, RefusedChanged or ""
	RefusedAt  time.Time
	Since      time.Time
	Serial     string // of the volume, as XXXX-XXXX
	Unsaved    int64  // bytes that are not on the medium
	Files      int    // with such bytes
	Names      bool   // names, sizes or times are not on the medium
}

func (m *Mount) name() string  { return filepath.Base(m.Dir) }
func (m *Mount) unsaved() bool { return m.Unsaved > 0 || m.Names }
func (m *Mount) away() bool    { return m.State == Gone || m.State == Verifying }

// System is what the rest of the program does for the helper.
type System interface {
	// Mounts are fatvol's mounts below a directory.
	Mounts(below string) ([]Mount, error)
	// Mount mounts a volume and returns when it is ready, with what there is to say, or the error in one line.
	Mount(ctx context.Context, image, dir, options string) (said string, err error)
	// Unmount unmounts it, waits for the end, and returns what there is to say about unsaved changes.
	// still is whether it is mounted after that.
	Unmount(ctx context.Context, dir string, lazy bool) (said string, still bool, err error)
	// SearchCommand is the command line of a process that calls ServeSearch.
	SearchCommand() []string
	// UnmountHost unmounts a medium.
	UnmountHost(ctx context.Context, m Medium) error
	// Eject unmounts the volume and the medium, so that it can be taken out.
	Eject(ctx context.Context, dir string) error
}
