package mkfat

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"fatvol/image/fat"
)

// ErrGeometry is returned for a size, width, sector or cluster size that cannot be, alone or together.
var ErrGeometry = errors.New("no such FAT volume")

// Wishes are what is asked of a volume's geometry. Every zero field is chosen by the size.
type Wishes struct {
	Width       fat.Width
	SectorSize  int // bytes: 512 (the default), 1024, 2048 or 4096
	ClusterSize int // bytes
	FATs        int // 1 to 4; 2 by default
	// RootEntries is how many slots the root directory needs at least. More than FAT12 and FAT16 can count
	// make the volume FAT32, whose root directory has no limit of its own.
	RootEntries int
	// Partition says that the volume is a partition of a disk: it has no floppy's geometry.
	Partition bool
}

// A Shape is the geometry of a volume, in sectors unless it says otherwise.
type Shape struct {
	Width             fat.Width
	SectorSize        int // bytes
	SectorsPerCluster int
	Reserved          int
	FATs              int
	FATSectors        int64 // of one FAT
	RootEntries       int   // FAT12 and FAT16
	Sectors           int64 // of the volume
	Clusters          uint32
	Floppy            bool // one of the formats of floppy disks
	media             byte
	perTrack, heads   int
}

// ClusterSize is in bytes.
func (s *Shape) ClusterSize() int64 { return int64(s.SectorSize * s.SectorsPerCluster) }

// fatStart, rootStart and dataStart are byte offsets in the volume.
func (s *Shape) fatStart() int64 { return int64(s.Reserved) * int64(s.SectorSize) }

func (s *Shape) rootStart() int64 {
	return s.fatStart() + int64(s.FATs)*s.FATSectors*int64(s.SectorSize)
}

func (s *Shape) dataStart() int64 {
	return s.rootStart() + s.rootSectors()*int64(s.SectorSize)
}

func (s *Shape) rootSectors() int64 {
	return ceilDiv(int64(s.RootEntries)*fat.DirSlot, int64(s.SectorSize))
}

// clusterOffset is where a cluster begins, in bytes from the start of the volume.
func (s *Shape) clusterOffset(c fat.Cluster) int64 {
	return s.dataStart() + int64(c-2)*s.ClusterSize()
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// floppies are the formats that DOS and mkfs.fat know, by their size in KiB.
var floppies = map[int64]struct {
	perTrack, heads, perCluster, rootEntries int
	media                                    byte
}{
	160:  {8, 1, 1, 64, 0xfe},
	180:  {9, 1, 1, 64, 0xfc},
	320:  {8, 2, 2, 112, 0xff},
	360:  {9, 2, 2, 112, 0xfd},
	720:  {9, 2, 2, 112, 0xf9},
	1200: {15, 2, 1, 224, 0xf9},
	1440: {18, 2, 1, 224, 0xf0},
	2880: {36, 2, 2, 224, 0xf0},
}

// tracks are the geometries of disks of up to so many sectors. Their numbers are those that the SD
// specification recommends for cards of 2 MiB and more, and mkfs.fat takes for everything.
var tracks = []struct {
	upTo            int64
	perTrack, heads int
}{
	{4096, 16, 2}, {32768, 32, 2}, {65536, 32, 4}, {262144, 32, 8}, {524288, 32, 16}, {1032192, 63, 16},
	{2064384, 63, 32}, {4128768, 63, 64}, {8257536, 63, 128}, {math.MaxInt64, 63, 255},
}

// setDisk makes the volume one of so many sectors, less those that fill no track: mtools refuses them.
func (s *Shape) setDisk(sectors int64) {
	for _, t := range tracks {
		if sectors <= t.upTo {
			s.perTrack, s.heads = t.perTrack, t.heads
			s.Sectors = sectors / int64(t.perTrack) * int64(t.perTrack)
			return
		}
	}
}

const (
	// fat32From is the size from which volumes are FAT32, as mkfs.fat has it.
	fat32From = 512 << 20
	// unaligned is the number of sectors up to which nothing is aligned to clusters: floppies.
	unaligned = 8192
	// maxPerCluster is what the field of the boot sector can hold, as a power of two.
	maxPerCluster = 128
	// firstPerCluster is where the search for a cluster size begins on FAT12 and FAT16.
	firstPerCluster  = 4
	defaultRootSlots = 512
	reservedFAT32    = 32
	minSectorSize    = 512
	maxSectorSize    = 4096
)

// MaxSize is the size of the largest volume with sectors of that many bytes: the boot sector counts
// them with 32 bits.
func MaxSize(sectorSize int) int64 { return math.MaxUint32 * int64(sectorSize) }

// Choose decides the geometry of a volume of size bytes. Its rules are those of mkfs.fat and of
// Windows' format, and the floppies' formats; where the wishes rule those out, the nearest that is
// sound. The error wraps ErrGeometry and says what is possible.
func Choose(size int64, w Wishes) (Shape, error) {
	c, err := newChooser(size, w)
	if err != nil {
		return Shape{}, err
	}
	return c.choose()
}

// Bounds are the sizes of the smallest and the largest volume that the wishes allow, in bytes.
func Bounds(w Wishes) (least, most int64, err error) {
	c, err := newChooser(0, w)
	if err != nil {
		return 0, 0, err
	}
	if least, most = c.bounds(c.width); least == 0 {
		return 0, 0, c.impossible(c.width)
	}
	return least, most, nil
}

// chooser holds what does not depend on width and cluster size.
type chooser struct {
	base  Shape
	size  int64
	width fat.Width // 0 when free
	fixed int       // sectors of a cluster; 0 when free
	first int       // where to begin on FAT12 and FAT16
	// Of the root directory of FAT12 and FAT16: how many entries it has at least, and at most. Both are whole
	// sectors, as the specification asks and other drivers insist.
	rootEntries, mostRoot int
}

func newChooser(size int64, w Wishes) (*chooser, error) {
	if w.SectorSize == 0 {
		w.SectorSize = minSectorSize
	}
	if w.FATs == 0 {
		w.FATs = 2
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	sectors := size / int64(w.SectorSize)
	if sectors == math.MaxUint32+1 {
		sectors-- // 2 TiB: every formatter takes it, and leaves the end unused
	}
	if sectors > math.MaxUint32 {
		return nil, tooBig(size, w.SectorSize)
	}
	c := &chooser{
		base:  Shape{SectorSize: w.SectorSize, FATs: w.FATs, media: 0xf8},
		size:  size,
		width: w.Width, fixed: w.ClusterSize / w.SectorSize, first: firstPerCluster,
	}
	perSector := w.SectorSize / fat.DirSlot
	c.rootEntries = int(ceilDiv(int64(max(defaultRootSlots, w.RootEntries)), int64(perSector))) * perSector
	c.mostRoot = math.MaxUint16 / perSector * perSector
	if c.rootEntries > c.mostRoot && w.Width == 0 {
		c.width = fat.FAT32
	}
	if c.rootEntries > c.mostRoot && c.width != fat.FAT32 {
		return nil, fmt.Errorf("%w: a root directory of %d entries: FAT12 and FAT16 have at most %d", ErrGeometry, w.RootEntries, c.mostRoot)
	}
	c.base.setDisk(sectors)
	if f, ok := floppies[size>>10]; ok && size%1024 == 0 && !w.Partition && w.SectorSize == minSectorSize {
		if w.RootEntries > f.rootEntries {
			return nil, fmt.Errorf("%w: the root directory of a floppy of %s holds %d entries, %d are needed: put files into a directory",
				ErrGeometry, Bytes(size), f.rootEntries, w.RootEntries)
		}
		c.base.Floppy, c.base.media, c.base.perTrack, c.base.heads = true, f.media, f.perTrack, f.heads
		c.base.Sectors = sectors
		c.first, c.rootEntries = f.perCluster, f.rootEntries
	}
	return c, nil
}

// check checks each wish on its own.
func (w *Wishes) check() error {
	pow2 := func(n int) bool { return n > 0 && bits.OnesCount(uint(n)) == 1 }
	switch {
	case w.Width != 0 && w.Width != fat.FAT12 && w.Width != fat.FAT16 && w.Width != fat.FAT32:
		return fmt.Errorf("%w: a FAT of %d bits: there are 12, 16 and 32", ErrGeometry, w.Width)
	case !pow2(w.SectorSize) || w.SectorSize < minSectorSize || w.SectorSize > maxSectorSize:
		return fmt.Errorf("%w: sectors of %d bytes: there are 512, 1024, 2048 and 4096", ErrGeometry, w.SectorSize)
	case w.ClusterSize != 0 && (!pow2(w.ClusterSize) || w.ClusterSize < w.SectorSize || w.ClusterSize > w.SectorSize*maxPerCluster):
		return fmt.Errorf("%w: clusters of %d bytes: with sectors of %d bytes there are %d, %d, %d … %d",
			ErrGeometry, w.ClusterSize, w.SectorSize, w.SectorSize, 2*w.SectorSize, 4*w.SectorSize, w.SectorSize*maxPerCluster)
	case w.FATs < 1 || w.FATs > 4:
		return fmt.Errorf("%w: %d FATs: there are 1 to 4, usually 2", ErrGeometry, w.FATs)
	}
	return nil
}

func tooBig(size int64, sector int) error {
	more := ""
	for s := 2 * sector; s <= maxSectorSize; s *= 2 {
		if size <= MaxSize(s) {
			more = fmt.Sprintf("; sectors of %d bytes would do", s)
			break
		}
	}
	return fmt.Errorf("%w: %s is too large: at most %s with sectors of %d bytes%s", ErrGeometry, Bytes(size), Bytes(MaxSize(sector)), sector, more)
}

func (c *chooser) choose() (Shape, error) {
	switch {
	case c.width == fat.FAT32:
		return c.only(fat.FAT32)
	case c.width != 0:
		return c.only(c.width)
	}
	small := []fat.Width{fat.FAT12, fat.FAT16}
	order := [][]fat.Width{small, {fat.FAT32}}
	if c.size >= fat32From {
		order = [][]fat.Width{{fat.FAT32}, small}
	}
	for _, widths := range order {
		if s, ok := c.search(widths); ok {
			return s, nil
		}
	}
	if s, ok := c.cut(); ok {
		return s, nil
	}
	return Shape{}, c.impossible(0)
}

// cut is for sizes between two widths: too many clusters for the one, and for the other, whose FATs are
// larger, too few. The volume is of the first, and leaves the end of its space unused.
func (c *chooser) cut() (Shape, bool) {
	for _, w := range []fat.Width{fat.FAT16, fat.FAT12} {
		d := *c
		s := d.shape(w, max(1, c.fixed))
		// With fewer clusters the FATs become smaller, which makes room for more.
		for tries := 0; s.Clusters > c.most(w) && tries < 4; tries++ {
			d.base.setDisk(s.Sectors - int64(s.Clusters-c.most(w))*int64(s.SectorsPerCluster))
			s = d.shape(w, s.SectorsPerCluster)
		}
		if s.Sectors > c.base.Sectors-c.base.Sectors/32 && d.sound(&s) {
			return s, true
		}
	}
	return Shape{}, false
}

func (c *chooser) only(w fat.Width) (Shape, error) {
	s, ok := c.search([]fat.Width{w})
	if !ok {
		return Shape{}, c.impossible(w)
	}
	return s, nil
}

// search goes through the cluster sizes, from the usual one to larger ones and then to smaller ones,
// until one makes a sound volume of one of the widths.
func (c *chooser) search(widths []fat.Width) (Shape, bool) {
	sizes := []int{c.fixed}
	if c.fixed == 0 {
		first := c.first
		if widths[0] == fat.FAT32 {
			first = c.usualFAT32()
		}
		sizes = sizes[:0]
		for n := first; n <= maxPerCluster; n *= 2 {
			sizes = append(sizes, n)
		}
		// Smaller ones than usual are for who insists on the width.
		for n := first / 2; n >= 1 && (c.width != 0 || widths[0] == fat.FAT32); n /= 2 {
			sizes = append(sizes, n)
		}
	}
	for _, n := range sizes {
		for _, w := range widths {
			if s := c.shape(w, n); c.sound(&s) {
				return s, true
			}
		}
	}
	return Shape{}, false
}

// usualFAT32 is the table of the FAT specification, section 3.5, in sectors.
func (c *chooser) usualFAT32() int {
	bytes := 32 << 10
	switch mib := c.size >> 20; {
	case mib <= 260:
		bytes = 512
	case mib <= 8<<10:
		bytes = 4 << 10
	case mib <= 16<<10:
		bytes = 8 << 10
	case mib <= 32<<10:
		bytes = 16 << 10
	}
	return max(1, bytes/c.base.SectorSize)
}

// sound reports whether the clusters are as many as the width can have, and all have an entry.
func (c *chooser) sound(s *Shape) bool {
	entries := s.FATSectors * int64(s.SectorSize) * 8 / int64(s.Width)
	return s.Clusters >= s.Width.MinClusters() && s.Clusters <= c.most(s.Width) && int64(s.Clusters)+2 <= entries
}

// most is the largest number of clusters. Where their size is free, the last two numbers of FAT12 and
// FAT16 are left alone, as mkfs.fat does: there are readers that are wrong about the limit by that much.
func (c *chooser) most(w fat.Width) uint32 {
	if c.fixed == 0 && w != fat.FAT32 {
		return w.MaxClusters() - 2
	}
	return w.MaxClusters()
}

// shape is the volume of a width with n sectors to a cluster, sound or not. On all but small volumes the
// FATs, the root directory and with them the data begin at a multiple of the cluster size.
func (c *chooser) shape(w fat.Width, n int) Shape {
	s := c.base
	s.Width, s.SectorsPerCluster, s.Reserved = w, n, 1
	align := func(sectors int64) int64 {
		if s.Sectors <= unaligned {
			return sectors
		}
		return ceilDiv(sectors, int64(n)) * int64(n)
	}
	if w == fat.FAT32 {
		s.Reserved = int(align(reservedFAT32))
	} else {
		s.RootEntries = c.rootEntries
		root := align(s.rootSectors())
		s.RootEntries = min(int(root)*s.SectorSize/fat.DirSlot, c.mostRoot)
		// A sector that is one too many to be counted is reserved instead, which keeps the data aligned.
		s.Reserved = int(align(int64(s.Reserved)) + root - s.rootSectors())
	}
	// What is left is for clusters and their entries: bits of a cluster and of its entries in all FATs.
	left := s.Sectors - int64(s.Reserved) - s.rootSectors()
	if left <= 0 {
		return s
	}
	sector, fats := int64(s.SectorSize), int64(s.FATs)
	clusters := (left*sector*8 + 2*fats*int64(w)) / (s.ClusterSize()*8 + fats*int64(w))
	s.FATSectors = align(ceilDiv(ceilDiv((clusters+2)*int64(w), 8), sector))
	if left -= fats * s.FATSectors; left > 0 {
		s.Clusters = uint32(left / int64(n))
	}
	return s
}

// impossible says why there is no volume of a width, 0 being any.
func (c *chooser) impossible(w fat.Width) error {
	what := "a FAT volume"
	if w != 0 {
		what = w.String()
	}
	if c.fixed != 0 {
		what += fmt.Sprintf(" with clusters of %d bytes", c.fixed*c.base.SectorSize)
	}
	least, most := c.bounds(w)
	switch {
	case least == 0:
		return fmt.Errorf("%w: there is no size for %s with sectors of %d bytes", ErrGeometry, what, c.base.SectorSize)
	case c.size < least:
		return fmt.Errorf("%w: %s is too small for %s: at least %s", ErrGeometry, Bytes(c.size), what, Bytes(least))
	case c.size > most:
		return fmt.Errorf("%w: %s is too large for %s: at most %s", ErrGeometry, Bytes(c.size), what, Bytes(most))
	}
	return fmt.Errorf("%w: no number of clusters fits %s of %s: a little larger or smaller will do", ErrGeometry, what, Bytes(c.size))
}

// bounds are the smallest and the largest size for the wishes and a width, to the sector.
func (c *chooser) bounds(w fat.Width) (least, most int64) {
	sector := int64(c.base.SectorSize)
	able := func(sectors int64, enough func(s *Shape) bool) bool {
		d := *c
		d.base.setDisk(sectors)
		d.size = sectors * sector
		sizes := []int{c.fixed}
		if c.fixed == 0 {
			sizes = []int{1, 2, 4, 8, 16, 32, 64, 128}
		}
		for _, n := range sizes {
			for _, width := range []fat.Width{fat.FAT12, fat.FAT16, fat.FAT32} {
				if s := d.shape(width, n); (w == 0 || w == width) && enough(&s) {
					return true
				}
			}
		}
		return false
	}
	atLeast := func(s *Shape) bool { return s.Clusters >= s.Width.MinClusters() }
	atMost := func(s *Shape) bool { return s.Clusters <= c.most(s.Width) }
	lowest := lowestWhere(1, math.MaxUint32, func(n int64) bool { return able(n, atLeast) })
	if lowest > math.MaxUint32 {
		return 0, 0
	}
	beyond := lowestWhere(lowest, math.MaxUint32, func(n int64) bool { return !able(n, atMost) })
	return lowest * sector, (beyond - 1) * sector
}

// lowestWhere is the lowest number from low to high for which a condition holds that holds for all
// higher ones, or high+1.
func lowestWhere(low, high int64, holds func(n int64) bool) int64 {
	for low <= high {
		if mid := low + (high-low)/2; holds(mid) {
			high = mid - 1
		} else {
			low = mid + 1
		}
	}
	return low
}

// Bytes is a number of bytes as messages show it: with a unit where it is a whole number of them, and else exactly, with
// about what that is in one.
func Bytes(n int64) string {
	about := ""
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		switch {
		case n < u.size:
		case n%u.size == 0:
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		case about == "":
			about = fmt.Sprintf(" (about %.1f %s)", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d bytes%s", n, about)
}
