//go:build !linux

package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	m.Options = mountOptions(&s.fs.opt)
	if s.fuse, err = fuse.NewServer(s.fs, abs, m); err != nil {
		return fmt.Errorf("mount on %s: %w", abs, err)
	}
	s.mount.fuse = s.fuse
	return nil
}

// mountOptions are those that both systems' helpers know.
func mountOptions(o *Options) (names []string) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"ro", o.ReadOnly},
		{"nosuid", o.NoSuid},
		{"nodev", o.NoDev},
		{"noexec", o.NoExec},
		{"noatime", o.NoAtime},
		{"sync", o.Sync},
		{"default_permissions", o.kernelChecks()},
	} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

func (m *kernelMount) released() {}

func (m *kernelMount) unmount(lazy bool) error {
	if lazy {
		return fmt.Errorf("lazy unmount: %w", errors.ErrUnsupported)
	}
	return m.fuse.Unmount()
}
