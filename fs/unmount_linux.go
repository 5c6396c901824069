package fs

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A deviceID is the st_dev of a mount, by which it is found wherever it was moved. Asking the mount
// itself would be a request that we would have to answer.
type deviceID struct{ major, minor int }

func (d deviceID) String() string { return fmt.Sprintf("%d:%d", d.major, d.minor) }

// findMount looks for the topmost mount on dir.
func findMount(dir, fstype string) (deviceID, error) {
	top, err := topMount(dir)
	if err != nil {
		return deviceID{}, err
	}
	if top == nil || top.FSType != fstype {
		return deviceID{}, fmt.Errorf("%w: no %s on %s", ErrNotMounted, fstype, dir)
	}
	return deviceID{top.Major, top.Minor}, nil
}

// topMount gives what is mounted on dir last, and thus on top; nil if nothing is.
func topMount(dir string) (*mountinfo.Info, error) {
	all, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		return i.Mountpoint != dir, false
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[len(all)-1], nil
}

// covered reports whether something is mounted inside of the mount. If the table cannot be read, it may.
func (m *kernelMount) covered() bool {
	all, err := mountinfo.GetMounts(nil)
	if err != nil {
		return true
	}
	ours := make(map[int]bool)
	for _, i := range all {
		if i.Major == m.id.major && i.Minor == m.id.minor {
			ours[i.ID] = true
		}
	}
	return slices.ContainsFunc(all, func(i *mountinfo.Info) bool { return ours[i.Parent] && !ours[i.ID] })
}

// unmount takes the mount from wherever it is now.
func (m *kernelMount) unmount(lazy bool) error {
	places, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		return i.Major != m.id.major || i.Minor != m.id.minor, false
	})
	if err != nil {
		return err
	}
	if len(places) == 0 {
		return ErrNotMounted
	}
	dir := places[0].Mountpoint
	for _, p := range places {
		if p.Mountpoint == m.dir {
			dir = m.dir
		}
	}
	top, err := topMount(dir)
	if err != nil {
		return err
	}
	if top == nil || top.Major != m.id.major || top.Minor != m.id.minor {
		return fmt.Errorf("%s: another file system is mounted on top: %w", dir, unix.EBUSY)
	}
	return m.unmountPath(dir, lazy)
}

// UnmountPath unmounts what is on dir by the means of this process's user.
func UnmountPath(dir string, lazy bool) error {
	m := kernelMount{direct: privileged()}
	return m.unmountPath(dir, lazy)
}

// Unmounter unmounts what is on dir. Its errors are those of Server.Unmount.
type Unmounter func(dir string, lazy bool) error

// UnmountBy has somebody else unmount from now on.
func (s *Server) UnmountBy(u Unmounter) { s.mount.via.Store(&u) }

func (m *kernelMount) unmountPath(dir string, lazy bool) error {
	if m.via != nil {
		if via := m.via.Load(); via != nil {
			return (*via)(dir, lazy)
		}
	}
	if m.direct {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		if err := unix.Unmount(dir, flags); err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
		return nil
	}
	bin, err := FusermountPath()
	if err != nil {
		return err
	}
	args := []string{"-u"}
	if lazy {
		args = append(args, "-z")
	}
	var stderr bytes.Buffer
	cmd := exec.Command(bin, append(args, "--", dir)...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		said := strings.Join(strings.Fields(stderr.String()), " ")
		if strings.Contains(said, "busy") {
			return fmt.Errorf("unmount %s: %w", dir, unix.EBUSY)
		}
		return fmt.Errorf("unmount %s: %s (%w)", dir, said, err)
	}
	return nil
}
