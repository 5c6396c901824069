package fat

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// BootSize is the number of bytes from the start of a volume that ParseGeometry wants: the largest
// sector, which also covers the first FAT entry of a floppy without a BPB.
const BootSize = 4096

// bootLen is what of the boot sector has a layout; it is the same for every sector size.
const bootLen = 512

// Byte offsets in the boot sector (FAT specification sections 3.1 to 3.3). Multi-byte fields are
// little-endian and not aligned.
const (
	offJump     = 0x00
	offOEM      = 0x03
	offBytsSec  = 0x0b
	offSecClus  = 0x0d
	offRsvd     = 0x0e
	offNumFATs  = 0x10
	offRootEnt  = 0x11
	offTotSec16 = 0x13
	offMedia    = 0x15
	offFATSz16  = 0x16
	offSecTrk   = 0x18
	offHeads    = 0x1a
	offHidden   = 0x1c
	offTotSec32 = 0x20
	offFATSz32  = 0x24
	offExtFlags = 0x28
	offFSVer    = 0x2a
	offRootClus = 0x2c
	offFSInfo   = 0x30
	offBkBoot   = 0x32
	offSig55AA  = 0x1fe

	// The extended BPB is at one place on FAT12 and FAT16 and at another on FAT32; the fields lie
	// at the same distances in both.
	offExt16 = 0x24
	offExt32 = 0x40

	extState  = 0x01 // BS_Reserved1: bit 0 dirty, bit 1 surface test wanted
	extSig    = 0x02 // BS_BootSig
	extSerial = 0x03 // BS_VolID
	extLabel  = 0x07 // BS_VolLab
	extType   = 0x12 // BS_FilSysType
)

// Values of BS_BootSig.
const (
	bootSigSerial = 0x28 // only BS_VolID follows
	bootSigFull   = 0x29 // BS_VolID, BS_VolLab and BS_FilSysType follow
)

// bpb holds the fields of a boot sector as they are on the disk, not yet checked.
type bpb struct {
	bytsPerSec uint16
	secPerClus uint8
	rsvdSec    uint16
	numFATs    uint8
	rootEnts   uint16
	totSec16   uint16
	media      uint8
	fatSz16    uint16
	totSec32   uint32
	// The following belong to the FAT32 layout and mean nothing without it.
	fatSz32  uint32
	extFlags uint16
	fsVer    uint16
	rootClus uint32
	fsInfo   uint16
	bkBoot   uint16

	jump     bool // starts with an x86 jump, as every DOS and Windows formatter writes it
	sig55AA  bool
	typeFAT  bool   // BS_FilSysType starts with "FAT"
	foreign  string // the other file system that this is for certain, or ""
	oem      string
	bpbBlank bool // every BPB field of DOS 2.x is zero: as on a DOS 1.x floppy
}

func decodeBPB(b []byte) bpb {
	le := binary.LittleEndian
	p := bpb{
		bytsPerSec: le.Uint16(b[offBytsSec:]),
		secPerClus: b[offSecClus],
		rsvdSec:    le.Uint16(b[offRsvd:]),
		numFATs:    b[offNumFATs],
		rootEnts:   le.Uint16(b[offRootEnt:]),
		totSec16:   le.Uint16(b[offTotSec16:]),
		media:      b[offMedia],
		fatSz16:    le.Uint16(b[offFATSz16:]),
		totSec32:   le.Uint32(b[offTotSec32:]),
		fatSz32:    le.Uint32(b[offFATSz32:]),
		extFlags:   le.Uint16(b[offExtFlags:]),
		fsVer:      le.Uint16(b[offFSVer:]),
		rootClus:   le.Uint32(b[offRootClus:]),
		fsInfo:     le.Uint16(b[offFSInfo:]),
		bkBoot:     le.Uint16(b[offBkBoot:]),
		// A near jump (e9) needs no nop behind it; some formatters write eb without the nop as well.
		jump:    b[offJump] == jumpShort || b[offJump] == jumpNear,
		sig55AA: b[offSig55AA] == 0x55 && b[offSig55AA+1] == 0xaa,
		typeFAT: bytes.HasPrefix(b[offExt16+extType:], []byte("FAT")) ||
			bytes.HasPrefix(b[offExt32+extType:], []byte("FAT")),
		oem: printable(b[offOEM : offOEM+8]),
	}
	p.bpbBlank = allZero(b[offBytsSec : offHeads+2])
	switch string(b[offOEM : offOEM+8]) {
	case "NTFS    ":
		p.foreign = "NTFS"
	case "EXFAT   ":
		p.foreign = "exFAT"
	case "ReFS\x00\x00\x00\x00":
		p.foreign = "ReFS"
	case "-FVE-FS-":
		p.foreign = "BitLocker"
	}
	return p
}

// looksFAT tells a damaged FAT boot sector from bytes that never were one. The fields' own ranges
// are the evidence: boot code or text in their place fails several of them at once.
func (p *bpb) looksFAT() bool {
	if p.foreign != "" {
		return false
	}
	score := 0
	for _, good := range []bool{
		p.jump, p.sig55AA, p.typeFAT, p.typeFAT,
		validSectorSize(p.bytsPerSec), validSecPerClus(p.secPerClus),
		p.rsvdSec != 0, validNumFATs(p.numFATs), validMedia(p.media),
	} {
		if good {
			score++
		}
	}
	return score >= 6
}

// isFAT32 says which of the two layouts follows offset 0x24. Linux, dosfstools and mtools decide
// by this field, and so does what lies on the disk: only FAT32 has FATs without a 16-bit size.
func (p *bpb) isFAT32() bool { return p.fatSz16 == 0 }

func (p *bpb) totalSectors() uint32 {
	// DOS 3.x had boot code or a 16-bit hidden-sector count where BPB_TotSec32 is now, so it
	// counts only when BPB_TotSec16 is zero.
	if p.totSec16 != 0 {
		return uint32(p.totSec16)
	}
	return p.totSec32
}

func (p *bpb) fatSectors() uint32 {
	if p.isFAT32() {
		return p.fatSz32
	}
	return uint32(p.fatSz16)
}

func validSectorSize(n uint16) bool { return n >= 512 && n <= 4096 && n&(n-1) == 0 }
func validSecPerClus(n uint8) bool  { return n != 0 && n&(n-1) == 0 }
func validNumFATs(n uint8) bool     { return n >= 1 && n <= 4 }
func validMedia(m uint8) bool       { return m == 0xf0 || m >= 0xf8 }

// allZero compares b with itself, one byte on: many times as fast as a loop over the rest of a large directory.
func allZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

// printable is b as text for people: anything but printable ASCII becomes '.', and trailing
// spaces and NULs are cut off.
func printable(b []byte) string {
	s := []byte(strings.TrimRight(string(b), " \x00"))
	for i, c := range s {
		if c < 0x20 || c > 0x7e {
			s[i] = '.'
		}
	}
	return string(s)
}

// putBootRoot names the first cluster of FAT32's root directory in a boot sector.
func putBootRoot(b []byte, c Cluster) {
	binary.LittleEndian.PutUint32(b[offRootClus:], uint32(c))
}
