package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// What a serving process gives up, and why it may keep what it keeps: docs/security.md.

const (
	accessRead  = ll.AccessFSReadFile | ll.AccessFSReadDir
	accessImage = accessRead | ll.AccessFSWriteFile | ll.AccessFSTruncate
	accessOwn   = accessImage | ll.AccessFSMakeReg | ll.AccessFSRemoveFile
)

// confine gives up what serving the mount does not take. Where the kernel has no Landlock, the process
// goes on without.
func (s *served) confine() error {
	device := ""
	if m, err := mountAt(s.req.dir); err == nil && m != nil {
		device = deviceNumber(m)
	}
	u, err := startUnmounter(device)
	if err != nil {
		return fmt.Errorf("the process that unmounts cannot be started: %w", err)
	}
	s.server.UnmountBy(u.unmount)
	var own []string
	for _, create := range []func() (string, error){createStateDir, createSpareDir} {
		if dir, err := create(); err == nil {
			own = append(own, dir)
		}
	}
	if s.record != nil {
		own = append(own, filepath.Dir(s.record.path))
	}
	return confineTo(s.places, own)
}

// confineTo lets this process, with all its threads and for ever, use files below images, make and
// remove some in own, and see what the kernel says of the system.
func confineTo(images, own []string) error {
	_, _ = time.Now().Local().Zone() // reads the rules while it may
	if _, _, e := psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		return fmt.Errorf("no_new_privs: %w", e)
	}
	rules := []landlock.Rule{
		landlock.PathAccess(accessRead, "/proc", "/sys").IgnoreIfMissing(),
		landlock.PathAccess(ll.AccessFSReadFile|ll.AccessFSWriteFile, os.DevNull),
	}
	for _, dir := range images {
		rules = append(rules, landlock.PathAccess(accessImage, dir).IgnoreIfMissing())
	}
	for _, dir := range own {
		rules = append(rules, landlock.PathAccess(accessOwn, dir).IgnoreIfMissing())
	}
	if err := landlock.V4.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("Landlock: %w", err)
	}
	return nil
}

// imagePlaces are the directories below which an image may be looked for when its medium has come back.
//
// Landlock knows a directory by its inode, and looks from a file upwards, through mount points, of which
// it ignores what they cover. So the image's directory is not the one of the same path once its host was
// mounted anew: what holds then is the directory above the mount point.
func imagePlaces(image string) []string {
	var places []string
	add := func(dir string) {
		if !slices.Contains(places, dir) {
			places = append(places, dir)
		}
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		mounts = nil
	}
	paths := []string{image}
	if real, err := filepath.EvalSymlinks(image); err == nil && real != image {
		paths = append(paths, real)
	}
	for _, path := range paths {
		dir := filepath.Dir(path)
		add(dir)
		host, fstype := "/", ""
		for _, m := range mounts {
			if (m.Mountpoint == "/" || dir == m.Mountpoint || strings.HasPrefix(dir, m.Mountpoint+"/")) && len(m.Mountpoint) >= len(host) {
				host, fstype = m.Mountpoint, m.FSType
			}
		}
		if host != "/" && fstype != "devtmpfs" {
			add(filepath.Dir(host))
		}
	}
	return places
}
