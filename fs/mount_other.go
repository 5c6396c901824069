//go:build !linux

package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A kernelMount is the mount as go-fuse made it: with macFUSE's or FreeBSD's helper.
type kernelMount struct{ fuse *fuse.Server }

func (s *Server) attach(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMountPoint, err)
	}
	fi, err := os.Stat(abs)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %s does not exist", ErrMountPoint, abs)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrMountPoint, abs, err)
	case !fi.IsDir():
		return fmt.Errorf("%w: %s is not a directory", ErrMountPoint, abs)
	}
	m := s.fs.fuseOptions()
	m.Options = s.fs.opt.helperOptions(runtime.GOOS)
	server, err := fuse.NewServer(s.fs, abs, m)
	if err != nil {
		return fmt.Errorf("mount on %s: %w", abs, err)
	}
	s.mount.fuse, s.requests = server, server
	return nil
}

func (m *kernelMount) unmount(lazy bool) error {
	if lazy {
		return fmt.Errorf("lazy unmount: %w", errors.ErrUnsupported)
	}
	return m.fuse.Unmount()
}
