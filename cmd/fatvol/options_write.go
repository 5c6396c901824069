package main

import (
	"fatvol/fs"
	"fatvol/image/fat"
)

var writeOptions = []option{
	{"ro", flagValue(func(c *config) { c.readOnly = true }),
		"Nothing is written, not even the mark that the volume is in use. An image or medium that cannot be written to is mounted so, with a warning."},
	{"rw", flagValue(func(c *config) { c.readOnly = false }),
		"Undoes `ro`."},
	{"sync", flagValue(func(c *config) { c.fat.Sync, c.fs.Sync = true, true }),
		"Every change is on the medium when its system call returns. Slow, and flash wears."},
	{"async", flagValue(func(c *config) { c.fat.Sync, c.fs.Sync = false, false }),
		"Undoes `sync`. The default: changes reach the medium within about a second, on fsync(2), and at the unmount."},
	{"dirsync", flagValue(func(c *config) { c.fat.DirSync, c.fs.DirSync = true, true }),
		"As `sync`, for changes of directories only."},
	{"flush", flagValue(func(c *config) { c.fat.Flush = true }),
		"A file that was written is on the medium when it is closed."},
	{"writeback", flagValue(func(c *config) { c.fs.Writeback = true }),
		"The kernel collects small writes in its cache before fatvol sees them. Faster for programs that write in small pieces; what they wrote last is then not within the one second of `async`, but within the kernel's own half minute, unless they call fsync(2)."},
	{"wakeup", enumValue(func(c *config, w fs.Wakeup) { c.fs.Wakeup = w },
		enumWord[fs.Wakeup]{"auto", fs.WakeupAuto},
		enumWord[fs.Wakeup]{"fast", fs.WakeupFast},
		enumWord[fs.Wakeup]{"normal", fs.WakeupNormal}),
		"What processors without work do while many small requests follow each other. `fast`: they do not sleep deeply, which makes creating, looking up and reading many small files up to half as fast again, and takes more power meanwhile; they are back to normal some milliseconds after the last request. `normal`: they sleep as always. `auto`, the default: `fast` on machines of 2 to 4 processors. Linux, and only with the right to ask the kernel for it (/dev/cpu_dma_latency), which root has."},
	{"discard", flagValue(func(c *config) { c.fat.Discard = true }),
		"The space of deleted data is given back to the file system that holds the image, or to the device. fstrim(8) does so on demand, without this option."},
	{"errors", enumValue(func(c *config, p fat.ErrorPolicy) { c.fat.Errors = p },
		enumWord[fat.ErrorPolicy]{"remount-ro", fat.ErrorsRemountRO},
		enumWord[fat.ErrorPolicy]{"continue", fat.ErrorsContinue},
		enumWord[fat.ErrorPolicy]{"panic", fat.ErrorsPanic}),
		"What happens when damage is found in the volume's structures. `remount-ro`, the default: the volume becomes read-only. `continue`: the damaged part answers EIO and the rest goes on. `panic`: every access answers EIO from then on, and the volume is unmounted as soon as nobody uses it; the machine goes on."},
	{"repair", enumValue(func(c *config, m fat.RepairMode) { c.fat.Repair = m },
		enumWord[fat.RepairMode]{"yes", fat.RepairFree},
		enumWord[fat.RepairMode]{"keep", fat.RepairKeep},
		enumWord[fat.RepairMode]{"no", fat.RepairNo}),
		"What happens when the volume was not unmounted properly, as after a loss of power. `yes`, the default: what that leaves behind without harm is repaired in the background while the volume is in use, each with a line in the log, and the volume is then marked as whole. These are clusters that no file uses, which become free; chains longer than their file; a second, older name of a file; parts of long names; and a second FAT that is behind the first. `keep`: clusters that no file uses become files FSCKnnnn.REC in the root directory. `no`: the volume is left as it is. Other damage is never touched, but reported, and `errors=` applies: `fatvol check --repair` deals with it."},
	{"usefree", flagValue(func(c *config) { c.fat.UseFree = true }),
		"Trusts the count of free clusters on the disk even when the volume was not unmounted cleanly, instead of counting."},
	{"debug", flagValue(func(c *config) { c.fs.Debug = true }),
		"Logs every request of the kernel."},
}
