package mkfat

import (
	"errors"
	"fmt"
	"time"

	"fatvol/image/fat"
)

// ErrNoRoom is returned for a tree that does not fit into the volume.
var ErrNoRoom = errors.New("does not fit")

// Options say what image New is to plan.
type Options struct {
	// Size is the size of the image in bytes. 0 makes it as large as the tree needs and Spare more.
	Size  int64
	Spare int64

	Wishes    Wishes
	Partition Scheme
	ESP       bool // the partition is an EFI system partition

	Label  string
	Serial *uint32 // nil is any
	Names  fat.NameOptions
	Clock  fat.Clock
	// Now stamps the label, and files whose time is not known; the zero value is time.Now.
	Now time.Time
	// Reproducible draws serial number and GUIDs from the names, sizes and times in the tree and from
	// these options, instead of at random, and takes Now for 1980 unless it is set. No time is later than Now, if it
	// is set.
	Reproducible bool
	// Boot is a boot sector whose code the volume gets; nil is one that says it cannot be booted.
	Boot []byte
	// Skip leaves out what FAT cannot hold, and lists it in Plan.Skipped.
	Skip bool
}

// A Plan is an image of which everything is decided.
type Plan struct {
	Shape   Shape
	Size    int64 // of the image in bytes
	Start   int64 // of the volume
	Files   int
	Dirs    int       // without the root directory
	Skipped []Refusal // what Options.Skip has left out
	Serial  uint32
	// Bytes is the size of all files.
	Bytes int64

	opt    Options
	table  table
	label  [11]byte
	clock  fat.Clock
	root   *Node
	dirs   []*Node // in the order in which they lie, the root first
	files  []*Node // that have clusters, in the order in which they lie
	needed uint32  // clusters
}

// Free is the number of bytes in free clusters.
func (p *Plan) Free() int64 { return int64(p.Shape.Clusters-p.needed) * p.Shape.ClusterSize() }

// New plans an image with what is below root, a directory whose name does not matter; nil is an empty
// volume. It takes the tree over. Nothing is read from the files and nothing is written.
func New(root *Node, opt Options) (*Plan, error) {
	if root == nil {
		root = &Node{}
	}
	root.Dir, root.Name, root.parent = true, "", nil
	names, err := fat.NewNames(opt.Names)
	if err != nil {
		return nil, err
	}
	p := &Plan{opt: opt, root: root, clock: opt.Clock}
	if p.label, err = names.EncodeLabel(opt.Label); err != nil {
		return nil, err
	}
	if err := checkBoot(opt.Boot); err != nil {
		return nil, err
	}
	c := &checker{names: names}
	rootSlots := 0
	if opt.Label != "" {
		rootSlots = 1
	}
	c.dir(root, rootSlots)
	if len(c.refused) > 0 && !opt.Skip {
		return nil, &RefusedError{c.refused}
	}
	p.Skipped = c.refused
	p.collect()
	p.setTimes()
	if err := p.size(); err != nil {
		return nil, err
	}
	p.place()
	p.identify()
	return p, nil
}

func checkBoot(boot []byte) error {
	if boot == nil {
		return nil
	}
	if len(boot) != bootSectorSize || boot[510] != 0x55 || boot[511] != 0xaa {
		return fmt.Errorf("%w: a boot sector has 512 bytes and ends in 55 aa", fat.ErrInvalid)
	}
	return nil
}

const bootSectorSize = 512

// collect lists directories and files in the order in which they will lie: the directories level by
// level, so that a listing of everything reads one piece, then the files as a walk of the tree meets them.
func (p *Plan) collect() {
	p.dirs = []*Node{p.root}
	for i := 0; i < len(p.dirs); i++ {
		for _, n := range p.dirs[i].Children {
			if n.Dir {
				p.dirs = append(p.dirs, n)
			}
		}
	}
	p.Dirs = len(p.dirs) - 1
	p.walk(p.root)
}

func (p *Plan) walk(d *Node) {
	for _, n := range d.Children {
		switch {
		case n.Dir:
			p.walk(n)
			continue
		case n.Size > 0:
			p.files = append(p.files, n)
		}
		p.Files++
		p.Bytes += n.Size
	}
}

// setTimes gives a time to what has none, and keeps reproducible images from times later than Now.
func (p *Plan) setTimes() {
	limit := p.opt.Reproducible && !p.opt.Now.IsZero()
	if p.opt.Now.IsZero() {
		p.opt.Now = time.Now()
		if p.opt.Reproducible {
			p.opt.Now = p.clock.Decode(0, 0, 0)
		}
	}
	for _, d := range p.dirs {
		for _, n := range d.Children {
			if n.ModTime.IsZero() || limit && n.ModTime.After(p.opt.Now) {
				n.ModTime = p.opt.Now
			}
		}
	}
}

// size decides the geometry, and where no size is given, the size.
func (p *Plan) size() error {
	w := p.opt.Wishes
	w.RootEntries = max(w.RootEntries, p.root.slots)
	w.Partition = p.opt.Partition != NoTable
	p.opt.Wishes = w
	if p.opt.Size > 0 {
		return p.sized()
	}
	return p.fit()
}

// try plans the geometry of an image of that size, and counts the clusters that the tree needs there.
func (p *Plan) try(size int64) (Shape, error) {
	w := p.opt.Wishes
	start, length := partitionRange(p.opt.Partition, size, max(w.SectorSize, minSectorSize))
	switch {
	case length >= minSectorSize:
	case start == 0:
		return Shape{}, fmt.Errorf("%w: %s is less than a sector", ErrGeometry, Bytes(size))
	default:
		return Shape{}, fmt.Errorf("%w: %s is too small for a partition, which begins at 1 MiB", ErrGeometry, Bytes(size))
	}
	return Choose(length, w)
}

// clusters is how many the tree takes in a volume of that shape.
func (p *Plan) clusters(s *Shape) (n int64) {
	size := s.ClusterSize()
	for _, d := range p.dirs {
		if d != p.root || s.Width == fat.FAT32 {
			n += dirClusters(d, size)
		}
	}
	for _, f := range p.files {
		n += ceilDiv(f.Size, size)
	}
	return n
}

// dirClusters is how many clusters a directory takes: one at least.
func dirClusters(d *Node, size int64) int64 {
	return max(1, ceilDiv(int64(d.slots)*fat.DirSlot, size))
}

func (p *Plan) sized() error {
	s, err := p.try(p.opt.Size)
	if err != nil {
		return err
	}
	if need := p.clusters(&s); need > int64(s.Clusters) {
		return p.noRoom(&s, need)
	}
	p.Shape, p.Size = s, p.opt.Size
	return nil
}

// noRoom says how much is missing.
func (p *Plan) noRoom(s *Shape, need int64) error {
	hint := ""
	fitting := *p
	if err := fitting.fit(); err == nil {
		hint = fmt.Sprintf(": at least %s, or --fit", Bytes(roundUp(fitting.Size)))
	}
	room := int64(s.Clusters) * s.ClusterSize()
	return fmt.Errorf("%d files and directories need %s in clusters of %s, and an image of %s has room for %s: %w%s",
		p.Files+p.Dirs, Bytes(need*s.ClusterSize()), Bytes(s.ClusterSize()), Bytes(p.opt.Size), Bytes(room), ErrNoRoom, hint)
}

// roundUp is a size that is easier to remember than the one that just does.
func roundUp(size int64) int64 {
	unit := int64(1 << 10)
	for size >= 100*unit {
		unit <<= 10
	}
	return ceilDiv(size, unit) * unit
}

// maxFitting bounds the search for a size. Each step comes closer by what is missing, so that a few
// do; widths and cluster sizes that change on the way cost some more.
const maxFitting = 1000

// fit finds the size for the tree and the spare bytes.
func (p *Plan) fit() error {
	least, most, err := Bounds(p.opt.Wishes)
	if err != nil {
		return err
	}
	sector := int64(max(p.opt.Wishes.SectorSize, minSectorSize))
	_, inner := partitionRange(p.opt.Partition, 1<<40, int(sector))
	around := 1<<40 - inner
	size := around + max(least, (p.Bytes+p.opt.Spare)/sector*sector)
	for range maxFitting {
		s, err := p.try(size)
		if size > around+most {
			break
		}
		if err != nil {
			size += max(sector, (size-around)/64/sector*sector)
			continue
		}
		missing := p.clusters(&s) + ceilDiv(p.opt.Spare, s.ClusterSize()) - int64(s.Clusters)
		if missing > 0 {
			size += missing * s.ClusterSize()
			continue
		}
		p.Shape, p.Size = s, size
		if s, err := p.try(size + missing*s.ClusterSize()); err == nil && p.clusters(&s)+ceilDiv(p.opt.Spare, s.ClusterSize()) <= int64(s.Clusters) {
			p.Shape, p.Size = s, size+missing*s.ClusterSize()
		}
		return nil
	}
	return fmt.Errorf("%d files of %s, and %s to spare: %w into the largest volume there is, of %s",
		p.Files, Bytes(p.Bytes), Bytes(p.opt.Spare), ErrNoRoom, Bytes(most))
}

// place gives each directory and file its clusters, one after the other from the first on.
func (p *Plan) place() {
	next, size := fat.Cluster(2), p.Shape.ClusterSize()
	take := func(n *Node, clusters int64) {
		n.first, n.clusters = next, uint32(clusters)
		next += fat.Cluster(clusters)
	}
	for _, d := range p.dirs {
		if d != p.root || p.Shape.Width == fat.FAT32 {
			take(d, dirClusters(d, size))
		}
	}
	for _, f := range p.files {
		take(f, ceilDiv(f.Size, size))
	}
	p.needed = uint32(next - 2)
	p.Start, _ = partitionRange(p.opt.Partition, p.Size, p.Shape.SectorSize)
}
