package fat

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Width is the number of bits of a FAT entry.
type Width uint8

// The three widths. A FAT32 entry has 28 bits that count; the upper four are kept as they are.
const (
	FAT12 Width = 12
	FAT16 Width = 16
	FAT32 Width = 32
)

// String is the width as the FAT specification spells it, e.g. "FAT16".
func (w Width) String() string { return fmt.Sprintf("FAT%d", uint8(w)) }

// Cluster counts at which the width changes (FAT specification section 3.5): fewer than minFAT16
// data clusters is FAT12, fewer than minFAT32 is FAT16. The limits are exact.
const (
	minFAT16 = 4085
	minFAT32 = 65525
)

// maxClusters is the largest count of data clusters that a width can address: the number of the
// last one, count+1, stays below the marks for bad clusters and ends of chains.
func (w Width) maxClusters() uint32 {
	switch w {
	case FAT12:
		return minFAT16 - 1
	case FAT16:
		return minFAT32 - 1
	}
	return 0x0ffffff5
}

// Geometry is where everything in a volume lies. Offsets are bytes from the volume's start unless
// they say otherwise. ParseGeometry has checked every field: the areas follow one another without
// overlap and end within the device, and no sum or product of them overflows.
type Geometry struct {
	Width        Width
	SectorSize   int    // bytes, power of two, 512..4096
	ClusterSize  int    // bytes, power of two, 512..512 KiB
	ClusterShift uint   // log2(ClusterSize)
	Clusters     uint32 // data clusters; valid numbers are 2..Clusters+1
	FATs         int    // 1..4
	FATStart     int64  // first FAT
	FATBytes     int64  // of one FAT
	ActiveFAT    int    // the FAT that is read, 0..FATs-1
	Mirrored     bool   // false: only ActiveFAT is kept up to date (FAT32, BPB_ExtFlags bit 7)
	RootStart    int64  // FAT12 and FAT16: the fixed root directory; 0 on FAT32
	RootEntries  int    // FAT12 and FAT16: its slots; 0 on FAT32
	RootCluster  uint32 // FAT32: first cluster of the root directory; 0 otherwise
	DataStart    int64  // cluster 2
	Size         int64  // bytes that the volume claims, at most those of the device
	FSInfo       int64  // FSInfo sector; 0 when there is none
	BackupBoot   int64  // backup of the boot sector; 0 when there is none
	StateOffset  int    // in the boot sector: the state byte; 0 without extended BPB
	SerialOffset int    // in the boot sector: the volume serial; 0 when there is none
	LabelOffset  int    // in the boot sector: the label; 0 when there is none
	Media        byte   // 0xf0 or 0xf8..0xff
	Serial       uint32
	Label        [11]byte // the boot sector's, by code page; "NO NAME    " when there is none
	OEM          string   // printable ASCII
	Dirty        bool     // state bit 0: not cleanly unmounted
	HardError    bool     // state bit 1: an I/O error was met, surface test wanted
}

// GeometryOptions are the mount options that change how a boot sector is read.
type GeometryOptions struct {
	DOS1x bool // dos1xfloppy: a floppy without BPB is known by its size and its media byte
	FAT   int  // fat=12, 16 or 32 instead of the width that the cluster count gives; 0 is auto
}

// ParseGeometry reads a boot sector: the first BootSize bytes of a device, or all it has.
// deviceSize is the number of bytes of the device.
//
// The error is a *BPBError. It wraps ErrNotFAT when the bytes are not a FAT volume, ErrTruncated
// when the volume claims more bytes than the device has, and ErrCorrupt when a field is out of its
// range or contradicts another.
func ParseGeometry(boot []byte, deviceSize int64, opt GeometryOptions) (*Geometry, error) {
	if len(boot) < bootLen || deviceSize < bootLen {
		return nil, &BPBError{Field: "device size", Value: uint64(max(0, min(deviceSize, int64(len(boot))))),
			Want: "at least 512 bytes", Err: ErrNotFAT}
	}
	switch opt.FAT {
	case 0, 12, 16, 32:
	default:
		return nil, fmt.Errorf("option fat=%d: want 12, 16 or 32: %w", opt.FAT, ErrInvalid)
	}
	p := decodeBPB(boot)
	g, err := p.geometry(boot, deviceSize, opt)
	if err != nil && opt.DOS1x && !p.looksFAT() {
		return parseDOS1x(boot, deviceSize, p, opt, err)
	}
	return g, err
}

func (p *bpb) geometry(boot []byte, deviceSize int64, opt GeometryOptions) (*Geometry, error) {
	if p.foreign != "" {
		return nil, &BPBError{Field: "BS_OEMName", Offset: offOEM, Value: binary.LittleEndian.Uint64(boot[offOEM:]),
			Want: "that of a FAT volume, not of " + p.foreign, Err: ErrNotFAT}
	}
	if err := p.checkRanges(); err != nil {
		return nil, err
	}
	g, err := p.layout(deviceSize)
	if err != nil {
		return nil, err
	}
	if err := p.setWidth(g, opt); err != nil {
		return nil, err
	}
	if g.Width == FAT32 {
		if err := p.setFAT32(g); err != nil {
			return nil, err
		}
	}
	p.setExtended(g, boot)
	return g, nil
}

// fail is an error about one field; its sentinel depends on whether this is a FAT volume at all.
func (p *bpb) fail(field string, offset int, value uint64, want string, args ...any) *BPBError {
	err := ErrNotFAT
	if p.looksFAT() {
		err = ErrCorrupt
	}
	return &BPBError{Field: field, Offset: offset, Value: value, Want: fmt.Sprintf(want, args...), Err: err}
}

// checkRanges checks each field on its own (FAT specification section 3.1).
func (p *bpb) checkRanges() error {
	switch {
	case !validSectorSize(p.bytsPerSec):
		return p.fail("BPB_BytsPerSec", offBytsSec, uint64(p.bytsPerSec), "512, 1024, 2048 or 4096")
	case !validSecPerClus(p.secPerClus):
		return p.fail("BPB_SecPerClus", offSecClus, uint64(p.secPerClus), "a power of two from 1 to 128")
	case p.rsvdSec == 0:
		return p.fail("BPB_RsvdSecCnt", offRsvd, 0, "at least 1, the boot sector itself")
	case !validNumFATs(p.numFATs):
		return p.fail("BPB_NumFATs", offNumFATs, uint64(p.numFATs), "1 to 4")
	case !validMedia(p.media):
		return p.fail("BPB_Media", offMedia, uint64(p.media), "0xf0 or 0xf8 to 0xff")
	case p.totalSectors() == 0:
		return p.fail("BPB_TotSec32", offTotSec32, 0, "the size in sectors, as BPB_TotSec16 is 0 too")
	case p.fatSectors() == 0:
		return p.fail("BPB_FATSz32", offFATSz32, 0, "sectors per FAT, as BPB_FATSz16 is 0 too")
	case p.isFAT32() && p.rootEnts != 0:
		return p.fail("BPB_RootEntCnt", offRootEnt, uint64(p.rootEnts), "0 on FAT32")
	case p.isFAT32() && p.fsVer != 0:
		return p.fail("BPB_FSVer", offFSVer, uint64(p.fsVer), "0, the only version of FAT32 there is")
	case !p.isFAT32() && p.rootEnts == 0:
		return p.fail("BPB_RootEntCnt", offRootEnt, 0, "at least 1 on FAT12 and FAT16")
	}
	return nil
}

// layout places the areas one behind the other. No product overflows: the factors have at most
// 32, 3 and 13 bits.
func (p *bpb) layout(deviceSize int64) (*Geometry, error) {
	sector := int64(p.bytsPerSec)
	g := &Geometry{
		SectorSize:  int(sector),
		ClusterSize: int(sector) * int(p.secPerClus),
		FATs:        int(p.numFATs),
		FATStart:    int64(p.rsvdSec) * sector,
		FATBytes:    int64(p.fatSectors()) * sector,
		Mirrored:    true,
		Size:        int64(p.totalSectors()) * sector,
		Media:       p.media,
		OEM:         p.oem,
	}
	g.ClusterShift = uint(bits.TrailingZeros(uint(g.ClusterSize)))
	rootStart := g.FATStart + int64(g.FATs)*g.FATBytes
	// A root directory that does not fill its last sector still takes the whole of it.
	rootSectors := (int64(p.rootEnts)*slotSize + sector - 1) / sector
	g.DataStart = rootStart + rootSectors*sector
	if !p.isFAT32() {
		g.RootStart = rootStart
		g.RootEntries = int(p.rootEnts)
	}
	field, off := p.totalField()
	if g.Size < g.DataStart+int64(g.ClusterSize) {
		return nil, p.fail(field, off, uint64(p.totalSectors()),
			"at least %d: reserved area, FATs, root directory and one cluster",
			(g.DataStart+int64(g.ClusterSize))/sector)
	}
	if g.Size > deviceSize {
		e := p.fail(field, off, uint64(p.totalSectors()),
			"at most %d: the volume claims %d bytes, the device has %d", deviceSize/sector, g.Size, deviceSize)
		if e.Err == ErrCorrupt {
			e.Err = ErrTruncated
		}
		return nil, e
	}
	return g, nil
}

func (p *bpb) totalField() (string, int) {
	if p.totSec16 != 0 {
		return "BPB_TotSec16", offTotSec16
	}
	return "BPB_TotSec32", offTotSec32
}

// setWidth decides the width and counts the clusters (FAT specification section 3.5).
func (p *bpb) setWidth(g *Geometry, opt GeometryOptions) error {
	count := uint64(g.Size-g.DataStart) >> g.ClusterShift
	w, err := p.width(g, count, opt)
	if err != nil {
		return err
	}
	field, off := p.totalField()
	if count > uint64(w.maxClusters()) {
		return p.fail(field, off, uint64(p.totalSectors()),
			"at most %d data clusters on %v, these make %d", w.maxClusters(), w, count)
	}
	g.Width = w
	// Formatters exist that size the FAT too small; what it has no entry for is not used.
	if entries := uint64(g.FATBytes) * 8 / uint64(w); count+2 > entries {
		count = entries - 2 // a FAT has at least one sector
	}
	g.Clusters = uint32(count)
	return nil
}

func (p *bpb) width(g *Geometry, count uint64, opt GeometryOptions) (Width, error) {
	if p.isFAT32() {
		if opt.FAT != 0 && opt.FAT != 32 {
			return 0, p.fail("BPB_FATSz16", offFATSz16, 0, "sectors per FAT for option fat=%d", opt.FAT)
		}
		return FAT32, nil
	}
	switch {
	case opt.FAT == 32:
		return 0, p.fail("BPB_FATSz16", offFATSz16, uint64(p.fatSz16), "0 for option fat=32")
	case opt.FAT != 0:
		return Width(opt.FAT), nil
	case count >= minFAT16:
		return FAT16, nil
	}
	if !p.sig55AA && p.atariFAT16(g, count) {
		return 0, p.fail("BPB_FATSz16", offFATSz16, uint64(p.fatSz16),
			"a size that tells FAT12 from FAT16 without a boot signature: choose with option fat=12 or fat=16")
	}
	return FAT12, nil
}

// floppyMax is the size of the largest floppy, 2.88 MB.
const floppyMax = 2880 << 10

// atariFAT16 says whether GEMDOS would read this volume as FAT16. It formats floppies with 12-bit
// entries and hard disks with 16-bit ones, whatever the cluster count, and writes no 55aa, though
// some versions begin the sector with what looks like an x86 jump. A FAT without room for 16-bit
// entries cannot be meant so.
func (p *bpb) atariFAT16(g *Geometry, count uint64) bool {
	return g.Size > floppyMax && uint64(g.FATBytes)/2 >= count+2
}

// setFAT32 fills in what only FAT32 has (FAT specification section 3.3).
func (p *bpb) setFAT32(g *Geometry) error {
	if p.rootClus < 2 || p.rootClus > g.Clusters+1 {
		return p.fail("BPB_RootClus", offRootClus, uint64(p.rootClus), "a cluster from 2 to %d", g.Clusters+1)
	}
	g.RootCluster = p.rootClus
	if p.extFlags&0x80 != 0 {
		g.Mirrored = false
		g.ActiveFAT = int(p.extFlags & 0x0f)
		if g.ActiveFAT >= g.FATs {
			return p.fail("BPB_ExtFlags", offExtFlags, uint64(p.extFlags), "an active FAT from 0 to %d", g.FATs-1)
		}
	}
	sector := int64(g.SectorSize)
	if inReserved(p.fsInfo, p.rsvdSec) {
		g.FSInfo = int64(p.fsInfo) * sector
	}
	if inReserved(p.bkBoot, p.rsvdSec) && p.bkBoot != p.fsInfo {
		g.BackupBoot = int64(p.bkBoot) * sector
	}
	return nil
}

// inReserved says whether a sector number points into the reserved area behind the boot sector. 0
// and 0xffff both stand for "none" in the field.
func inReserved(n, reserved uint16) bool { return n != 0 && n != 0xffff && n < reserved }

// setExtended fills in the extended BPB (FAT specification sections 3.2 and 3.3).
func (p *bpb) setExtended(g *Geometry, boot []byte) {
	copy(g.Label[:], noName)
	ext := offExt16
	if g.Width == FAT32 {
		ext = offExt32
	}
	sig := boot[ext+extSig]
	if sig != bootSigSerial && sig != bootSigFull {
		return
	}
	g.StateOffset = ext + extState
	g.Dirty = boot[g.StateOffset]&1 != 0
	g.HardError = boot[g.StateOffset]&2 != 0
	g.SerialOffset = ext + extSerial
	g.Serial = binary.LittleEndian.Uint32(boot[g.SerialOffset:])
	if sig == bootSigFull {
		g.LabelOffset = ext + extLabel
		copy(g.Label[:], boot[g.LabelOffset:])
	}
}
