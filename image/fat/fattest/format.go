package fattest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"fatvol/image/device"
)

// Layout describes a volume to make. Only Width and Clusters are needed; every other zero field
// means the usual value.
type Layout struct {
	Width       int    // 12, 16 or 32; must agree with Clusters
	Clusters    uint32 // exact number of data clusters
	SectorSize  int    // bytes: 512 (default), 1024, 2048, 4096
	ClusterSize int    // bytes: SectorSize (default) × 1…128
	FATs        int    // 1…4; default 2
	Reserved    int    // sectors before the first FAT; default 1, FAT32 32
	RootEntries int    // FAT12 and FAT16: slots of the root directory; default 512
	RootCluster uint32 // FAT32: first cluster of the root directory; default 2
	Spare       int    // sectors behind the last cluster that make no whole cluster
	ExtraFAT    int    // sectors of each FAT beyond what Clusters needs
	Hidden      uint32 // sectors before the volume (the start of its partition)
	Label       string // up to 11 bytes, upper case; also becomes the root's label entry
	Serial      uint32
	Media       byte     // default 0xF8
	NoFSInfo    bool     // FAT32: no FSInfo sector
	NoBackup    bool     // FAT32: no backup boot sector
	Bad         []uint32 // clusters that are marked bad
}

// The FAT specification's limits (section 3.5): the width of a volume follows from its number of
// clusters alone.
const (
	maxClusters12 = 4084
	maxClusters16 = 65524
	maxClusters32 = 0x0ffffff5
)

const slotSize = 32

// plan is a Layout with every default filled in, and what follows from it.
type plan struct {
	Layout
	perCluster  int   // sectors of a cluster
	fatSectors  int64 // sectors of one FAT
	rootSectors int64
	sectors     int64 // of the whole volume
}

func (l Layout) plan() (*plan, error) {
	p := &plan{Layout: l}
	setDefault(&p.SectorSize, 512)
	setDefault(&p.ClusterSize, p.SectorSize)
	setDefault(&p.FATs, 2)
	setDefault(&p.Media, 0xf8)
	if p.Width == 32 {
		setDefault(&p.Reserved, 32)
		setDefault(&p.RootCluster, 2)
	} else {
		setDefault(&p.Reserved, 1)
		setDefault(&p.RootEntries, 512)
	}
	p.perCluster = p.ClusterSize / p.SectorSize
	entries := int64(p.Clusters) + 2
	p.fatSectors = ceilDiv(ceilDiv(entries*int64(p.Width), 8), int64(p.SectorSize)) + int64(p.ExtraFAT)
	p.rootSectors = ceilDiv(int64(p.RootEntries)*slotSize, int64(p.SectorSize))
	p.sectors = int64(p.Reserved) + int64(p.FATs)*p.fatSectors + p.rootSectors +
		int64(p.Clusters)*int64(p.perCluster) + int64(p.Spare)
	return p, p.check()
}

func (p *plan) check() error {
	lo, hi := map[int]uint32{12: 1, 16: maxClusters12 + 1, 32: maxClusters16 + 1}[p.Width], uint32(0)
	switch p.Width {
	case 12:
		hi = maxClusters12
	case 16:
		hi = maxClusters16
	case 32:
		hi = maxClusters32
	}
	pow2 := func(n int) bool { return n > 0 && n&(n-1) == 0 }
	switch {
	case hi == 0:
		return fmt.Errorf("width %d: want 12, 16 or 32", p.Width)
	case p.Clusters < lo || p.Clusters > hi:
		return fmt.Errorf("%d clusters: FAT%d has %d to %d", p.Clusters, p.Width, lo, hi)
	case !pow2(p.SectorSize) || p.SectorSize < 512 || p.SectorSize > 4096:
		return fmt.Errorf("sector size %d: want 512, 1024, 2048 or 4096", p.SectorSize)
	case !pow2(p.perCluster) || p.perCluster > 128 || p.perCluster*p.SectorSize != p.ClusterSize:
		return fmt.Errorf("cluster size %d: want %d times 1, 2, 4 … 128", p.ClusterSize, p.SectorSize)
	case p.FATs < 1 || p.FATs > 4:
		return fmt.Errorf("%d FATs: want 1 to 4", p.FATs)
	case p.Width != 32 && p.RootEntries*slotSize%p.SectorSize != 0:
		return fmt.Errorf("%d root entries do not fill sectors of %d bytes", p.RootEntries, p.SectorSize)
	case p.Width == 32 && (p.RootEntries != 0 || p.RootCluster < 2 || p.RootCluster > p.Clusters+1):
		return errors.New("the root of FAT32 is a chain that starts at a valid cluster")
	case p.Reserved < 1 || p.Reserved > 0xffff || p.Width == 32 && p.Reserved < 8 && !p.NoBackup || p.Reserved < 2 && p.Width == 32 && !p.NoFSInfo:
		return fmt.Errorf("%d reserved sectors", p.Reserved)
	case p.Spare < 0 || p.Spare >= p.perCluster:
		return fmt.Errorf("%d spare sectors, a cluster has %d", p.Spare, p.perCluster)
	case p.Width != 32 && p.fatSectors > 0xffff || p.sectors > 0xffffffff:
		return fmt.Errorf("%d sectors, %d of a FAT: too many", p.sectors, p.fatSectors)
	}
	return nil
}

// VolumeSize is the number of bytes a device needs to hold a volume of the layout.
func VolumeSize(l Layout) (int64, error) {
	p, err := l.plan()
	if err != nil {
		return 0, err
	}
	return p.sectors * int64(p.SectorSize), nil
}

// Format writes an empty volume of the layout to the start of d. What lies in the data area is
// left alone, but for the root directory.
func Format(d device.Device, l Layout) error {
	p, err := l.plan()
	if err != nil {
		return fmt.Errorf("format: %w", err)
	}
	if need := p.sectors * int64(p.SectorSize); need > d.Size() {
		return fmt.Errorf("format: volume of %d bytes on a device of %d", need, d.Size())
	}
	system := int64(p.Reserved) + int64(p.FATs)*p.fatSectors + p.rootSectors
	if err := device.ZeroAt(d, 0, system*int64(p.SectorSize)); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	w := writer{d: d}
	p.writeBoot(&w)
	p.writeFATs(&w)
	p.writeRoot(&w)
	if w.err != nil {
		return fmt.Errorf("format: %w", w.err)
	}
	return d.Sync()
}

// writer keeps the first error of a series of writes.
type writer struct {
	d   device.Device
	err error
}

func (w *writer) at(off int64, b []byte) {
	if w.err == nil {
		_, w.err = w.d.WriteAt(b, off)
	}
}

func (p *plan) writeBoot(w *writer) {
	le := binary.LittleEndian
	b := make([]byte, p.SectorSize)
	copy(b, "\xeb\x3c\x90fattest ")
	le.PutUint16(b[11:], uint16(p.SectorSize))
	b[13] = byte(p.perCluster)
	le.PutUint16(b[14:], uint16(p.Reserved))
	b[16] = byte(p.FATs)
	le.PutUint16(b[17:], uint16(p.RootEntries))
	if p.Width != 32 && p.sectors < 0x10000 {
		le.PutUint16(b[19:], uint16(p.sectors))
	} else {
		le.PutUint32(b[32:], uint32(p.sectors))
	}
	b[21] = p.Media
	le.PutUint16(b[24:], 32) // sectors per track
	le.PutUint16(b[26:], 64) // heads
	le.PutUint32(b[28:], p.Hidden)
	ext := b[36:]
	if p.Width == 32 {
		b[1] = 0x58
		le.PutUint32(b[36:], uint32(p.fatSectors))
		le.PutUint32(b[44:], p.RootCluster)
		if !p.NoFSInfo {
			le.PutUint16(b[48:], 1)
		}
		if !p.NoBackup {
			le.PutUint16(b[50:], 6)
		}
		ext = b[64:]
	} else {
		le.PutUint16(b[22:], uint16(p.fatSectors))
	}
	ext[0], ext[2] = 0x80, 0x29
	le.PutUint32(ext[3:], p.Serial)
	copy(ext[7:], p.label())
	copy(ext[18:], fmt.Sprintf("FAT%d   ", p.Width))
	b[510], b[511] = 0x55, 0xaa
	w.at(0, b)
	if p.Width != 32 {
		return
	}
	info := make([]byte, p.SectorSize)
	le.PutUint32(info, fsinfoLead)
	le.PutUint32(info[484:], fsinfoStruct)
	le.PutUint32(info[488:], p.Clusters-uint32(len(p.Bad))-1)
	le.PutUint32(info[492:], p.RootCluster)
	le.PutUint32(info[508:], fsinfoTrail)
	if !p.NoFSInfo {
		w.at(int64(p.SectorSize), info)
	}
	if !p.NoBackup {
		w.at(6*int64(p.SectorSize), b)
		if !p.NoFSInfo {
			w.at(7*int64(p.SectorSize), info)
		}
	}
}

// Signatures of the FSInfo sector (FAT specification section 5).
const (
	fsinfoLead   = 0x41615252
	fsinfoStruct = 0x61417272
	fsinfoTrail  = 0xaa550000
)

func (p *plan) label() string {
	if p.Label == "" {
		return "NO NAME    "
	}
	return fmt.Sprintf("%-11.11s", p.Label)
}

func (p *plan) writeFATs(w *writer) {
	mask := uint32(1)<<p.Width - 1
	if p.Width == 32 {
		mask = 0x0fffffff
	}
	entries := map[uint32]uint32{0: mask&^0xff | uint32(p.Media), 1: mask}
	for _, c := range p.Bad {
		entries[c] = mask &^ 8
	}
	if p.Width == 32 {
		entries[p.RootCluster] = mask
	}
	for i := range p.FATs {
		start := (int64(p.Reserved) + int64(i)*p.fatSectors) * int64(p.SectorSize)
		for c, v := range entries {
			putEntry(w, p.Width, start, c, v)
		}
	}
}

// putEntry reads, changes and writes the bytes of one FAT entry.
func putEntry(w *writer, width int, fat int64, c, v uint32) {
	if w.err != nil {
		return
	}
	off := fat + int64(c)*int64(width)/8
	b := make([]byte, 4)
	n := 4
	if width != 32 {
		n = 2
	}
	if _, w.err = w.d.ReadAt(b[:n], off); w.err != nil {
		return
	}
	old := binary.LittleEndian.Uint32(b)
	switch {
	case width == 32:
		v |= old & 0xf0000000
	case width == 12 && c&1 == 1:
		v = v<<4 | old&0x000f
	case width == 12:
		v |= old & 0xf000
	}
	binary.LittleEndian.PutUint32(b, v)
	w.at(off, b[:n])
}

func (p *plan) writeRoot(w *writer) {
	fixed := (int64(p.Reserved) + int64(p.FATs)*p.fatSectors) * int64(p.SectorSize)
	root := fixed
	if p.Width == 32 {
		root += int64(p.RootCluster-2) * int64(p.ClusterSize)
		if w.err == nil {
			w.err = device.ZeroAt(w.d, root, int64(p.ClusterSize))
		}
	}
	if p.Label != "" {
		slot := make([]byte, slotSize)
		copy(slot, p.label())
		slot[11] = attrVolume
		binary.LittleEndian.PutUint16(slot[24:], 0x21) // 1980-01-01
		w.at(root, slot)
	}
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
