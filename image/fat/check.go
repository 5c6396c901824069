package fat

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"time"

	"fatvol/image/device"
)

// CheckOptions say how a volume is checked.
type CheckOptions struct {
	// Repair changes the volume; otherwise nothing is written.
	Repair bool
	// Keep makes files FSCKnnnn.REC of lost chains, instead of freeing them.
	Keep     bool
	Geometry GeometryOptions
	Names    NameOptions
	// Found is called for each thing that is wrong, once it is known what became of it.
	Found func(Finding)
	// Now is the clock that stamps recovered files; nil is time.Now.
	Now func() time.Time
}

// A Finding is one thing that is wrong with a volume.
type Finding struct {
	Kind    ProblemKind
	Path    string  // of the file or directory concerned; empty for the volume
	Cluster Cluster // where; 0 for nowhere in particular
	Detail  string  // more words; may be empty
	Action  string  // what a repair does about it
	Fixed   bool    // and has done
}

// CheckResult sums a check up.
type CheckResult struct {
	Files, Directories  uint64
	Clusters, Free, Bad uint32
	Found, Fixed        int
	// Left is the number of findings that stand: all of them without a repair.
	Left int
}

const (
	// checkRounds bounds how often a repair looks through the volume: each time it mends what the next
	// look depends on.
	checkRounds = 48
	// maxFindings bounds the findings that are told of one by one.
	maxFindings = 1 << 16
)

// Check looks through a volume that nobody uses. Its time and memory are bounded by the volume's size,
// whatever it holds. A repair does what docs/repair.md says, in an order that a cut in the middle
// leaves no worse than before. An error means that there is no volume, or that the device failed.
func Check(dev device.Device, opt CheckOptions) (*CheckResult, error) {
	v, err := Open(dev, Options{ReadOnly: !opt.Repair, Geometry: opt.Geometry, Names: opt.Names, Errors: ErrorsContinue,
		Repair: RepairNo, CommitDelay: -1, Now: opt.Now, Log: slog.New(slog.DiscardHandler), NoAtime: true, check: true})
	if err != nil {
		return nil, err
	}
	c := &checker{v: v, opt: opt, tried: map[attempt]int{}, paths: paths{v: v}, kept: paths{v: v}}
	err = c.all()
	switch {
	case c.res.Left > 0 || err != nil:
		v.keepDirty = true // whatever was repaired, it is not whole
	case c.res.Found > 0:
		v.keepDirty, v.flagged = false, true // for Close to write FSInfo and the marks
	}
	if err = errors.Join(err, v.Close()); err != nil {
		return nil, err
	}
	return &c.res, nil
}

// A checker looks through a volume again and again until there is nothing that it can mend.
type checker struct {
	v     *Volume
	opt   CheckOptions
	res   CheckResult
	fixer fixer
	scan  *scan
	space space
	told  int
	paths paths
	kept  paths // those of names that stay: often they are in another directory than what is wrong
	tried map[attempt]int
}

// An attempt to mend something, which is not made again and again.
type attempt struct {
	kind ProblemKind
	place
	at Cluster
}

func (c *checker) all() error {
	for round := 0; ; round++ {
		found, err := c.look()
		if err != nil {
			return err
		}
		stage := stageNone
		for _, f := range found {
			if c.tried[attempt{f.kind, f.place, f.at}] > 1 {
				f.stage = stageNone
			}
			stage = min(stage, f.stage)
		}
		if !c.opt.Repair || stage == stageNone || round == checkRounds {
			for _, f := range found {
				c.tell(f, false)
			}
			return nil
		}
		if err := c.mend(found, stage); err != nil {
			return err
		}
	}
}

// tell reports a finding.
func (c *checker) tell(f *fault, fixed bool) {
	c.res.Found++
	if fixed {
		c.res.Fixed++
	} else {
		c.res.Left++
	}
	if c.told++; c.opt.Found == nil || c.told > maxFindings {
		return
	}
	path := ""
	switch {
	case f.whole:
	case f.slot < 0 && f.dir == 0:
		path = "/"
	default:
		path = c.paths.of(f.place)
		if f.kind == OrphanSlots { // they belong to no entry
			path = c.paths.prefix + "/"
		}
	}
	c.opt.Found(Finding{Kind: f.kind, Path: path, Cluster: f.at, Detail: f.text, Action: f.action, Fixed: fixed})
}

// A fault is a problem with what is to be done about it.
type fault struct {
	problem
	whole  bool // it is the volume's, and no file's
	stage  stage
	action string
	fix    func() error
}

// look finds everything that is wrong.
func (c *checker) look() ([]*fault, error) {
	s := c.v.newScan(func() error { return device.Check(c.v.dev) })
	s.strict = true
	c.scan = s
	if err := s.run(); err != nil {
		return nil, err
	}
	c.res.Files, c.res.Directories = s.files, s.folders
	var out []*fault
	for _, p := range s.found {
		f := &fault{problem: p}
		if p.kind == LongChain && !p.isDir {
			if _, double := s.twice[p.first]; double {
				continue // the other name may need them
			}
		}
		c.plan(f)
		out = append(out, f)
	}
	doubles, err := c.doubles()
	if err != nil {
		return nil, err
	}
	out = append(out, doubles...)
	// Behind the end of what is read of a directory there may be files, which have clusters.
	broken := slices.ContainsFunc(out, func(f *fault) bool { return f.stage < stageSpace || f.kind == LongDir }) || s.overflow
	if err := c.measure(); err != nil {
		return nil, err
	}
	volume, err := c.volumeFaults(broken)
	return append(out, volume...), err
}

// doubles are the entries that share their first cluster with another one.
func (c *checker) doubles() ([]*fault, error) {
	if len(c.scan.twice) == 0 {
		return nil, nil
	}
	all, err := c.scan.locate(c.scan.twice)
	if err != nil {
		return nil, err
	}
	var out []*fault
	for first := range c.scan.twice {
		names := all[first]
		if c.isRoot(first) {
			names = append([]location{{place: place{0, -1}, d: dirent{attr: AttrDirectory, first: first}}}, names...)
		}
		if len(names) < 2 {
			continue
		}
		f, err := c.double(&names[0], &names[1], all)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *fault) int { return cmp.Compare(a.first, b.first) })
	return out, nil
}

// renamed reports whether a cut rename may have left a and b: their counts say so, or they are alike in what a rename
// keeps. Otherwise one of them has lost where it began, and the other may be whole.
func (a *location) renamed(b *location) bool {
	const step = nameCountStep
	ca, cb := a.d.ntCase&nameCount, b.d.ntCase&nameCount
	return a.spare() != b.spare() || ca == (cb+step)&nameCount || cb == (ca+step)&nameCount ||
		a.d.size == b.d.size && a.d.createDate == b.d.createDate && a.d.createTime == b.d.createTime && a.d.createCentis == b.d.createCentis
}

func (c *checker) isRoot(first Cluster) bool {
	return c.v.geo.Width == FAT32 && first == Cluster(c.v.geo.RootCluster)
}

// double plans what becomes of two entries that start at one cluster.
func (c *checker) double(a, b *location, all map[Cluster][]location) (*fault, error) {
	v := c.v
	aDir, bDir := a.d.attr&AttrDirectory != 0, b.d.attr&AttrDirectory != 0
	keep, lose := a, b
	f := &fault{problem: problem{kind: DoubleName, first: a.d.first, at: a.d.first}, stage: stageDouble}
	switch {
	case aDir && bDir:
		if up, err := v.parentOf(a.d.first); err == nil && a.slot >= 0 && b.dir == up && a.dir != up {
			keep, lose = b, a
		}
		f.action = "this name is removed; the directory stays where its \"..\" leads"
		if a.slot >= 0 && keep.spare() && !lose.spare() {
			keep, lose = lose, keep // an exchange was cut, and ".." was ahead
			f.action = "this name is removed"
		}
		if lose.dir == lose.d.first || a.slot < 0 {
			f.kind = CrossLink
		}
		f.fix = func() error { return c.fixer.removeOlder(lose, keep.dir, all) }
	case aDir || bDir:
		f.kind = CrossLink
		if bDir {
			keep, lose = b, a
		}
		f.action = "the file gets clusters of its own, with the same contents"
		f.fix = func() error { return c.fixer.separate(lose) }
	default:
		needA, needB := v.clustersFor(a.d.size), v.clustersFor(b.d.size)
		has, err := c.length(a.d.first, max(needA, needB)+1)
		if err != nil {
			return nil, err
		}
		aNewer, ok := a.newer(b)
		if needNewer, needOlder := needA, needB; ok {
			if !aNewer {
				needNewer, needOlder = needB, needA
			}
			// No rename leaves a size that the chain is too short for.
			ok = a.renamed(b) && (needNewer <= has || needOlder > has)
		}
		if !ok {
			if needB == has && needA != has {
				keep, lose = b, a // it is b's; there may be no room for another one
			}
			f.kind = CrossLink
			f.action = "it gets clusters of its own, with the same contents"
			f.fix = func() error { return c.fixer.separate(lose) }
			break
		}
		if !aNewer {
			keep, lose = b, a
		}
		f.action = "the older name is removed"
		f.fix = func() error { return c.fixer.removeOlder(lose, lose.dir, all) }
	}
	f.place = lose.place
	f.text = "as " + c.kept.of(keep.place)
	return f, nil
}

// length is the number of clusters of a chain, at most limit. Of a tangle of chains it says limit, in the end.
func (c *checker) length(first Cluster, limit uint32) (n uint32, err error) {
	s := c.scan
	for at := first; n < limit; {
		k, value, kind, _, err := s.t.probe(at, limit-n)
		if err != nil {
			return 0, err
		}
		n += k
		switch {
		case kind == entryFree, kind == entryBad:
			return n - 1, nil
		case kind != entryNext:
			return n, nil
		}
		if s.again += uint64(k); s.again > 2*uint64(s.t.entries) {
			return limit, nil
		}
		at = Cluster(value)
	}
	return n, nil
}
