package main

// What nfs= may say.
const (
	nfsStaleRW   = "stale_rw"
	nfsNostaleRO = "nostale_ro"
)

var variantOptions = []option{
	{"fat", enumValue(func(c *config, width int) { c.fat.Geometry.FAT = width },
		enumWord[int]{"12", 12}, enumWord[int]{"16", 16}, enumWord[int]{"32", 32}),
		"The width of the FAT's entries, against what the count of clusters says. Only for volumes that were made wrong; a wrong choice destroys the volume."},
	{"dos1xfloppy", boolValue(func(c *config, on bool) { c.fat.Geometry.DOS1x = on }),
		"An image without a BIOS parameter block whose size is that of a DOS 1.x floppy (160, 180, 320 or 360 KiB) is read as one."},
	{"nfs", value{"[=stale_rw|nostale_ro]", func(c *config, text string, has bool) error {
		if !has {
			text = nfsStaleRW
		}
		return nfsMode.set(c, text, true)
	}}, "For exporting the mount over NFS. `nostale_ro` mounts read-only, so that file handles stay good for ever; `stale_rw`, also when bare, allows writing, and clients may see ESTALE."},
}

var nfsMode = enumValue(func(c *config, mode string) { c.fs.NFS = mode },
	enumWord[string]{nfsStaleRW, nfsStaleRW}, enumWord[string]{nfsNostaleRO, nfsNostaleRO})
