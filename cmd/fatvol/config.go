package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"fatvol/fs"
	"fatvol/image"
	"fatvol/image/fat"
)

// config is what the options of a mount come to: one set of choices for each layer.
type config struct {
	image image.OpenOptions
	fat   fat.Options
	fs    fs.Options
	// medium says how the mount is to live with a medium that comes and goes.
	medium mediumConfig

	// What these come to depends on more than one option; finish settles it.
	readOnly   bool
	uniXlate   bool
	utf8       *bool
	charset    string
	allowUTime *uint32
	timeOffset *time.Duration // of local time from UTC, east positive; nil is the system's zone

	privileged bool     // may mount without fusermount3
	warnings   []string // for the user, in order
}

// caller is whom a mount is for.
type caller struct {
	uid, gid   uint32
	umask      uint32
	privileged bool
}

// currentCaller is the real user of this process, whom vfat also takes as the owner of all files.
func currentCaller() caller {
	return caller{
		uid:        uint32(os.Getuid()),
		gid:        uint32(os.Getgid()),
		umask:      processUmask(),
		privileged: os.Geteuid() == 0,
	}
}

// processUmask reads the umask, which can only be read by setting it. It must run before there is
// a second goroutine that creates files.
func processUmask() uint32 {
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return uint32(mask)
}

// newConfig is a mount without any options: vfat's defaults, with UTF-8 names as desktops use.
func newConfig(who caller) *config {
	c := &config{privileged: who.privileged, medium: defaultMedium()}
	c.fat.NoDirAtime = true // as vfat: nobody is served by a write for each listing
	c.fs.UID, c.fs.GID = who.uid, who.gid
	c.fs.FMask, c.fs.DMask = who.umask, who.umask
	c.fs.NoSuid, c.fs.NoDev = true, true
	c.fs.RelAtime = true
	// A mount by root is for the system, as one of vfat is: uid= and the masks say who may do what.
	c.fs.AllowOther = who.privileged
	c.fs.Subtype = "fatvol"
	return c
}

func (c *config) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// parseMountOptions turns the lists after each -o into a configuration.
func parseMountOptions(who caller, lists []string, sloppy bool) (*config, error) {
	c := newConfig(who)
	for _, list := range lists {
		if err := c.apply(list, sloppy); err != nil {
			return nil, err
		}
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	return c, nil
}

// finish settles what depends on several options and on nothing but them.
func (c *config) finish() error {
	if c.image.Partition != "" && (c.image.NoTable || c.image.SizeLimit != 0) {
		return errors.New("options partition= and offset= or sizelimit= exclude each other: leave out one of them")
	}
	c.image.Geometry = c.fat.Geometry
	c.setReadOnly(c.readOnly || c.fs.NFS == nfsNostaleRO)
	if err := c.finishNames(); err != nil {
		return err
	}
	// Whoever may write to a directory may set times in it, as with vfat.
	c.fs.AllowUTime = ^c.fs.DMask & 0o022
	if c.allowUTime != nil {
		c.fs.AllowUTime = *c.allowUTime & 0o022
	}
	// The kernel asks for a directory's attributes anew after each change in it, only to check its mode.
	// So it is us who check, unless a mask closes directories to somebody: that only the kernel can keep
	// and cache names all the same; or unless the group counts, which FUSE does not tell of processes in
	// other pid namespaces.
	c.fs.DefaultPermissions = c.fs.DefaultPermissions || c.fs.DMask&0o111 != 0 ||
		groupCounts(c.fs.DMask) || groupCounts(c.fs.FMask)
	if c.timeOffset != nil {
		c.fat.Clock = fat.NewClock(time.UTC, *c.timeOffset, true)
	} else {
		c.fat.Clock = fat.NewClock(time.Local, 0, false)
	}
	if !c.privileged {
		c.fs.NoSuid, c.fs.NoDev = true, true
	}
	return nil
}

// setReadOnly makes all layers read-only, or none.
func (c *config) setReadOnly(ro bool) {
	c.image.ReadOnly, c.fat.ReadOnly, c.fs.ReadOnly = ro, ro, ro
}

// finishNames settles the character set. UTF-8 is the default; iocharset= takes its place unless
// utf8 is asked for by name; uni_xlate turns UTF-8 off, as vfat does.
func (c *config) finishNames() error {
	utf8 := c.charset == ""
	if c.utf8 != nil {
		utf8 = *c.utf8
	}
	names := &c.fat.Names
	names.UniXlate = c.uniXlate
	switch {
	case utf8 && !c.uniXlate:
		names.IOCharset = "utf8"
	case c.charset != "":
		names.IOCharset = c.charset
	default:
		names.IOCharset = defaultCharset
	}
	_, err := fat.NewNames(*names)
	return err
}

// defaultCharset is what vfat takes when UTF-8 is off and iocharset= is not given.
const defaultCharset = "iso8859-1"

// checkCharset refuses a name that no encoding is known by.
func checkCharset(name string) error {
	_, err := fat.NewNames(fat.NameOptions{IOCharset: name})
	return err
}

// checkCodePage refuses a code page that is not known.
func checkCodePage(name string) error {
	_, err := fat.NewNames(fat.NameOptions{CodePage: name})
	return err
}

// groupCounts reports whether a mask gives the group other rights than it gives everybody else.
func groupCounts(mask uint32) bool { return mask>>3&7 != mask&7 }
