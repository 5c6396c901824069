package fattest

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Source is what the checker reads: a device, or anything else with a size.
type Source interface {
	io.ReaderAt
	Size() int64
}

// Volume is a boot sector as the checker understands it. Offsets are bytes from the volume's start.
type Volume struct {
	Width       int
	SectorSize  int
	ClusterSize int
	Clusters    uint32
	FATs        int
	FATStart    int64
	FATBytes    int64 // of one FAT
	RootStart   int64 // FAT12 and FAT16
	RootEntries int
	RootCluster uint32
	DataStart   int64
	Size        int64
	Info        int64 // offset of the FSInfo sector, 0 for none
	Backup      int64 // offset of the backup boot sector, 0 for none
	State       int   // offset of the state byte in the boot sector
	Media       byte
	Active      int // the FAT that counts
	Mirrored    bool

	r   Source
	fat []uint32 // entries of the active FAT
}

// Values of FAT entries, brought to 28 bits for every width.
const (
	entryFree = 0
	entryBad  = 0x0ffffff7
	entryLast = 0x0ffffff8 // and above
)

func readVolume(r Source) (*Volume, error) {
	le := binary.LittleEndian
	b := make([]byte, 512)
	if _, err := r.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("boot sector: %w", err)
	}
	if b[510] != 0x55 || b[511] != 0xaa {
		return nil, fmt.Errorf("boot sector: no signature")
	}
	v := &Volume{r: r, Media: b[21], FATs: int(b[16]), SectorSize: int(le.Uint16(b[11:])),
		RootEntries: int(le.Uint16(b[17:])), Mirrored: true}
	ss := int64(v.SectorSize)
	if ss < 512 || ss > 4096 || ss&(ss-1) != 0 || b[13] == 0 || b[13]&(b[13]-1) != 0 || v.FATs < 1 {
		return nil, fmt.Errorf("boot sector: sector %d, cluster %d sectors, %d FATs", ss, b[13], v.FATs)
	}
	v.ClusterSize = int(b[13]) * v.SectorSize
	v.FATStart = int64(le.Uint16(b[14:])) * ss
	v.FATBytes = int64(le.Uint16(b[22:])) * ss
	v.State = 37
	total := int64(le.Uint16(b[19:]))
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	v.Size = total * ss
	fat32 := v.FATBytes == 0
	if fat32 {
		v.FATBytes = int64(le.Uint32(b[36:])) * ss
		v.RootCluster = le.Uint32(b[44:])
		v.State = 65
		if s := int64(le.Uint16(b[48:])); s != 0 && s != 0xffff {
			v.Info = s * ss
		}
		if s := int64(le.Uint16(b[50:])); s != 0 && s != 0xffff {
			v.Backup = s * ss
		}
		if flags := le.Uint16(b[40:]); flags&0x80 != 0 {
			v.Mirrored, v.Active = false, int(flags&15)
		}
	}
	v.RootStart = v.FATStart + int64(v.FATs)*v.FATBytes
	v.DataStart = v.RootStart + ceilDiv(int64(v.RootEntries)*slotSize, ss)*ss
	clusters := (v.Size - v.DataStart) / int64(v.ClusterSize)
	switch {
	case v.FATStart == 0 || v.FATBytes == 0 || clusters < 1 || clusters > maxClusters32:
		return nil, fmt.Errorf("boot sector: %d clusters, FAT of %d bytes at %d", clusters, v.FATBytes, v.FATStart)
	case v.Size > r.Size():
		return nil, fmt.Errorf("boot sector: volume of %d bytes on a device of %d", v.Size, r.Size())
	case clusters <= maxClusters12:
		v.Width = 12
	case clusters <= maxClusters16:
		v.Width = 16
	default:
		v.Width = 32
	}
	v.Clusters = uint32(clusters)
	if fat32 != (v.Width == 32) {
		return nil, fmt.Errorf("boot sector: %d clusters and the fields of another width", clusters)
	}
	if (clusters+2)*int64(v.Width) > v.FATBytes*8 {
		return nil, fmt.Errorf("boot sector: %d clusters, FAT of %d bytes", clusters, v.FATBytes)
	}
	if v.Active >= v.FATs {
		return nil, fmt.Errorf("boot sector: active FAT %d of %d", v.Active, v.FATs)
	}
	if fat32 && !v.valid(v.RootCluster) {
		return nil, fmt.Errorf("boot sector: root cluster %d", v.RootCluster)
	}
	return v, nil
}

func (v *Volume) valid(c uint32) bool { return c >= 2 && c < v.Clusters+2 }

// readFAT decodes FAT i. Entries of FAT12 and FAT16 that are special are widened to 28 bits.
func (v *Volume) readFAT(i int) ([]uint32, error) {
	n := int64(v.Clusters) + 2
	raw := make([]byte, ceilDiv(n*int64(v.Width), 8)+4)
	size := int64(len(raw)) - 4
	if _, err := v.r.ReadAt(raw[:size], v.FATStart+int64(i)*v.FATBytes); err != nil {
		return nil, fmt.Errorf("FAT %d: %w", i, err)
	}
	out := make([]uint32, n)
	for c := range out {
		// The highest cluster of a FAT12 volume is 0xff5: only what lies above is special.
		e, special := uint32(0), uint32(0x0ffffff7)
		at := raw[int64(c)*int64(v.Width)/8:]
		switch v.Width {
		case 12:
			e, special = uint32(binary.LittleEndian.Uint16(at))>>(4*(c&1))&0xfff, 0xff6
		case 16:
			e, special = uint32(binary.LittleEndian.Uint16(at)), 0xfff6
		default:
			e = binary.LittleEndian.Uint32(at) & 0x0fffffff
		}
		if e >= special {
			e |= 0x0ffffff0
		}
		out[c] = e
	}
	return out, nil
}
