package fat

import (
	"cmp"
	"fmt"
	"slices"
)

// A scan looks at every directory entry and every chain of a volume once, and keeps what is wrong with
// them. It follows no chain twice, goes into no directory twice, and keeps bitmaps and a bounded list:
// time and memory are bounded whatever the volume holds. docs/repair.md says how it can work while
// operations go on.
type scan struct {
	v *Volume
	t *table
	// alive is asked before each directory; an error of it ends the scan.
	alive func() error
	// strict looks at names, dots, labels and directories' fields as well.
	strict bool

	reached *clusterSet // clusters of chains, as far as the entries say that they need them
	heads   *clusterSet // first clusters of files and directories
	todo    *clusterSet // directories that are yet to be read
	dirs    *clusterSet // those that were

	found    []problem
	overflow bool // there is more than found can hold
	// twice has the first clusters that more than one entry names, and what these need of the chain.
	twice map[Cluster]uint32
	again uint64 // clusters of these chains that were walked again

	files, folders uint64
	label          *[11]byte // of the root directory; nil for none. Only where strict
}

// maxProblems bounds the problems of one scan; what is beyond is found by the next.
const maxProblems = 1 << 14

func (v *Volume) newScan(alive func() error) *scan {
	n := v.tab.entries
	return &scan{v: v, t: v.tab, alive: alive, reached: newClusterSet(n), heads: newClusterSet(n),
		todo: newClusterSet(n), dirs: newClusterSet(n), twice: map[Cluster]uint32{}}
}

// A place is where a directory entry is: a slot of the directory that starts at dir, 0 for the root.
type place struct {
	dir  Cluster
	slot int32
}

// A problem is one thing that is wrong.
type problem struct {
	kind ProblemKind
	place
	first Cluster // of the chain that it concerns
	at    Cluster // where the chain stops being one
	last  Cluster // the cluster before, 0 for none
	have  uint32  // clusters before that
	need  uint32  // clusters that the size needs
	isDir bool
	twin  int32  // slot of the newer of two names without clusters, in the same directory
	text  string // more words, from what the scan saw
}

func (s *scan) add(p problem) {
	if len(s.found) >= maxProblems {
		s.overflow = true
		return
	}
	s.found = append(s.found, p)
}

// run reads the root directory, and everything below it.
func (s *scan) run() error {
	if err := s.root(); err != nil {
		return err
	}
	return s.drain()
}

func (s *scan) root() error {
	root := s.v.geo.RootCluster
	if s.v.geo.Width == FAT32 {
		s.heads.add(Cluster(root))
		s.dirs.add(Cluster(root)) // an entry that leads here is a second name of the root
		if err := s.chainOfDir(place{0, -1}, Cluster(root)); err != nil {
			return err
		}
	}
	return s.read(0)
}

// drain reads the directories that were met and not read yet, in whatever order.
func (s *scan) drain() error {
	for from := firstCluster; ; {
		c, ok := s.todo.next(from)
		if !ok {
			if from == firstCluster {
				return nil
			}
			from = firstCluster
			continue
		}
		s.todo.remove(c)
		if err := s.read(c); err != nil {
			return err
		}
		from = c
	}
}

// read looks at the entries of the directory that starts at dir.
func (s *scan) read(dir Cluster) error {
	if err := s.alive(); err != nil {
		return err
	}
	s.folders++
	var wrong error
	err := s.v.rawDir(dir, func(data []byte) { wrong = s.slots(dir, data) })
	return cmp.Or(err, wrong)
}

// slots looks at the slots of a directory.
func (s *scan) slots(dir Cluster, data []byte) (err error) {
	var names *nameCheck
	older := s.empties(dir, data)
	if s.strict {
		names = newNameCheck(s, dir)
		names.slots(data)
	} else if s.oldParent(dir, data) {
		s.add(problem{kind: OldParent, place: place{dir, 1}, first: dir})
	}
	eachEntry(data, dir == 0, func(e *rawEntry) {
		if err != nil {
			return
		}
		if e.orphans > 0 {
			s.add(problem{kind: OrphanSlots, place: place{dir, e.slot - e.orphans - e.longs}, have: uint32(e.orphans)})
		}
		if names != nil && !older[e.slot] {
			names.entry(e)
		}
		if e.raw != nil && !e.dot && !e.label {
			err = s.entry(place{dir, e.slot}, decodeDirent(e.raw, s.v.geo.Width))
		}
	})
	return err
}

// entry follows the chain of an entry.
func (s *scan) entry(at place, d dirent) error {
	if d.attr&AttrDirectory != 0 {
		return s.folder(at, d)
	}
	s.files++
	need := s.v.clustersFor(d.size)
	p := problem{place: at, first: d.first, need: need}
	switch {
	case d.first == 0 && d.size == 0:
		return nil
	case d.first == 0:
		p.kind = ShortChain
		s.add(p)
		return nil
	case !s.t.contains(d.first):
		p.kind, p.at = OutOfRange, d.first
		s.add(p)
		return nil
	case s.heads.has(d.first):
		return s.second(p)
	}
	s.heads.add(d.first)
	if need == 0 {
		p.kind, p.at = LongChain, d.first
		if touched, err := s.t.isTouched(d.first); err != nil || touched {
			return err
		}
		s.add(p)
		return nil
	}
	w, err := s.walk(d.first, need)
	if err != nil {
		return err
	}
	p.have, p.last, p.at = w.n, w.last, w.at
	switch w.end {
	case endMore:
		p.kind = LongChain
	case endTouched:
		return nil
	case endChain:
		if w.n >= need {
			return nil
		}
		p.kind = ShortChain
	default:
		if p.kind, err = s.broken(d.first, w); err != nil {
			return err
		}
	}
	s.add(p)
	return nil
}

// folder notes a directory that is to be read.
func (s *scan) folder(at place, d dirent) error {
	p := problem{place: at, first: d.first, at: d.first, isDir: true, kind: OutOfRange}
	switch {
	case !s.t.contains(d.first):
		s.add(p)
		return nil
	case s.heads.has(d.first):
		return s.second(p)
	}
	if s.strict {
		isDir, err := s.dots(at, d.first)
		if err != nil {
			return err
		}
		if !isDir {
			s.heads.add(d.first)
			w, err := s.walk(d.first, s.t.entries)
			p.kind, p.have, p.last, p.at = NotDir, w.n, w.last, 0
			if p.need = w.n; d.size != 0 {
				p.need = s.v.clustersFor(d.size)
			}
			s.add(p)
			return err
		}
		if d.size != 0 {
			p.kind = DirSize
			s.add(p)
		}
	}
	s.heads.add(d.first)
	s.dirs.add(d.first)
	s.todo.add(d.first)
	return s.chainOfDir(at, d.first)
}

func (s *scan) chainOfDir(at place, first Cluster) error {
	limit := maxDirClusters(s.v.geo)
	w, err := s.walk(first, limit)
	if err != nil {
		return err
	}
	p := problem{place: at, first: first, at: w.at, last: w.last, have: w.n, need: limit, isDir: true}
	switch w.end {
	case endTouched, endChain:
		return nil
	case endMore:
		p.kind = LongChain
		if s.strict {
			if p.kind, err = s.behind(w.at, limit); err != nil {
				return err
			}
		}
	default:
		if p.kind, err = s.broken(first, w); err != nil {
			return err
		}
	}
	s.add(p)
	return nil
}

// second notes that the first cluster of an entry is that of another one.
func (s *scan) second(p problem) error {
	if _, ok := s.twice[p.first]; !ok {
		if len(s.twice) >= maxProblems {
			s.overflow = true
			return nil
		}
		s.twice[p.first] = 0
	}
	if p.isDir || s.dirs.has(p.first) {
		return nil
	}
	if p.need <= s.twice[p.first] {
		return nil
	}
	s.twice[p.first] = p.need
	// The other entry may need less of the chain.
	for c, k := p.first, uint32(0); k < p.need; {
		n, value, kind, touched, err := s.t.probe(c, p.need-k)
		if err != nil {
			return err
		}
		s.reached.addRun(c, n)
		if k += n; touched || kind != entryNext {
			return nil
		}
		if s.again += uint64(n); s.again > 2*uint64(s.t.entries) {
			s.overflow = true // nothing that a cut has left
			return nil
		}
		c = Cluster(value)
	}
	return nil
}

// chainEnd is how a walk ended.
type chainEnd uint8

const (
	endMore    chainEnd = iota // as far as wanted; the chain goes on
	endChain                   // with the chain
	endTouched                 // at a cluster that the engine has changed since the scan began
	endMet                     // at a cluster that belongs to a chain already
	endFree
	endBad
	endRange
)

type walked struct {
	n    uint32  // clusters
	last Cluster // of these; 0 for none
	at   Cluster // the next one, or what was found in its place
	end  chainEnd
}

// walk takes up to want clusters (> 0) of the chain from c on for reached.
func (s *scan) walk(c Cluster, want uint32) (w walked, err error) {
	for steps := 0; ; steps++ {
		if steps%1024 == 1023 {
			if err := s.alive(); err != nil {
				return w, err
			}
		}
		n, value, kind, touched, err := s.t.probe(c, want-w.n)
		if err != nil {
			return w, err
		}
		end, at := endMore, Cluster(value)
		switch {
		case touched:
			end, at = endTouched, c+Cluster(n)
		case kind == entryFree, kind == entryBad: // then the last of them is no part of a chain
			n--
			end, at = endFree, c+Cluster(n)
			if kind == entryBad {
				end = endBad
			}
		case kind == entryInvalid:
			end = endRange
		case kind == entryEnd:
			end, at = endChain, 0
		}
		if free := s.reached.without(c, n); free < n {
			n, end, at = free, endMet, c+Cluster(free)
		}
		s.reached.addRun(c, n)
		if w.n += n; n > 0 {
			w.last = c + Cluster(n) - 1
		}
		if w.end, w.at = end, at; end != endMore || w.n >= want {
			return w, nil
		}
		c = at
	}
}

// broken says what it is that ended a walk.
func (s *scan) broken(first Cluster, w walked) (ProblemKind, error) {
	switch w.end {
	case endFree:
		return FreeInChain, nil
	case endBad:
		return BadInChain, nil
	case endRange:
		return OutOfRange, nil
	}
	// Whose is the cluster: its own, or another's?
	for c, k := first, uint32(0); k < w.n; {
		n, value, _, _, err := s.t.probe(c, w.n-k)
		if err != nil {
			return "", err
		}
		if w.at >= c && w.at < c+Cluster(n) {
			return ChainLoop, nil
		}
		if n == 0 {
			break
		}
		k, c = k+n, Cluster(value)
	}
	return CrossLink, nil
}

// probe is segment, but ends before a cluster that the engine has changed since the scan began.
func (t *table) probe(c Cluster, limit uint32) (n, value uint32, kind entryKind, touched bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, value, kind, err = t.segmentLocked(c, limit)
	if err == nil && t.touched != nil {
		if k := t.touched.without(c, n); k < n {
			return k, 0, entryNext, true, nil
		}
	}
	return n, value, kind, false, err
}

func (t *table) isTouched(c Cluster) (bool, error) {
	_, _, _, touched, err := t.probe(c, 1)
	return touched, err
}

// rawDir calls fn with the slots of the directory that starts at a cluster, 0 for the root: those in memory, where it
// is, or else what the device has. Of a damaged chain it is the part that holds. They are gone when fn returns: one
// directory is 2 MiB at most, and thousands of looks at it one after the other are not to be thousands of times that.
func (v *Volume) rawDir(first Cluster, fn func(data []byte)) error {
	buf := v.dirBuffer.Swap(nil)
	if buf == nil {
		buf = new([]byte)
	}
	data, err := v.appendDir((*buf)[:0], first)
	if err != nil {
		return err
	}
	*buf = data
	fn(data[:min(len(data), maxSlots*slotSize)])
	v.dirBuffer.Store(buf)
	return nil
}

// appendDir appends what rawDir is about to buf, which is empty.
func (v *Volume) appendDir(buf []byte, first Cluster) ([]byte, error) {
	v.meta.RLock()
	n := v.dirs[first]
	if first == 0 {
		n = v.root
	}
	if n != nil && n.dir.loaded {
		buf = append(buf, n.dir.data...)
		v.meta.RUnlock()
		return buf, nil
	}
	v.meta.RUnlock()
	if first == 0 {
		if v.geo.Width != FAT32 {
			buf = slices.Grow(buf, int(v.geo.RootEntries)*slotSize)[:int(v.geo.RootEntries)*slotSize]
			if _, err := v.dev.ReadAt(buf, v.geo.RootStart); err != nil {
				return nil, fmt.Errorf("read root directory: %w", err)
			}
			return buf, nil
		}
		first = Cluster(v.geo.RootCluster)
	}
	ch := newChain(first)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	limit := maxDirClusters(v.geo)
	if err := ch.extend(v.tab, limit); err != nil && ch.bad == nil {
		return nil, err
	}
	length := min(ch.length, limit)
	buf = slices.Grow(buf, int(length)<<v.geo.ClusterShift)[:int(length)<<v.geo.ClusterShift]
	for i := uint32(0); i < length; {
		c, n, err := ch.find(v.tab, i, length-i)
		if err != nil {
			return nil, err
		}
		if _, err := v.dev.ReadAt(buf[int64(i)<<v.geo.ClusterShift:int64(i+n)<<v.geo.ClusterShift], v.clusterOffset(c)); err != nil {
			return nil, fmt.Errorf("read directory at cluster %d: %w", c, err)
		}
		i += n
	}
	return buf, nil
}

// A rawEntry is a short entry of a directory, or the end of it.
type rawEntry struct {
	slot    int32
	raw     []byte // nil at the end of the directory
	longs   int32  // slots of its long name, before it
	units   []uint16
	orphans int32 // long-name slots before those, which belong to no entry
	dot     bool  // "." or ".." where they belong
	label   bool
}

// eachEntry calls fn for the short entries of a directory in their order, and at last for its end.
func eachEntry(data []byte, root bool, fn func(*rawEntry)) {
	var lp LongParser
	run := int32(0) // long-name slots since the last other one
	slots := int32(len(data) / slotSize)
	for i := int32(0); i < slots; i++ {
		s := data[i*slotSize : (i+1)*slotSize]
		switch {
		case s[0] == slotEnd || s[0] == slotDeleted:
			if run > 0 || s[0] == slotEnd {
				fn(&rawEntry{slot: i, orphans: run})
			}
			if s[0] == slotEnd {
				return
			}
			lp.Reset()
			run = 0
			continue
		case slotIsLong(s):
			lp.Slot(s)
			run++
			continue
		}
		e := rawEntry{slot: i, raw: s, dot: !root && i < 2 && slotIsDot(s), label: Attributes(s[11])&AttrVolumeID != 0}
		if units, n, ok := lp.Take(shortOf(s)); ok {
			e.units, e.longs = slices.Clone(units), int32(n)
		}
		e.orphans = run - e.longs
		run = 0
		fn(&e)
	}
	fn(&rawEntry{slot: slots, orphans: run})
}
