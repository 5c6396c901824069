package main

var volumeOptions = []option{
	{"partition", textValue("N|LABEL|UUID", func(c *config, text string) error {
		c.image.Partition = text
		return nil
	}), "Mounts this partition: by its number as fdisk(8) counts, by its label (the name in a GPT, or the label of the FAT volume), or by its UUID (of a GPT partition, `XXXXXXXX-NN` for an MBR one, or the serial `XXXX-XXXX` of the volume). " +
		"Without it the image itself is mounted when it is a volume, and otherwise the only FAT volume in its partition table; where there are several, the error lists them."},
	{"offset", sizeValue(0, func(c *config, n int64) { c.image.Offset, c.image.NoTable = n, true }),
		"The volume starts at this byte, a multiple of 512; no partition table is read. Units as in `1MiB` are understood. " +
			"mount(8) does not pass this option on: it makes a loop device instead, which is mounted just as well; `partition=` needs none."},
	{"sizelimit", sizeValue(1, func(c *config, n int64) { c.image.SizeLimit = n }),
		"Nothing beyond this many bytes from the start of the volume is read or written. No partition table is read either: without `offset=` the volume starts where the image does. " +
			"As with `offset=`, mount(8) answers it with a loop device."},
}
