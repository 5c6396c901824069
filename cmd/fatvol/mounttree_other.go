//go:build !linux

package main

import (
	"errors"
	iofs "io/fs"
	"os"
	"time"

	"fatvol/image"
)

// SetLabel cannot be done through a mount here.
func (t mountTree) SetLabel(string) error {
	return &os.PathError{Op: "set label", Path: t.root, Err: errors.ErrUnsupported}
}

// accessTime is when a file was last read, zero where that is not known.
func accessTime(info iofs.FileInfo) time.Time {
	if a, ok := info.Sys().(*image.FileAttr); ok {
		return a.Accessed
	}
	return time.Time{}
}
