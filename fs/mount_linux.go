package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// We mount by ourselves instead of having go-fuse do it, for what it has no way to say: flags such
// as noatime, an exact type, and descriptors that are closed on exec; and because its errors do not
// tell a missing fusermount3 from a refusal.

const devFuse = "/dev/fuse"

// A kernelMount is the mount as the kernel has it.
type kernelMount struct {
	dir    string                     // mount point, absolute and without symbolic links
	id     deviceID                   // st_dev of the mount
	direct bool                       // mount(2) was ours, not fusermount3's
	via    *atomic.Pointer[Unmounter] // who unmounts, where that is not us
}

// attach mounts on dir and greets the kernel.
func (s *Server) attach(dir string) error {
	dir, err := resolveMountPoint(dir)
	if err != nil {
		return err
	}
	opt := &s.fs.opt
	m := kernelMount{dir: dir, direct: privileged(), via: new(atomic.Pointer[Unmounter])}
	var fd int
	if m.direct {
		fd, err = mountDirect(dir, opt)
	} else {
		fd, err = mountHelped(dir, opt)
	}
	if err != nil {
		return err
	}
	s.fs.covered = func() bool { return s.mount.covered() }
	session, settings, err := newSession(s.fs, fd)
	if err != nil {
		m.unmountPath(dir, true)
		return fmt.Errorf("mount on %s: the kernel did not greet: %w", dir, err)
	}
	m.id, err = findMount(dir, "fuse."+opt.Subtype)
	if err != nil {
		opt.Log.Warn("mounted, but not in the mount table", "dir", dir, "err", err)
	} else if m.direct {
		raiseReadahead(m.id, opt)
	}
	s.fs.notifyEpoch = session.EpochNotify
	s.fs.met(session, settings)
	s.mount, s.requests = m, session
	return nil
}

// resolveMountPoint checks that dir is a directory and gives its absolute name.
func resolveMountPoint(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMountPoint, err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", mountPointError(abs, err)
	}
	fi, err := os.Stat(real)
	if err != nil {
		return "", mountPointError(abs, err)
	}
	if !fi.IsDir() {
		return "", fmt.Errorf("%w: %s is not a directory", ErrMountPoint, abs)
	}
	return real, nil
}

func mountPointError(dir string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: %s does not exist", ErrMountPoint, dir)
	case errors.Is(err, unix.ENOTCONN):
		return fmt.Errorf("%w: %s is a FUSE mount whose server is gone; unmount it first (umount %[2]s, or fusermount3 -u %[2]s)", ErrMountPoint, dir)
	}
	return fmt.Errorf("%w: %s: %w", ErrMountPoint, dir, err)
}

// privileged reports whether mount(2) is open to this process: CAP_SYS_ADMIN in its user namespace.
func privileged() bool { return Capable(unix.CAP_SYS_ADMIN) }

// Capable reports whether this process has a capability in its user namespace.
func Capable(capability uint) bool {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return os.Geteuid() == 0
	}
	return d[capability/32].Effective&(1<<(capability%32)) != 0
}

// mountDirect opens /dev/fuse and mounts it. It returns the descriptor.
func mountDirect(dir string, opt *Options) (int, error) {
	fd, err := unix.Open(devFuse, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, noFUSE(err)
	}
	data := directData(fd, opt)
	if err := unix.Mount(opt.FSName, dir, "fuse."+opt.Subtype, mountFlags(opt), data); err != nil {
		unix.Close(fd)
		switch err {
		case unix.ENODEV:
			return -1, noFUSE(err)
		case unix.EPERM, unix.EACCES:
			return -1, fmt.Errorf("%w: mount on %s: %w", ErrNotPermitted, dir, err)
		}
		return -1, fmt.Errorf("mount on %s: %w", dir, err)
	}
	return fd, nil
}

func noFUSE(err error) error {
	return fmt.Errorf("%w: %s: %w; load the module (modprobe fuse), or in a container pass the device in", ErrNoFUSE, devFuse, err)
}

// directData is the option string of a FUSE mount. What is a flag in mount(2) is not in it.
func directData(fd int, opt *Options) string {
	data := []string{
		fmt.Sprintf("fd=%d", fd),
		fmt.Sprintf("rootmode=%o", modeDir),
		fmt.Sprintf("user_id=%d", os.Geteuid()),
		fmt.Sprintf("group_id=%d", os.Getegid()),
	}
	return strings.Join(append(data, commonData(opt)...), ",")
}

// commonData are the options that the kernel and fusermount3 both know.
func commonData(opt *Options) []string {
	data := []string{fmt.Sprintf("max_read=%d", maxWrite)}
	if opt.AllowOther {
		data = append(data, "allow_other")
	}
	if opt.kernelChecks() {
		data = append(data, "default_permissions")
	}
	return data
}
