package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// A mountFlag is an option of mount(8) that is a flag in mount(2).
type mountFlag struct {
	name   string
	flag   uintptr
	helped bool // fusermount3 knows it (3.14)
	set    func(*Options) bool
}

var mountFlagTable = []mountFlag{
	{"ro", unix.MS_RDONLY, true, func(o *Options) bool { return o.ReadOnly }},
	{"nosuid", unix.MS_NOSUID, true, func(o *Options) bool { return o.NoSuid || os.Geteuid() != 0 }},
	{"nodev", unix.MS_NODEV, true, func(o *Options) bool { return o.NoDev || os.Geteuid() != 0 }},
	{"noexec", unix.MS_NOEXEC, true, func(o *Options) bool { return o.NoExec }},
	{"sync", unix.MS_SYNCHRONOUS, true, func(o *Options) bool { return o.Sync }},
	{"dirsync", unix.MS_DIRSYNC, true, func(o *Options) bool { return o.DirSync }},
	{"noatime", unix.MS_NOATIME, true, func(o *Options) bool { return o.NoAtime }},
	{"nodiratime", unix.MS_NODIRATIME, false, func(o *Options) bool { return o.NoDirAtime }},
	{"relatime", unix.MS_RELATIME, false, func(o *Options) bool { return o.RelAtime }},
	{"strictatime", unix.MS_STRICTATIME, false, func(o *Options) bool { return o.StrictAtime }},
}

func mountFlags(o *Options) (flags uintptr) {
	for _, f := range mountFlagTable {
		if f.set(o) {
			flags |= f.flag
		}
	}
	return flags
}

// mountFlagNames are the same for fusermount3, which takes names, and refuses those that it does not
// know. The others make no difference to what is mounted: access times are ours to keep.
func mountFlagNames(o *Options) (names []string) {
	for _, f := range mountFlagTable {
		if f.helped && f.set(o) {
			names = append(names, f.name)
		}
	}
	return names
}
