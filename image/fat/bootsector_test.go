package fat

import (
	"encoding/binary"
	"testing"
)

// bootSpec describes a boot sector by its fields. bytes writes them without any check, so that a
// test can lie in each.
type bootSpec struct {
	bytsPerSec uint16
	secPerClus uint8
	rsvdSec    uint16
	numFATs    uint8
	rootEnts   uint16
	totSec16   uint16
	media      uint8
	fatSz16    uint16
	totSec32   uint32

	fat32    bool // write the fields of the FAT32 layout
	fatSz32  uint32
	extFlags uint16
	fsVer    uint16
	rootClus uint32
	fsInfo   uint16
	bkBoot   uint16

	noJump, noSig bool
	bootSig       uint8
	state         uint8
	serial        uint32
	label         string
	fsType        string
}

func (s bootSpec) bytes() []byte {
	b := make([]byte, BootSize)
	le := binary.LittleEndian
	if !s.noJump {
		copy(b, "\xeb\x3c\x90")
	}
	copy(b[offOEM:], "MSWIN4.1")
	le.PutUint16(b[offBytsSec:], s.bytsPerSec)
	b[offSecClus] = s.secPerClus
	le.PutUint16(b[offRsvd:], s.rsvdSec)
	b[offNumFATs] = s.numFATs
	le.PutUint16(b[offRootEnt:], s.rootEnts)
	le.PutUint16(b[offTotSec16:], s.totSec16)
	b[offMedia] = s.media
	le.PutUint16(b[offFATSz16:], s.fatSz16)
	le.PutUint32(b[offTotSec32:], s.totSec32)
	ext := offExt16
	if s.fat32 {
		ext = offExt32
		le.PutUint32(b[offFATSz32:], s.fatSz32)
		le.PutUint16(b[offExtFlags:], s.extFlags)
		le.PutUint16(b[offFSVer:], s.fsVer)
		le.PutUint32(b[offRootClus:], s.rootClus)
		le.PutUint16(b[offFSInfo:], s.fsInfo)
		le.PutUint16(b[offBkBoot:], s.bkBoot)
	}
	if s.bootSig != 0 {
		b[ext+extState] = s.state
		b[ext+extSig] = s.bootSig
		le.PutUint32(b[ext+extSerial:], s.serial)
		copy(b[ext+extLabel:ext+extType], s.label)
		copy(b[ext+extType:], s.fsType)
	}
	if !s.noSig {
		b[offSig55AA], b[offSig55AA+1] = 0x55, 0xaa
	}
	return b
}

// size is the number of bytes that the volume claims.
func (s bootSpec) size() int64 {
	n := int64(s.totSec32)
	if s.totSec16 != 0 {
		n = int64(s.totSec16)
	}
	return n * int64(s.bytsPerSec)
}

// withClusters sets the FAT size and the total so that the volume has exactly n data clusters of
// the given width.
func (s bootSpec) withClusters(w Width, n uint32) bootSpec {
	sector := uint64(s.bytsPerSec)
	fatSz := ((uint64(n)+2)*uint64(w) + 8*sector - 1) / (8 * sector)
	root := (uint64(s.rootEnts)*slotSize + sector - 1) / sector
	total := uint64(s.rsvdSec) + uint64(s.numFATs)*fatSz + root + uint64(n)*uint64(s.secPerClus)
	s.totSec16, s.totSec32 = 0, uint32(total)
	if w != FAT32 && total < 1<<16 {
		s.totSec16, s.totSec32 = uint16(total), 0
	}
	s.fatSz16, s.fatSz32 = uint16(fatSz), 0
	if w == FAT32 {
		s.fatSz16, s.fatSz32 = 0, uint32(fatSz)
	}
	return s
}

func goodBoot12() bootSpec {
	return bootSpec{
		bytsPerSec: 512, secPerClus: 1, rsvdSec: 1, numFATs: 2, rootEnts: 224, totSec16: 2880, media: 0xf0,
		fatSz16: 9, bootSig: bootSigFull, serial: 0x12345678, label: "FLOPPY     ", fsType: "FAT12   ",
	}
}

func goodBoot16() bootSpec {
	s := bootSpec{
		bytsPerSec: 512, secPerClus: 4, rsvdSec: 1, numFATs: 2, rootEnts: 512, media: 0xf8,
		bootSig: bootSigFull, serial: 0xcafebabe, label: "SIXTEEN    ", fsType: "FAT16   ",
	}
	return s.withClusters(FAT16, 16000)
}

func goodBoot32() bootSpec {
	s := bootSpec{
		bytsPerSec: 512, secPerClus: 1, rsvdSec: 32, numFATs: 2, media: 0xf8, fat32: true, rootClus: 2,
		fsInfo: 1, bkBoot: 6, bootSig: bootSigFull, serial: 0xdeadbeef, label: "THIRTYTWO  ", fsType: "FAT32   ",
	}
	return s.withClusters(FAT32, 70000)
}

// checkGeometry checks what every user of a Geometry relies on.
func checkGeometry(t *testing.T, g *Geometry, deviceSize int64) {
	t.Helper()
	check := func(ok bool, what string) {
		if !ok {
			t.Errorf("%s does not hold for %+v on a device of %d bytes", what, *g, deviceSize)
		}
	}
	pow2 := func(n int) bool { return n > 0 && n&(n-1) == 0 }
	check(g.Width == FAT12 || g.Width == FAT16 || g.Width == FAT32, "width")
	check(pow2(g.SectorSize) && g.SectorSize >= 512 && g.SectorSize <= 4096, "sector size")
	check(pow2(g.ClusterSize) && g.ClusterSize >= g.SectorSize && 1<<g.ClusterShift == g.ClusterSize, "cluster size")
	check(g.Clusters >= 1 && g.Clusters <= g.Width.maxClusters(), "cluster count")
	check(g.FATs >= 1 && g.FATs <= 4 && g.ActiveFAT >= 0 && g.ActiveFAT < g.FATs, "FATs")
	check(g.Mirrored || g.Width == FAT32, "mirroring on FAT12 and FAT16")
	check(!g.Mirrored || g.ActiveFAT == 0, "active FAT of a mirrored volume")
	check(g.FATStart >= int64(g.SectorSize) && g.FATBytes > 0, "FAT place")
	check((uint64(g.Clusters)+2)*uint64(g.Width) <= uint64(g.FATBytes)*8, "a FAT entry for each cluster")
	fatEnd := g.FATStart + int64(g.FATs)*g.FATBytes
	check(fatEnd > 0 && fatEnd <= g.DataStart, "FATs before data")
	if g.Width == FAT32 {
		check(g.RootStart == 0 && g.RootEntries == 0, "no fixed root")
		check(g.RootCluster >= 2 && g.RootCluster <= g.Clusters+1, "root cluster")
	} else {
		check(g.RootStart == fatEnd && g.RootEntries > 0 && g.RootCluster == 0, "fixed root")
		check(g.RootStart+int64(g.RootEntries)*slotSize <= g.DataStart, "root before data")
		check(g.FSInfo == 0 && g.BackupBoot == 0, "no FSInfo")
	}
	check(g.DataStart+int64(g.Clusters)<<g.ClusterShift <= g.Size, "data within the volume")
	check(g.Size <= deviceSize, "volume within the device")
	for _, off := range []int64{g.FSInfo, g.BackupBoot} {
		check(off == 0 || off >= int64(g.SectorSize) && off+int64(g.SectorSize) <= g.FATStart && off%int64(g.SectorSize) == 0,
			"FSInfo and backup in the reserved area")
	}
	check(g.FSInfo == 0 || g.FSInfo != g.BackupBoot, "FSInfo apart from the backup")
	for _, off := range []int{g.StateOffset, g.SerialOffset, g.LabelOffset} {
		check(off == 0 || off > 0 && off < bootLen-len(g.Label), "offsets in the boot sector")
	}
	check(validMedia(g.Media), "media")
}
