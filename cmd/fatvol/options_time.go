package main

import "time"

// maxTimeOffset is what vfat allows: zones reach 14 hours, summer time comes on top.
const maxTimeOffset = 24 * 60

var timeOptions = []option{
	{"tz", enumValue(func(c *config, offset time.Duration) { c.timeOffset = &offset },
		enumWord[time.Duration]{"UTC", 0}),
		"Times on the disk are UTC, as some cameras write them. The default is local time, as Windows writes them."},
	{"time_offset", intValue("MINUTES", -maxTimeOffset, maxTimeOffset, func(c *config, n int64) error {
		offset := time.Duration(n) * time.Minute
		c.timeOffset = &offset
		return nil
	}), "Times on the disk are this many minutes ahead of UTC, from -1440 to 1440, whatever the zone of this machine."},
	{"noatime", flagValue(func(c *config) { c.setAtime(atimeNone) }),
		"Reading a file never changes its access date."},
	{"relatime", flagValue(func(c *config) { c.setAtime(atimeRelative) }),
		"Reading changes the access date when it is older than the last change or than a day. The default. FAT keeps the date only."},
	{"strictatime", flagValue(func(c *config) { c.setAtime(atimeStrict) }),
		"Reading changes the access date whenever the day is another."},
	{"atime", flagValue(func(c *config) { c.setAtime(atimeRelative) }),
		"Undoes `noatime`."},
	{"norelatime", flagValue(func(c *config) { c.setAtime(atimeRelative) }),
		"The kernel takes it for its default, which is `relatime`."},
	{"nostrictatime", flagValue(func(c *config) { c.setAtime(atimeRelative) }),
		"Undoes `strictatime`."},
}

type atimeMode int

const (
	atimeRelative atimeMode = iota
	atimeNone
	atimeStrict
)

// setAtime tells both the engine, which keeps the dates, and the kernel, which shows the flag.
func (c *config) setAtime(m atimeMode) {
	c.fat.NoAtime, c.fs.NoAtime = m == atimeNone, m == atimeNone
	c.fat.StrictAtime, c.fs.StrictAtime = m == atimeStrict, m == atimeStrict
	c.fs.RelAtime = m == atimeRelative
}
