package fattest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxSlots is the number of slots that a directory may have (FAT specification section 6).
const maxSlots = 65536

// Check reads a whole volume and reports everything that is wrong with it. An error means that
// there is no volume to check, or that it cannot be read.
func Check(src Source) (*Report, error) {
	v, err := readVolume(src)
	if err != nil {
		return nil, err
	}
	r := &Report{Volume: v, InfoFree: 0xffffffff, InfoNext: 0xffffffff}
	if v.fat, err = v.readFAT(v.Active); err != nil {
		return nil, err
	}
	c := &checker{r: r, v: v, owner: make([]int32, len(v.fat)), dirs: map[uint32][]*File{}, firsts: map[uint32]*File{}, names: map[uint32]int{}}
	if err := c.walk(); err != nil {
		return nil, err
	}
	c.dotdots()
	c.clusters()
	if err := errors.Join(c.copies(), c.boot(), c.info()); err != nil {
		return nil, err
	}
	return r, nil
}

type checker struct {
	r      *Report
	v      *Volume
	owner  []int32 // of each cluster: 1 + index into r.Files, -1 for the root directory, 0 for nobody
	dirs   map[uint32][]*File
	firsts map[uint32]*File // first entry of each first cluster
	names  map[uint32]int   // further entries of it
}

// chain follows a chain for as long as it holds and takes its clusters for the owner. A chain that
// meets foreign clusters ends there.
func (c *checker) chain(f *File, owner int32) {
	path, last := f.Path, uint32(0)
	for cl := f.First; ; {
		switch {
		case !c.v.valid(cl):
			c.r.add(OutOfRange, path, last, "goes on at cluster %#x of %d", cl, c.v.Clusters)
			return
		case c.owner[cl] == owner:
			c.r.add(Loop, path, cl, "after %d clusters", f.Chain)
			return
		case c.owner[cl] != 0:
			c.r.add(CrossLink, path, cl, "belongs to %q", c.name(c.owner[cl]))
			return
		case c.v.fat[cl] == entryFree:
			c.r.add(FreeInChain, path, cl, "after %d clusters", f.Chain)
			return
		case c.v.fat[cl] == entryBad:
			c.r.add(BadInChain, path, cl, "after %d clusters", f.Chain)
			return
		}
		c.owner[cl] = owner
		f.Chain++
		if n := len(f.Extents); n > 0 && f.Extents[n-1].Start+f.Extents[n-1].Count == cl {
			f.Extents[n-1].Count++
		} else {
			f.Extents = append(f.Extents, Extent{cl, 1})
		}
		if c.v.fat[cl] >= entryLast {
			return
		}
		last, cl = cl, c.v.fat[cl]
	}
}

func (c *checker) name(owner int32) string {
	if owner < 0 {
		return "/"
	}
	return c.r.Files[owner-1].Path
}

// walk visits every directory once, breadth first.
func (c *checker) walk() error {
	root := &File{IsDir: true, First: c.v.RootCluster, vol: c.v}
	if c.v.Width == 32 {
		c.chain(root, -1)
		c.dirs[root.First] = []*File{root}
	}
	queue := []*File{root}
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		s := &slotScanner{r: c.r, path: dir.Path, dir: dir}
		if dir == root {
			s.dir = nil
		}
		if err := c.scan(s, dir); err != nil {
			return err
		}
		if dir != root && s.dots != 3 {
			c.r.add(BadDir, dir.Path, dir.First, "does not begin with \".\" and \"..\"")
		}
		c.duplicates(dir.Path, s.found)
		for _, f := range s.found {
			f.parent = dir
			c.r.Files = append(c.r.Files, f)
			if c.take(f, int32(len(c.r.Files))) && f.IsDir {
				queue = append(queue, f)
			}
		}
	}
	return nil
}

// scan feeds the directory's slots to s.
func (c *checker) scan(s *slotScanner, dir *File) error {
	runs := []struct{ off, n int64 }{{c.v.RootStart, int64(c.v.RootEntries) * slotSize}}
	if dir.Chain > 0 || c.v.Width == 32 || dir.parent != nil {
		runs = runs[:0]
		for _, e := range dir.Extents {
			off := c.v.DataStart + int64(e.Start-2)*int64(c.v.ClusterSize)
			runs = append(runs, struct{ off, n int64 }{off, int64(e.Count) * int64(c.v.ClusterSize)})
		}
	}
	i := 0
	for _, run := range runs {
		buf := make([]byte, run.n)
		if _, err := c.v.r.ReadAt(buf, run.off); err != nil {
			return fmt.Errorf("directory %q: %w", dir.Path, err)
		}
		for k := int64(0); k < run.n; k += slotSize {
			s.slot(buf[k:k+slotSize], i, run.off+k)
			i++
		}
	}
	s.orphans(i)
	if i > maxSlots {
		c.r.add(BadDir, dir.Path, dir.First, "%d slots, more than %d", i, maxSlots)
	}
	return nil
}

// take follows the chain of a new entry and reports whether its clusters are its own.
func (c *checker) take(f *File, owner int32) bool {
	need := ceilDiv(f.Size, int64(c.v.ClusterSize))
	if f.First == 0 {
		if f.IsDir {
			c.r.add(BadDir, f.Path, 0, "no cluster")
		} else if f.Size > 0 {
			c.r.add(ShortChain, f.Path, 0, "size %d, no cluster", f.Size)
		}
		return false
	}
	if f.IsDir {
		for p := f.parent; p != nil; p = p.parent {
			if p.First == f.First {
				c.r.add(DirLoop, f.Path, f.First, "is its own ancestor %q", p.Path)
				return false
			}
		}
		c.dirs[f.First] = append(c.dirs[f.First], f)
	}
	if other := c.firsts[f.First]; other != nil {
		// The same chain from its start: one file that has two names, unless there are more of
		// them or one is a directory. The sizes may differ as long as the chain covers both.
		f.Extents, f.Chain = other.Extents, other.Chain
		if c.names[f.First]++; other.IsDir != f.IsDir || c.names[f.First] > 1 {
			c.r.add(CrossLink, f.Path, f.First, "starts where %q does", other.Path)
		} else {
			c.r.add(DoubleName, f.Path, f.First, "is %q", other.Path)
		}
		c.length(f, need)
		return false
	}
	c.firsts[f.First] = f
	before := len(c.r.Findings)
	c.chain(f, owner)
	if len(c.r.Findings) == before {
		c.length(f, need)
	}
	return f.Chain > 0
}

// length compares the chain of a file with its size.
func (c *checker) length(f *File, need int64) {
	switch {
	case f.IsDir:
	case f.Chain < need:
		c.r.add(ShortChain, f.Path, f.First, "size %d needs %d clusters, the chain has %d", f.Size, need, f.Chain)
	case f.Chain > need:
		c.r.add(LongChain, f.Path, f.First, "size %d needs %d clusters, the chain has %d", f.Size, need, f.Chain)
	}
}

// duplicates reports names, long or short, that two entries of a directory share. Two entries of
// the same file are a finding of their own.
func (c *checker) duplicates(path string, found []*File) {
	seen := make(map[string]*File, 2*len(found))
	for _, f := range found {
		keys := []string{Fold(f.Name)}
		if short := Fold(f.Short); short != keys[0] {
			keys = append(keys, short)
		}
		for _, k := range keys {
			if other := seen[k]; other == nil {
				seen[k] = f
			} else if other.First == 0 && sameEmpty(other, f) {
				c.r.add(DoubleName, f.Path, 0, "is %q", other.Path)
			} else if other.First == 0 || other.First != f.First {
				c.r.add(Duplicate, f.Path, f.First, "%q (%s) and %q (%s)", other.Name, other.Short, f.Name, f.Short)
			}
		}
		if !utf8.ValidString(f.Name) {
			c.r.add(BadName, f.Path, 0, "not valid Unicode")
		}
	}
}

// sameEmpty reports whether two entries without clusters look like one file under two names.
func sameEmpty(a, b *File) bool {
	return a.First == 0 && b.First == 0 && a.Size == 0 && b.Size == 0 && !a.IsDir && !b.IsDir && a.Attr == b.Attr &&
		a.CreateDate == b.CreateDate && a.CreateTime == b.CreateTime && a.CreateCentis == b.CreateCentis &&
		a.ModifyDate == b.ModifyDate && a.ModifyTime == b.ModifyTime
}

// dotdots checks that ".." of each directory names one of its parents.
func (c *checker) dotdots() {
	for first, names := range c.dirs {
		if names[0].parent == nil {
			continue
		}
		ok := false
		for _, d := range names {
			want := d.parent.First
			if d.parent.parent == nil {
				want = 0 // of the root, also on FAT32
			}
			ok = ok || names[0].dotdot == want
		}
		if !ok && names[0].Chain > 0 && c.wasParent(names[0].dotdot) {
			c.r.add(OldParent, names[0].Path, first, "cluster %d, its parent is %d", names[0].dotdot, names[0].parent.First)
		} else if !ok && names[0].Chain > 0 {
			c.r.add(BadDir, names[0].Path, first, "\"..\" is cluster %d, its parent is %d", names[0].dotdot, names[0].parent.First)
		}
	}
}

// wasParent reports whether a cluster is the beginning of a directory that was moved away from there:
// allocated, of nobody, and with a "." of its own.
func (c *checker) wasParent(cl uint32) bool {
	if !c.v.valid(cl) || c.owner[cl] != 0 || c.v.fat[cl] == entryFree || c.v.fat[cl] == entryBad {
		return false
	}
	s := make([]byte, slotSize)
	if _, err := c.v.r.ReadAt(s, c.v.DataStart+int64(cl-2)*int64(c.v.ClusterSize)); err != nil || string(s[:11]) != ".          " {
		return false
	}
	first := uint32(binary.LittleEndian.Uint16(s[26:]))
	if c.v.Width == 32 {
		first |= uint32(binary.LittleEndian.Uint16(s[20:])) << 16
	}
	return first == cl
}

// clusters counts, and reports what is allocated without an owner.
func (c *checker) clusters() {
	var first, n uint32
	flush := func() {
		if n > 0 {
			c.r.add(Leaked, "", first, "%d clusters", n)
			n = 0
		}
	}
	for cl := uint32(2); cl < uint32(len(c.v.fat)); cl++ {
		e := c.v.fat[cl]
		leaked := false
		switch {
		case e == entryFree:
			c.r.Free++
		case e == entryBad:
			c.r.Bad++
		case c.owner[cl] != 0:
			c.r.Used++
		default:
			leaked = true
		}
		if !leaked {
			flush()
		} else if n++; n == 1 {
			first = cl
		}
	}
	flush()
}

// copies compares the FATs with the active one.
func (c *checker) copies() error {
	for i := range c.v.FATs {
		if i == c.v.Active || !c.v.Mirrored {
			continue
		}
		other, err := c.v.readFAT(i)
		if err != nil {
			return err
		}
		for cl := range other {
			if other[cl] != c.v.fat[cl] {
				c.r.add(LagFAT, "", uint32(cl), "FAT %d has %#x, FAT %d has %#x", c.v.Active, c.v.fat[cl], i, other[cl])
				break
			}
		}
	}
	return nil
}

// resized are the bytes of the boot sector that change when a volume is resized, or its root moves. Two
// sectors cannot be written at once, and the backup is the second.
var resized = map[int]bool{
	14: true, 15: true, // reserved sectors
	19: true, 20: true, 32: true, 33: true, 34: true, 35: true, // sectors
	22: true, 23: true, 36: true, 37: true, 38: true, 39: true, // sectors of a FAT
	44: true, 45: true, 46: true, 47: true, // root cluster
}

// boot checks the state byte, the reserved FAT entries and the backup boot sector.
func (c *checker) boot() error {
	b := make([]byte, c.v.SectorSize)
	if _, err := c.v.r.ReadAt(b, 0); err != nil {
		return fmt.Errorf("boot sector: %w", err)
	}
	c.r.Dirty = b[c.v.State]&1 != 0
	// Bits 15 and 14 (FAT16) or 27 and 26 (FAT32) of entry 1 are set on a volume that was
	// unmounted, and had no read errors.
	mask, clean := uint32(0xfff), uint32(0)
	switch c.v.Width {
	case 16:
		mask, clean = 0xffff, 1<<15
	case 32:
		mask, clean = 0x0fffffff, 1<<27
	}
	e0, e1 := c.v.fat[0]&mask, c.v.fat[1]&mask
	if clean != 0 && e1&clean == 0 {
		c.r.Dirty = true
	}
	if e1|clean|clean>>1|7 != mask {
		c.r.add(BadReserved, "", 0, "entry 1 is %#x", e1)
	}
	if e0 != mask&^0xff|uint32(c.v.Media) {
		c.r.add(BadReserved, "", 0, "entry 0 is %#x, the media byte %#x", e0, c.v.Media)
	}
	if c.v.Backup == 0 {
		return nil
	}
	k := make([]byte, c.v.SectorSize)
	if _, err := c.v.r.ReadAt(k, c.v.Backup); err != nil {
		return fmt.Errorf("backup boot sector: %w", err)
	}
	for i := range b {
		switch {
		case b[i] == k[i]:
		case i == c.v.State, resized[i], i >= bootLabel && i < bootLabel+11:
			c.r.add(StaleBackup, "", 0, "%#x at byte %d, the boot sector has %#x", k[i], i, b[i])
		default:
			c.r.add(BadBoot, "", 0, "backup differs at byte %d: %#x, the boot sector has %#x", i, k[i], b[i])
			return nil
		}
	}
	return nil
}

// bootLabel is where the label is in the boot sector of FAT32, the only one that has a backup.
const bootLabel = 71

// info compares the FSInfo sector with the FAT.
func (c *checker) info() error {
	if c.v.Info == 0 {
		return nil
	}
	le := binary.LittleEndian
	b := make([]byte, 512)
	if _, err := c.v.r.ReadAt(b, c.v.Info); err != nil {
		return fmt.Errorf("FSInfo: %w", err)
	}
	if le.Uint32(b) != fsinfoLead || le.Uint32(b[484:]) != fsinfoStruct || le.Uint32(b[508:]) != fsinfoTrail {
		c.r.add(BadInfo, "", 0, "signatures %#x %#x %#x", le.Uint32(b), le.Uint32(b[484:]), le.Uint32(b[508:]))
		return nil
	}
	c.r.InfoFree, c.r.InfoNext = le.Uint32(b[488:]), le.Uint32(b[492:])
	if c.r.InfoFree != 0xffffffff && c.r.InfoFree != c.r.Free {
		k := BadInfo
		if c.r.Dirty {
			k = StaleInfo
		}
		c.r.add(k, "", 0, "%d free clusters, the FAT has %d", c.r.InfoFree, c.r.Free)
	}
	if c.r.InfoNext != 0xffffffff && !c.v.valid(c.r.InfoNext) {
		c.r.add(BadInfo, "", c.r.InfoNext, "next free cluster is not on the volume")
	}
	return nil
}
