package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// maxSocketName is how long a socket's path may be.
const maxSocketName = 107

// socketName is a name for the socket at path that is short enough for the kernel; it may be used until
// release is called.
func socketName(path string) (name string, release func(), err error) {
	if len(path) <= maxSocketName {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}
