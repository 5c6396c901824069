package fat

import (
	"errors"
	iofs "io/fs"
)

// Errors of the engine. They reach callers wrapped with the operation and the place; compare with
// errors.Is. What the device reports travels up wrapped as well, whatever it is.
var (
	// ErrNotExist is returned when a name is not in a directory.
	ErrNotExist = iofs.ErrNotExist
	// ErrExist is returned when a name, in any spelling, is in the directory already.
	ErrExist = iofs.ErrExist
	// ErrClosed is returned by every call after Volume.Close.
	ErrClosed = iofs.ErrClosed
	// ErrNotClean is returned by Close when all changes were written, and the volume could not be
	// marked as cleanly unmounted.
	ErrNotClean = errors.New("the volume could not be marked clean")
	// ErrNotDir is returned when a directory is needed and the node is a file.
	ErrNotDir = errors.New("not a directory")
	// ErrIsDir is returned when a file is needed and the node is a directory.
	ErrIsDir = errors.New("is a directory")
	// ErrNotEmpty is returned when a directory that holds entries is removed or replaced.
	ErrNotEmpty = errors.New("directory not empty")
	// ErrNoSpace is returned when there is no free cluster, or no free slot in a directory that
	// cannot grow (a fixed root, or 65 536 slots).
	ErrNoSpace = errors.New("no space left on volume")
	// ErrTooBig is returned when a file would grow beyond MaxFileSize.
	ErrTooBig = errors.New("file too large for FAT")
	// ErrReadOnly is returned by changes of a volume that is open for reading only, or that
	// became so because damage was found.
	ErrReadOnly = errors.New("volume is read-only")
	// ErrInvalid is returned for an argument that no volume could satisfy.
	ErrInvalid = errors.New("invalid argument")
	// ErrNotSynced is returned, with the cause, when names were changed and then could not be brought to the medium, as
	// Options.Sync and DirSync promise. The change stays: it is there with the next commit that succeeds.
	ErrNotSynced = errors.New("done, and not on the medium yet")
	// ErrStale is returned for nodes and handles from before Volume.Reset.
	ErrStale = errors.New("the volume was changed elsewhere since this was opened")
	// ErrLoop is returned when a directory would be moved into itself.
	ErrLoop = errors.New("directory cannot be moved into itself")
)
