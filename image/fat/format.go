package fat

import (
	"encoding/binary"
	"time"
)

// What a formatter needs of the codecs: the opposite direction of ParseGeometry, ParseFSInfo and of
// the readers of tables and directories.

// A BootSector holds the fields of a new volume's boot sector, in the units in which they are stored.
// Its fields are written as they are; ParseGeometry is who checks.
type BootSector struct {
	Width             Width
	SectorSize        uint16 // bytes
	SectorsPerCluster uint8
	Reserved          uint16 // sectors before the first FAT
	FATs              uint8
	RootEntries       uint16 // FAT12 and FAT16
	Sectors           uint32 // of the volume
	FATSectors        uint32 // of one FAT
	Media             byte
	SectorsPerTrack   uint16
	Heads             uint16
	Hidden            uint32 // sectors before the volume: where its partition begins
	RootCluster       uint32 // FAT32
	InfoSector        uint16 // FAT32: the FSInfo sector; 0 is none
	BackupSector      uint16 // FAT32: the backup of the boot sector; 0 is none
	Serial            uint32
	Label             [11]byte // as EncodeLabel gives it
	OEM               string   // up to 8 characters
}

// BootCodeOffset is where a boot sector of this width has room for code, up to the signature at 510.
func (w Width) BootCodeOffset() int {
	if w == FAT32 {
		return offExt32 + extType + 8
	}
	return offExt16 + extType + 8
}

// Put writes the fields into the sector b, along with the signature and, unless b begins with a jump, one
// to the boot code. Boot code that is in b stays.
func (s *BootSector) Put(b []byte) {
	le := binary.LittleEndian
	code := s.Width.BootCodeOffset()
	if b[offJump] != jumpShort && b[offJump] != jumpNear {
		copy(b, []byte{jumpShort, byte(code - 2), 0x90})
	}
	clear(b[offOEM:code])
	copy(b[offOEM:offOEM+8], s.OEM+"        ")
	le.PutUint16(b[offBytsSec:], s.SectorSize)
	b[offSecClus] = s.SectorsPerCluster
	le.PutUint16(b[offRsvd:], s.Reserved)
	b[offNumFATs] = s.FATs
	if s.Sectors <= 0xffff {
		le.PutUint16(b[offTotSec16:], uint16(s.Sectors))
	} else {
		le.PutUint32(b[offTotSec32:], s.Sectors)
	}
	b[offMedia] = s.Media
	le.PutUint16(b[offSecTrk:], s.SectorsPerTrack)
	le.PutUint16(b[offHeads:], s.Heads)
	le.PutUint32(b[offHidden:], s.Hidden)
	ext := offExt16
	if s.Width == FAT32 {
		ext = offExt32
		le.PutUint32(b[offFATSz32:], s.FATSectors)
		le.PutUint32(b[offRootClus:], s.RootCluster)
		le.PutUint16(b[offFSInfo:], s.InfoSector)
		le.PutUint16(b[offBkBoot:], s.BackupSector)
	} else {
		le.PutUint16(b[offRootEnt:], s.RootEntries)
		le.PutUint16(b[offFATSz16:], uint16(s.FATSectors))
	}
	if s.Media == mediaFixed {
		b[ext] = firstHardDisk
	}
	b[ext+extSig] = bootSigFull
	le.PutUint32(b[ext+extSerial:], s.Serial)
	copy(b[ext+extLabel:], s.Label[:])
	copy(b[ext+extType:], s.Width.String()+"   ")
	b[offSig55AA], b[offSig55AA+1] = 0x55, 0xaa
}

const (
	jumpShort     = 0xeb
	jumpNear      = 0xe9
	mediaFixed    = 0xf8
	firstHardDisk = 0x80 // BS_DrvNum: the number by which a BIOS knows the disk
)

// PutNew makes an FSInfo sector with the two numbers of the bytes in sector, which has at least 512.
func (f FSInfo) PutNew(sector []byte) {
	le := binary.LittleEndian
	clear(sector)
	le.PutUint32(sector[offLeadSig:], fsiLeadSig)
	le.PutUint32(sector[offStrucSig:], fsiStrucSig)
	le.PutUint16(sector[offTrailSig:], fsiTrailSig)
	f.Put(sector)
}

// MinClusters and MaxClusters bound the count of data clusters of a volume of this width (FAT
// specification section 3.5).
func (w Width) MinClusters() uint32 {
	switch w {
	case FAT16:
		return minFAT16
	case FAT32:
		return minFAT32
	}
	return 1
}

// MaxClusters is the other bound.
func (w Width) MaxClusters() uint32 { return w.maxClusters() }

// PutEntry sets entry i of the FAT whose bytes begin with p.
func (w Width) PutEntry(p []byte, i, value uint32) { widths[w].set(p, i, value) }

// EndOfChain is the FAT entry of the last cluster of a chain.
func (w Width) EndOfChain() uint32 { return widths[w].eoc() }

// PutReserved sets the first two entries of a FAT: the media byte, and that the volume is clean (FAT
// specification section 4).
func (w Width) PutReserved(p []byte, media byte) {
	w.PutEntry(p, 0, w.EndOfChain()&^0xff|uint32(media))
	w.PutEntry(p, 1, w.EndOfChain())
}

// DirSlot is the size of a slot of a directory in bytes, MaxDirSlots the number of them that a
// directory may have (FAT specification section 6).
const (
	DirSlot     = slotSize
	MaxDirSlots = maxSlots
)

// The names of a directory's first two entries: itself and its parent.
var (
	ShortDot    = [11]byte([]byte(".          "))
	ShortDotDot = [11]byte([]byte("..         "))
)

// A Record is a short entry of a directory that is to be made.
type Record struct {
	Short    [11]byte
	Case     byte // NT case bits, of a Name that is Exact
	Attr     Attributes
	Created  time.Time
	Modified time.Time
	Accessed time.Time
	First    Cluster // 0 for an empty file, and for ".." of a directory in the root
	Size     uint32  // 0 for directories
}

// Put writes the entry into the slot s of a volume of width w whose times are those of c.
func (r *Record) Put(s []byte, w Width, c Clock) {
	d := dirent{attr: r.Attr, ntCase: r.Case, first: r.First, size: r.Size}
	d.createDate, d.createTime, d.createCentis = c.Encode(r.Created)
	d.modifyDate, d.modifyTime, _ = c.Encode(r.Modified)
	d.accessDate, _, _ = c.Encode(r.Accessed)
	clear(s[:slotSize])
	copy(s, r.Short[:])
	d.encode(s, w)
}
