package fat

import "encoding/binary"

// Cluster numbers a unit of allocation; data clusters are 2 … Geometry.Clusters+1
// (FAT specification section 4).
type Cluster uint32

// firstCluster is the lowest number of a data cluster.
const firstCluster Cluster = 2

// MaxFileSize is the largest size of a file, in bytes: the directory entry keeps it in 32 bits.
const MaxFileSize = 1<<32 - 1

// entryKind is what the FAT says of a cluster.
type entryKind uint8

const (
	entryFree    entryKind = iota // 0: not allocated
	entryNext                     // the number of the next cluster of the chain
	entryEnd                      // the chain ends here
	entryBad                      // the cluster is unusable
	entryInvalid                  // 1, or a number that no cluster of the volume has
)

func (k entryKind) String() string {
	return [...]string{"free", "next", "end of chain", "bad", "out of range"}[k]
}

// width holds what differs between FAT12, FAT16 and FAT32, chosen once at Open.
type width struct {
	mask uint32 // bits of an entry that count
	end  uint32 // smallest end-of-chain mark
	bad  uint32 // bad-cluster mark
	// clean and noError are the bits of FAT[1] that are set on a volume that was unmounted
	// properly and met no I/O error (FAT specification section 4.2); 0 on FAT12.
	clean, noError uint32
	get            func(p []byte, i uint32) uint32
	set            func(p []byte, i, value uint32)
	// span is the range of bytes [from, to) that entry i occupies.
	span func(i uint32) (from, to int64)
}

// eoc is the end-of-chain mark that is written.
func (w *width) eoc() uint32 { return w.mask }

func (w *width) classify(value, clusters uint32) entryKind {
	switch {
	case value == 0:
		return entryFree
	case value >= w.end:
		return entryEnd
	case value >= uint32(firstCluster) && value < clusters+uint32(firstCluster):
		return entryNext
	case value == w.bad:
		return entryBad
	}
	return entryInvalid
}

var widths = map[Width]*width{
	FAT12: {mask: 0xfff, end: 0xff8, bad: 0xff7, get: get12, set: set12, span: span12},
	FAT16: {mask: 0xffff, end: 0xfff8, bad: 0xfff7, clean: 0x8000, noError: 0x4000,
		get: func(p []byte, i uint32) uint32 { return uint32(binary.LittleEndian.Uint16(p[i*2:])) },
		set: func(p []byte, i, value uint32) { binary.LittleEndian.PutUint16(p[i*2:], uint16(value)) },
		span: func(i uint32) (int64, int64) {
			return int64(i) * 2, int64(i)*2 + 2
		}},
	FAT32: {mask: 0x0fffffff, end: 0x0ffffff8, bad: 0x0ffffff7, clean: 0x08000000, noError: 0x04000000,
		get: func(p []byte, i uint32) uint32 { return binary.LittleEndian.Uint32(p[i*4:]) & 0x0fffffff },
		// The upper four bits of an entry are reserved and kept as found.
		set: func(p []byte, i, value uint32) {
			old := binary.LittleEndian.Uint32(p[i*4:])
			binary.LittleEndian.PutUint32(p[i*4:], old&0xf0000000|value&0x0fffffff)
		},
		span: func(i uint32) (int64, int64) {
			return int64(i) * 4, int64(i)*4 + 4
		}},
}

func get12(p []byte, i uint32) uint32 {
	v := uint32(binary.LittleEndian.Uint16(p[i+i/2:]))
	if i&1 == 1 {
		return v >> 4
	}
	return v & 0xfff
}

func set12(p []byte, i, value uint32) {
	b := p[i+i/2:]
	v := binary.LittleEndian.Uint16(b)
	if i&1 == 1 {
		v = v&0x000f | uint16(value)<<4
	} else {
		v = v&0xf000 | uint16(value)&0xfff
	}
	binary.LittleEndian.PutUint16(b, v)
}

func span12(i uint32) (int64, int64) {
	from := int64(i + i/2)
	return from, from + 2
}
