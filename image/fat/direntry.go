package fat

import "encoding/binary"

// Attributes are the attribute bits of a directory entry (FAT specification section 6).
type Attributes byte

const (
	AttrReadOnly  Attributes = 0x01
	AttrHidden    Attributes = 0x02
	AttrSystem    Attributes = 0x04
	AttrVolumeID  Attributes = 0x08
	AttrDirectory Attributes = 0x10
	AttrArchive   Attributes = 0x20

	attrLong     = AttrReadOnly | AttrHidden | AttrSystem | AttrVolumeID // a long-name slot
	attrLongMask = attrLong | AttrDirectory | AttrArchive
	// AttrSettable are those that applications may change.
	AttrSettable = AttrReadOnly | AttrHidden | AttrSystem | AttrArchive
)

const (
	slotSize = 32
	// maxSlots is the largest directory: FAT specification section 6.4 allows 2 MiB.
	maxSlots = 1 << 16
	// atom is the number of bytes that a medium writes whole or not at all. Larger sectors are
	// promised by some, but 512 holds everywhere, and everything here relies on no more.
	atom         = 512
	slotsPerAtom = atom / slotSize

	slotEnd     = 0x00 // first byte of a slot: this and all later ones are free
	slotDeleted = 0xe5 // first byte of a free slot
	slotKanji   = 0x05 // stands for a name that begins with 0xe5
)

// dirent is the decoded payload of a short directory entry, without its name. Its fields are in
// the volume's own units (FAT specification section 6), so that decode and encode lose nothing.
type dirent struct {
	attr         Attributes
	ntCase       byte
	createCentis uint8
	createTime   uint16
	createDate   uint16
	accessDate   uint16
	modifyTime   uint16
	modifyDate   uint16
	first        Cluster
	size         uint32
}

func decodeDirent(s []byte, w Width) dirent {
	le := binary.LittleEndian
	d := dirent{
		attr:         Attributes(s[11]),
		ntCase:       s[12],
		createCentis: s[13],
		createTime:   le.Uint16(s[14:]),
		createDate:   le.Uint16(s[16:]),
		accessDate:   le.Uint16(s[18:]),
		modifyTime:   le.Uint16(s[22:]),
		modifyDate:   le.Uint16(s[24:]),
		first:        Cluster(le.Uint16(s[26:])),
		size:         le.Uint32(s[28:]),
	}
	if w == FAT32 {
		d.first |= Cluster(le.Uint16(s[20:])) << 16
	}
	return d
}

// encode writes the payload into the slot s; the 11 bytes of the name stay.
func (d *dirent) encode(s []byte, w Width) {
	le := binary.LittleEndian
	s[11] = byte(d.attr)
	s[12] = d.ntCase
	s[13] = d.createCentis
	le.PutUint16(s[14:], d.createTime)
	le.PutUint16(s[16:], d.createDate)
	le.PutUint16(s[18:], d.accessDate)
	// On FAT12 and FAT16 these two bytes belong to OS/2's extended attributes: kept as found.
	if w == FAT32 {
		le.PutUint16(s[20:], uint16(d.first>>16))
	}
	le.PutUint16(s[22:], d.modifyTime)
	le.PutUint16(s[24:], d.modifyDate)
	le.PutUint16(s[26:], uint16(d.first))
	le.PutUint32(s[28:], d.size)
}

func slotIsFree(s []byte) bool { return s[0] == slotEnd || s[0] == slotDeleted }
func slotIsLong(s []byte) bool { return Attributes(s[11])&attrLongMask == attrLong }
func slotIsLabel(s []byte) bool {
	return Attributes(s[11])&(AttrVolumeID|AttrDirectory) == AttrVolumeID && !slotIsLong(s)
}

// slotIsDot reports whether s is the "." or ".." entry of a directory.
func slotIsDot(s []byte) bool {
	const dot, dotdot = ".          ", "..         "
	return string(s[:11]) == dot || string(s[:11]) == dotdot
}

func shortOf(s []byte) [11]byte { return [11]byte(s[:11]) }
