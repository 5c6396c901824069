package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fatvol/fs"
)

// ownNamespaces are those of the serving process: one of mounts, and if this process may not mount, one of
// users in which it may, and in which the user is who he is outside.
func ownNamespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Setpgid: true}
	if !fs.Capable(unix.CAP_SYS_ADMIN) {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	return attr
}

// fuseUsable returns what keeps this process from FUSE.
func fuseUsable() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, os.ErrNotExist):
		return errors.New("there is no /dev/fuse: load the module (modprobe fuse), or start the container with --device /dev/fuse")
	case errors.Is(err, unix.EPERM):
		return errors.New("this container may not use /dev/fuse: start it with --device /dev/fuse")
	case errors.Is(err, unix.EACCES):
		return errors.New("you may not open /dev/fuse, which other systems let everybody do: chmod 666 /dev/fuse, as root")
	}
	return fmt.Errorf("FUSE: %w", err)
}

// namespaceError says what is missing where the serving process cannot have name spaces of its own.
func namespaceError(err error) error {
	switch {
	case sysctl("/proc/sys/user/max_user_namespaces") == "0":
		return errors.New("user name spaces are switched off: sysctl user.max_user_namespaces=10000, as root, allows them")
	case sysctl("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return errors.New("user name spaces are for root only: sysctl kernel.unprivileged_userns_clone=1, as root, allows them")
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return errors.New("there are as many user name spaces as are allowed: see user.max_user_namespaces and namespaces(7)")
	case errors.Is(err, unix.EINVAL):
		return errors.New("this kernel has no user name spaces, and mounting takes the capability CAP_SYS_ADMIN then")
	case errors.Is(err, unix.EPERM) && os.Geteuid() == 0 && !fs.Capable(unix.CAP_SETFCAP):
		return errors.New("root without the capability CAP_SETFCAP can have no user name space of its own: " +
			"start the container with --cap-add SETFCAP, or run this as another user")
	case errors.Is(err, unix.EPERM):
		return errors.New("a user name space is not permitted here, as in a chroot and in containers with Docker's seccomp profile: " +
			"start the container with --security-opt seccomp=unconfined, or with --cap-add SYS_ADMIN")
	}
	return fmt.Errorf("name spaces for the mount: %w", err)
}

// mountForbidden adds to a refused mount(2) what may have refused it.
func mountForbidden(err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	if sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
		return fmt.Errorf("%w: AppArmor lets only programs that have a profile mount in user name spaces: "+
			"sysctl kernel.apparmor_restrict_unprivileged_userns=0, as root, allows it", err)
	}
	return fmt.Errorf("%w: mounting is not permitted here, though in a name space of its own: "+
		"start the container with --security-opt apparmor=unconfined and --security-opt seccomp=unconfined, or with --cap-add SYS_ADMIN; "+
		"before Linux 4.18 only root can mount", err)
}

// sysctl is the value of a setting of the kernel, empty where there is none.
func sysctl(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
