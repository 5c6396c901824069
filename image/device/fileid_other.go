//go:build !linux

package device

import (
	"os"
	"syscall"
)

// A FileID tells a file from others that were at its path.
type FileID struct{ dev, inode uint64 }

// Identify returns what tells the file at path from others.
func Identify(path string) (FileID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return FileID{}, err
	}
	st, _ := info.Sys().(*syscall.Stat_t)
	if st == nil {
		return FileID{}, nil
	}
	return FileID{uint64(st.Dev), uint64(st.Ino)}, nil
}
