package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/moby/sys/mountinfo"

	"fatvol/image"
	"fatvol/watch"
)

// mountedTree is the volume of an image through the directory on which fatvol has it mounted; nil where it
// is not. The volume that opt means must be the one that is mounted, and the caller must be allowed to use
// the directory: the error names the mount otherwise.
func mountedTree(path string, opt image.OpenOptions) (volumeTree, error) {
	m := mountOfImage(path)
	if m == nil {
		return nil, nil
	}
	on := fmt.Sprintf("mounted on %s", m.Mountpoint)
	st, err := statusOf(m)
	if err != nil {
		return nil, fmt.Errorf("%s by %s, and cannot be used through that: %w", on, userName(mountOwner(m)), err)
	}
	if st.State != watch.Present.String() {
		return nil, fmt.Errorf("%s, and %s: %s", on, st.State, st.Reason)
	}
	if err := sameVolumeAs(st, path, opt); err != nil {
		return nil, err
	}
	if f, err := os.Open(m.Mountpoint); err != nil {
		return nil, fmt.Errorf("%s, and cannot be used through that: %w", on, reason(err))
	} else {
		f.Close()
	}
	return mountTree{hostTree{m.Mountpoint}}, nil
}

// mountOfImage finds the mount of an image: by what the mount table says, or by the records of mounts,
// since fsname= may have the table say anything.
func mountOfImage(path string) *mountinfo.Info {
	abs, err := absolutePath(path)
	if err != nil {
		return nil
	}
	real, _ := filepath.EvalSymlinks(abs) // empty where it leads nowhere
	infos, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.FSType != fuseType, false })
	if err != nil {
		return nil
	}
	return lastMount(infos, func(m *mountinfo.Info) bool {
		source := m.Source
		if record := recordOf(m); record != nil {
			source = record.Image
			record.close()
		}
		// To compare the files themselves would touch hosts of other mounts, which may hang.
		return source == abs || source == real
	})
}

// sameVolumeAs returns why the volume that is mounted is not the one that opt means.
func sameVolumeAs(st *mountStatus, path string, opt image.OpenOptions) error {
	opt.ReadOnly, opt.NoLock = true, true
	host, _, err := image.OpenHost(path, opt)
	if err != nil {
		return err
	}
	defer host.Close()
	vol, err := image.Locate(host, opt)
	if err != nil {
		return err
	}
	if vol.Partition.Start != st.Offset {
		return fmt.Errorf("another volume of it is mounted on %s: unmount that first", st.Dir)
	}
	return nil
}

// userName is a user's name, or number.
func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return fmt.Sprintf("the user %d", uid)
	}
	return u.Username
}
