package mkfat

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// renameNew renames a file unless there is one of that name.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EEXIST):
		return existing(to)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		// The host's file system cannot.
		return renameUnlessThere(from, to)
	}
	return &fs.PathError{Op: "rename", Path: to, Err: err}
}
