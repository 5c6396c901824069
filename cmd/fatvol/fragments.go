package main

import (
	"encoding/binary"
	"fmt"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// fragmentInfo says how scattered the files and directories of a volume are. A chain without a
// break is one fragment.
type fragmentInfo struct {
	Chains    uint32  `json:"chains"`    // files and directories that have clusters
	Fragments uint32  `json:"fragments"` // runs of consecutive clusters that these consist of
	Used      uint32  `json:"used_clusters"`
	Bad       uint32  `json:"bad_clusters"`
	Percent   float64 `json:"percent"` // of the steps from cluster to cluster that are no step to the next
}

// fragmentChunk is how much of the FAT is read at once: a multiple of 12 bytes, so that no entry
// of any width lies across two chunks.
const fragmentChunk = 3 << 18

// countFragments reads the FAT from end to end. It follows no chain, so that a damaged FAT gives
// odd numbers and nothing worse.
func countFragments(dev device.Device, g *fat.Geometry) (*fragmentInfo, error) {
	var f fragmentInfo
	var breaks uint32
	read, bits := fatEntries(g.Width)
	last := g.Clusters + 1 // the number of the last cluster
	end := (int64(last)+1)*int64(bits) + 7
	end /= 8
	start := g.FATStart + int64(g.ActiveFAT)*g.FATBytes
	chunk := make([]byte, fragmentChunk)
	cluster := uint32(0)
	for off := int64(0); off < end; off += fragmentChunk {
		p := chunk[:min(fragmentChunk, end-off)]
		if _, err := dev.ReadAt(p, start+off); err != nil {
			return nil, fmt.Errorf("fragments: FAT at offset %d: %w", off, err)
		}
		for i := 0; i < len(p)*8/bits && cluster <= last; i++ {
			value := read(p, i)
			if cluster >= 2 {
				f.count(cluster, value, last, &breaks)
			}
			cluster++
		}
	}
	f.Fragments = f.Chains + breaks
	if links := f.Used - min(f.Used, f.Chains); links > 0 {
		f.Percent = 100 * float64(breaks) / float64(links)
	}
	return &f, nil
}

// The values of an entry from badEntry on are the same for all widths once they are extended to
// 32 bits (FAT specification, section 4).
const (
	badEntry = 0xffffff7
	endEntry = 0xffffff8
)

func (f *fragmentInfo) count(cluster, value, last uint32, breaks *uint32) {
	switch {
	case value == 0:
	case value == badEntry:
		f.Bad++
	case value >= endEntry:
		f.Used++
		f.Chains++
	default:
		f.Used++
		if value != cluster+1 || value > last {
			*breaks++
		}
	}
}

// fatEntries returns a reader of entry i of a piece of a FAT and the bits that an entry takes. It
// extends the values from bad cluster on to those of FAT32.
func fatEntries(w fat.Width) (read func(p []byte, i int) uint32, bits int) {
	extend := func(v, mask uint32) uint32 {
		if v >= badEntry&mask {
			return v | 0xfffffff&^mask
		}
		return v
	}
	switch w {
	case fat.FAT12:
		return func(p []byte, i int) uint32 {
			pair := uint32(binary.LittleEndian.Uint16(p[i+i/2:]))
			if i%2 == 1 {
				return extend(pair>>4, 0xfff)
			}
			return extend(pair&0xfff, 0xfff)
		}, 12
	case fat.FAT16:
		return func(p []byte, i int) uint32 {
			return extend(uint32(binary.LittleEndian.Uint16(p[2*i:])), 0xffff)
		}, 16
	}
	return func(p []byte, i int) uint32 { return binary.LittleEndian.Uint32(p[4*i:]) & 0xfffffff }, 32
}
