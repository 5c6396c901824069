package main

import (
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// putEntry writes an entry of a FAT of any width.
func putEntry(p []byte, w fat.Width, cluster int, value uint32) {
	switch w {
	case fat.FAT12:
		i := cluster + cluster/2
		if cluster%2 == 1 {
			p[i] = p[i]&0x0f | byte(value<<4)
			p[i+1] = byte(value >> 4)
		} else {
			p[i] = byte(value)
			p[i+1] = p[i+1]&0xf0 | byte(value>>8)&0x0f
		}
	case fat.FAT16:
		p[2*cluster], p[2*cluster+1] = byte(value), byte(value>>8)
	default:
		for i := range 4 {
			p[4*cluster+i] = byte(value >> (8 * i))
		}
	}
}

func TestCountFragments(t *testing.T) {
	const end, bad = 0xfffffff, 0xffffff7
	// Every width gets the same chains, around an odd and an even end of the volume, and around
	// the end of a chunk of the FAT where the width allows.
	for _, w := range []fat.Width{fat.FAT12, fat.FAT16, fat.FAT32} {
		for _, clusters := range []uint32{40, 41, 4000, 4001, 60000, 300000} {
			if w == fat.FAT12 && clusters > 4084 || w == fat.FAT16 && clusters > 65524 {
				continue
			}
			last := int(clusters) + 1
			chains := [][]int{
				{2, 3, 4},        // one piece
				{5, 7, 6},        // three pieces
				{10},             // one cluster
				{20, 21, 30, 31}, // two pieces
				{last - 1, last}, // at the end
				{last - 2, 12},   // backwards
			}
			g := &fat.Geometry{Width: w, Clusters: clusters, FATStart: 512, FATBytes: 2 << 20, FATs: 1}
			table := make([]byte, g.FATBytes)
			putEntry(table, w, 0, end)
			putEntry(table, w, 1, end)
			for _, chain := range chains {
				for i, c := range chain {
					next := uint32(end)
					if i+1 < len(chain) {
						next = uint32(chain[i+1])
					}
					putEntry(table, w, c, next)
				}
			}
			putEntry(table, w, 15, bad)
			// Beyond the volume's end there may be anything.
			putEntry(table, w, last+1, 2)
			dev := device.NewMem(512 + g.FATBytes)
			if _, err := dev.WriteAt(table, 512); err != nil {
				t.Fatal(err)
			}
			got, err := countFragments(dev, g)
			if err != nil {
				t.Fatal(err)
			}
			got.Percent = float64(int(got.Percent))
			// 4 breaks in 9 steps.
			want := fragmentInfo{Chains: 6, Fragments: 10, Used: 15, Bad: 1, Percent: 44}
			if *got != want {
				t.Errorf("%v, %d clusters: %+v, want %+v", w, clusters, *got, want)
			}
		}
	}
}

func TestCountFragmentsOfNonsense(t *testing.T) {
	for _, fill := range []byte{0x00, 0x55, 0xff} {
		for _, w := range []fat.Width{fat.FAT12, fat.FAT16, fat.FAT32} {
			g := &fat.Geometry{Width: w, Clusters: 4001, FATBytes: 16384, FATs: 1}
			dev := device.NewMem(g.FATBytes)
			table := make([]byte, g.FATBytes)
			for i := range table {
				table[i] = fill
			}
			if _, err := dev.WriteAt(table, 0); err != nil {
				t.Fatal(err)
			}
			got, err := countFragments(dev, g)
			if err != nil || got.Used > g.Clusters || got.Fragments > g.Clusters {
				t.Errorf("%v filled with %#x: %+v, %v", w, fill, got, err)
			}
		}
	}
}
