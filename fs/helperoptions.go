package fs

import (
	"strings"
	"unicode"
)

// helperOptions are the mount options for the helper of a system other than Linux: macFUSE's mount_macfuse
// where system, as in runtime.GOOS, is darwin, and FreeBSD's mount_fusefs, which knows none but the first.
func (o *Options) helperOptions(system string) (words []string) {
	add := func(word string, on bool) {
		if on {
			words = append(words, word)
		}
	}
	add("ro", o.ReadOnly)
	add("nosuid", o.NoSuid)
	add("nodev", o.NoDev)
	add("noexec", o.NoExec)
	add("noatime", o.NoAtime)
	add("sync", o.Sync)
	add("default_permissions", o.kernelChecks())
	if system == "darwin" {
		add("nobrowse", o.NoBrowse)
		add("noappledouble", o.NoAppleDouble)
		if name := volumeName(o.VolumeName); name != "" {
			add("volname="+name, true)
		}
	}
	return words
}

// volumeName is a name as it can stand in a list of options, where nothing can be escaped. It may come
// from the volume, which must not choose options.
func volumeName(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == ',' || r == '\\' || r == '/' || r == ':' || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, name))
}
