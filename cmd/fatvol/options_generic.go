package main

var genericOptions = []option{
	{"exec", flagValue(func(c *config) { c.fs.NoExec = false }),
		"Programs on the volume may be run. The default."},
	{"noexec", flagValue(func(c *config) { c.fs.NoExec = true }),
		"Programs on the volume may not be run."},
	{"nosuid", flagValue(func(c *config) { c.fs.NoSuid = true }),
		"Set-user-ID bits mean nothing. The default, and always on for anybody but root. FAT has no such bits."},
	{"suid", flagValue(func(c *config) { c.fs.NoSuid = false }),
		"Undoes `nosuid`, for root."},
	{"nodev", flagValue(func(c *config) { c.fs.NoDev = true }),
		"Device files mean nothing. The default, and always on for anybody but root. FAT has none."},
	{"dev", flagValue(func(c *config) { c.fs.NoDev = false }),
		"Undoes `nodev`, for root."},
	{"fsname", textValue("NAME", func(c *config, text string) error {
		c.fs.FSName = text
		return nil
	}), "The source that /proc/mounts shows. The default is the image's absolute path."},
	{"subtype", textValue("NAME", func(c *config, text string) error {
		c.fs.Subtype = text
		return nil
	}), "The type that /proc/mounts shows after `fuse.`. The default is fatvol."},
}

// macOptions are for macFUSE. That they are known elsewhere lets one line of options serve everywhere.
var macOptions = []option{
	{"volname", textValue("NAME", func(c *config, text string) error {
		c.fs.VolumeName = text
		return nil
	}), "The name that the Finder shows. The default is the label of the volume."},
	{"nobrowse", flagValue(func(c *config) { c.fs.NoBrowse = true }),
		"The Finder does not list the volume."},
	{"noappledouble", flagValue(func(c *config) { c.fs.NoAppleDouble = true }),
		"Files called `._*` and `.DS_Store` seem not to be there, and cannot be made."},
}

var ignoredOptions = []option{
	{"defaults", ignoredValue(""), "The defaults."},
	{"auto", ignoredValue(""), "For mount -a."},
	{"noauto", ignoredValue(""), "For mount -a."},
	{"user", ignoredValue("[=NAME]"), "For mount(8): any user may mount."},
	{"nouser", ignoredValue(""), "For mount(8)."},
	{"users", ignoredValue(""), "For mount(8): any user may mount. Only that user and root can unmount: so it is with FUSE."},
	{"nousers", ignoredValue(""), "For mount(8)."},
	{"owner", ignoredValue(""), "For mount(8)."},
	{"noowner", ignoredValue(""), "For mount(8)."},
	{"group", ignoredValue(""), "For mount(8)."},
	{"nogroup", ignoredValue(""), "For mount(8)."},
	{"_netdev", ignoredValue(""), "For systemd: mount once the network is up."},
	{"nofail", ignoredValue(""), "For mount -a and systemd: the boot goes on without this mount."},
	{"helper", ignoredValue("=NAME"), "For mount(8) and umount(8): `helper=fatvol` makes umount(8) wait until the image is complete, as `fatvol umount` does."},
	{"uhelper", ignoredValue("=NAME"), "As helper, where a user unmounts who is not root."},
	{"comment", ignoredValue("=TEXT"), "For people."},
	{"x-*", ignoredValue("[=VALUE]"), "For systemd, udisks and other readers of fstab; also spelled `X-`. Where fusermount3 mounts, and is of libfuse 3.17 or later, those with a small x are kept in the list of mounts, so that `x-gvfs-show` and `x-gvfs-name=NAME` have file managers list the volume."},
	{"loop", ignoredValue("[=DEVICE]"), "fatvol needs no loop device. Note that mount(8), where it sees this option, makes one all the same."},
	{"diratime", ignoredValue(""), "Access dates of directories are never updated, as with vfat."},
	{"nodiratime", ignoredValue(""), "See diratime."},
	{"lazytime", ignoredValue(""), "FAT's access dates need no such help."},
	{"nolazytime", ignoredValue(""), "See lazytime."},
	{"silent", ignoredValue(""), "For the kernel's own log."},
	{"loud", ignoredValue(""), "See silent."},
	{"symfollow", ignoredValue(""), "See nosymfollow."},
	{"nosymfollow", ignoredValue(""), "FAT has no symbolic links that could be followed."},
	{"mand", ignoredValue(""), "The kernel has no mandatory locks any more."},
	{"nomand", ignoredValue(""), "See mand."},
	{"iversion", ignoredValue(""), "FAT keeps no change counters."},
	{"noiversion", ignoredValue(""), "See iversion."},
	{"nonempty", ignoredValue(""), "A directory that is not empty can be mounted on, as with every file system."},
	{"conv", obsoleteValue("conv", "=MODE"), "Obsolete; a warning says so."},
	{"blocksize", obsoleteValue("blocksize", "=BYTES"), "Obsolete; a warning says so."},
	{"cvf_format", obsoleteValue("cvf_format", "=NAME"), "Obsolete; a warning says so."},
	{"cvf_options", obsoleteValue("cvf_options", "=TEXT"), "Obsolete; a warning says so."},
	{"posix", obsoleteValue("posix", ""), "Obsolete; a warning says so."},
}
