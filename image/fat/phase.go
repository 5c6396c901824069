package fat

// phase is the place of a metadata change in the order of writes. A commit writes its phases one
// after the other with a Sync of the device between those that are not empty; the order is what
// makes every prefix of the writes a sound volume. docs/order-of-writes.md has the argument.
type phase uint8

const (
	// phaseBody: nothing on the volume refers to what changes here. Entries of new chains,
	// freed entries, long-name slots that lie in another atom than their short entry, slots
	// after the end of a directory, and file data.
	phaseBody phase = iota
	// phaseLink: the last cluster of a chain that the volume refers to gets a successor.
	phaseLink
	// phaseAdd: short entries that come, grow, shrink or switch to another chain.
	phaseAdd
	// phaseSwap: the first half of an exchange; ".." of a directory that moved.
	phaseSwap
	// phaseRemove: short entries that go, the second half of an exchange, and names that come
	// back in the same epoch at the place where they were removed.
	phaseRemove
	// phaseLate: ".." of the directory that the second half of an exchange moved.
	phaseLate
	// phaseLast: names that go because of something added in phaseRemove.
	phaseLast
	// phaseCut: ends of chains that got shorter, long-name slots of names that went.
	phaseCut

	phaseCount
)

// An edit records what a few bytes of a block were before a change of the open epoch, and in which
// phase the change is written. The block itself always holds the newest bytes; what it looks like
// in phase p is found by putting back the edits of later phases, newest first.
type edit struct {
	pos   int32 // in the units of the list's owner
	phase phase
	old   [slotSize]byte
}

// write is a piece of a commit: bytes for an offset of the device.
type write struct {
	off  int64
	data []byte
}
