package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// fuseType is the type that the kernel shows for our mounts, unless subtype= says otherwise.
const fuseType = "fuse.fatvol"

// mountAt returns the topmost mount at dir, an absolute path without symbolic links, or nil.
func mountAt(dir string) (*mountinfo.Info, error) {
	infos, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	return lastMount(infos, func(m *mountinfo.Info) bool { return m.Mountpoint == dir }), nil
}

// findMount finds the mount that the user means: by its directory, or else by its image. It asks
// the file system about the directory only when the mount table does not have it, because a
// mount whose server is dead or hangs does not answer.
func findMount(path string) (*mountinfo.Info, error) {
	abs, err := absolutePath(path)
	if err != nil {
		return nil, err
	}
	infos, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	if m := lastMount(infos, func(m *mountinfo.Info) bool { return m.Mountpoint == abs }); m != nil {
		return m, nil
	}
	if m := lastMount(infos, func(m *mountinfo.Info) bool { return m.Source == abs && m.FSType == fuseType }); m != nil {
		return m, nil
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, err
	}
	return lastMount(infos, func(m *mountinfo.Info) bool { return m.Mountpoint == real }), nil
}

func lastMount(infos []*mountinfo.Info, want func(*mountinfo.Info) bool) *mountinfo.Info {
	for i := len(infos) - 1; i >= 0; i-- {
		if want(infos[i]) {
			return infos[i]
		}
	}
	return nil
}

// otherMounts lists where else the file system of m is mounted, as far as this mount name space
// shows.
func otherMounts(m *mountinfo.Info) []string {
	infos, err := mountinfo.GetMounts(func(o *mountinfo.Info) (skip, stop bool) {
		return o.Major != m.Major || o.Minor != m.Minor || o.ID == m.ID || o.Major+o.Minor == 0, false
	})
	if err != nil {
		return nil
	}
	var dirs []string
	for _, o := range infos {
		dirs = append(dirs, o.Mountpoint)
	}
	return dirs
}

// mountsBelow lists the mount points on m itself, which keep it busy.
func mountsBelow(m *mountinfo.Info) []string {
	infos, err := mountinfo.GetMounts(func(o *mountinfo.Info) (skip, stop bool) {
		return o.Parent != m.ID || o.ID == m.ID || o.ID == 0, false
	})
	if err != nil {
		return nil
	}
	var dirs []string
	for _, o := range infos {
		dirs = append(dirs, o.Mountpoint)
	}
	return dirs
}

// mountOwner is the user who has mounted m, as FUSE notes it.
func mountOwner(m *mountinfo.Info) int {
	for o := range strings.SplitSeq(m.VFSOptions, ",") {
		if id, ok := strings.CutPrefix(o, "user_id="); ok {
			if uid, err := strconv.Atoi(id); err == nil {
				return uid
			}
		}
	}
	return os.Geteuid()
}
