package mkfat

import (
	"math"
	"testing"

	"fatvol/image/fat"
)

// TestRootEntries: the root directory of FAT12 and FAT16 has room for all that is needed, in a number of entries
// that its field can hold and that fills its sectors, as other drivers insist; and the data area of what is no
// small volume is aligned.
func TestRootEntries(t *testing.T) {
	for _, sector := range []int{512, 1024, 2048, 4096} {
		for _, size := range []int64{4 << 20, 20 << 20, 200 << 20} {
			for _, width := range []fat.Width{fat.FAT12, fat.FAT16} {
				for cluster := sector; cluster <= sector*maxPerCluster; cluster *= 2 {
					for _, need := range []int{1, 513, 600, 40000, 63489, 65408} {
						s, err := Choose(size, Wishes{Width: width, SectorSize: sector, ClusterSize: cluster, RootEntries: need})
						if err != nil {
							continue // no such volume
						}
						if s.RootEntries < need || s.RootEntries > math.MaxUint16 || s.RootEntries*fat.DirSlot%sector != 0 {
							t.Errorf("%v of %d bytes, sectors of %d, clusters of %d: %d entries for %d", width, size, sector, cluster, s.RootEntries, need)
						}
						if s.Sectors > unaligned && s.dataStart()%s.ClusterSize() != 0 {
							t.Errorf("%v of %d bytes, sectors of %d, clusters of %d, %d entries: data from %d on", width, size, sector, cluster, need, s.dataStart())
						}
					}
				}
			}
		}
	}
}

// TestRootDirectoryBeyondFAT16: what is too much for a root directory of fixed size makes the volume FAT32.
func TestRootDirectoryBeyondFAT16(t *testing.T) {
	for _, w := range []Wishes{{RootEntries: fat.MaxDirSlots}, {RootEntries: fat.MaxDirSlots, Width: fat.FAT32}} {
		s, err := Choose(64<<20, w)
		if err != nil || s.Width != fat.FAT32 {
			t.Errorf("%+v: %v, %v", w, s.Width, err)
		}
		if _, _, err := Bounds(w); err != nil {
			t.Errorf("%+v: %v", w, err)
		}
	}
}
