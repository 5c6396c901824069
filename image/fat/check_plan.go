package fat

import (
	"errors"
	"fmt"
)

// stage is the order in which things are mended: what is looked at depends on what comes before.
type stage int

const (
	stageCopy   stage = iota // the FAT that others than a check read
	stageTable               // entries that no file has
	stageChain               // where chains lead
	stageDouble              // whose they are
	stageSize                // how long they are, and what directories say of themselves
	stageName
	stageSpace // what nobody uses
	stageState // FSInfo, copies, marks
	stageNone  // nothing can be done
)

// plan says what is done about a problem of the scan.
func (c *checker) plan(f *fault) {
	x, v := &c.fixer, c.v
	x.v = v
	p := &f.problem
	switch p.kind {
	case OutOfRange, FreeInChain, BadInChain, ChainLoop:
		f.stage = stageChain
		switch {
		case p.slot < 0:
			f.action, f.fix = "the root directory ends there", func() error { return x.endChain(p) }
		case p.last == 0 && p.isDir:
			f.action, f.fix = "the entry is removed", func() error { return x.setFirstByte(p.place, slotDeleted) }
		case p.last == 0:
			f.action, f.fix = "the file becomes empty", func() error { return x.resize(p.place, 0, 0) }
		default:
			f.action, f.fix = "the chain ends there", func() error { return x.endChain(p) }
		}
		f.text = fmt.Sprintf("after %d clusters", p.have)
	case CrossLink:
		f.stage, f.action = stageChain, "it gets clusters of its own, with the same contents"
		f.text = fmt.Sprintf("after %d clusters", p.have)
		f.fix = func() error { return x.copyTail(p) }
	case LongChain:
		f.stage, f.action = stageSize, "the chain is cut"
		f.text = fmt.Sprintf("%d are enough", p.need)
		f.fix = func() error {
			if p.need == 0 {
				return x.resize(p.place, 0, 0)
			}
			return x.endChain(p)
		}
	case LongDir:
		f.stage, f.text = stageNone, fmt.Sprintf("entries behind %d clusters", p.need)
	case ShortChain:
		size := int64(p.have) << v.geo.ClusterShift
		f.stage, f.action = stageSize, fmt.Sprintf("the size becomes %d", size)
		f.text = fmt.Sprintf("it has %d of %d", p.have, p.need)
		f.fix = func() error {
			first := p.first
			if p.have == 0 {
				first = 0
			}
			return x.resize(p.place, first, uint32(size))
		}
	case DirSize:
		f.stage, f.action = stageSize, "the size becomes 0"
		f.fix = func() error { return x.resize(p.place, p.first, 0) }
	case NotDir:
		f.stage, f.action = stageChain, "it becomes a file"
		f.fix = func() error {
			return x.change(p.place, func(s []byte) {
				d := decodeDirent(s, v.geo.Width)
				d.attr &^= AttrDirectory
				if d.size == 0 || p.need > p.have {
					d.size = uint32(min(int64(p.have)<<v.geo.ClusterShift, MaxFileSize))
				}
				d.encode(s, v.geo.Width)
			})
		}
	case BadDots:
		f.stage, f.action = stageSize, "they are put right"
		f.fix = func() error { return x.dots(p) }
	case DoubleName, SpareName: // of an empty file
		f.stage, f.action = stageSize, "this name is removed" // after a file that has clusters might get it
		f.fix = func() error { return x.removeName(&location{place: p.place}) }
	case BadName:
		f.stage, f.action = stageName, "it gets a short name FSCKnnnn.REC"
		f.fix = func() error { return x.rename(p.place, false) }
	case SameName:
		f.stage, f.action = stageName, "it is renamed to FSCKnnnn.REC"
		f.fix = func() error { return x.rename(p.place, true) }
	case BadLong:
		f.stage, f.action = stageName, "it is set to 0"
		f.fix = func() error {
			return x.change(p.place, func(s []byte) { s[offLongCluster], s[offLongCluster+1] = 0, 0 })
		}
	case LongType:
		f.stage, f.action = stageName, "it becomes the one that there is"
		f.fix = func() error { return x.change(p.place, func(s []byte) { s[offLongType], s[11] = 0, byte(attrLong) }) }
	case AfterEnd:
		f.stage, f.action = stageName, "files that have clusters come to light, and the rest is removed"
		f.fix = func() error { return x.behindEnd(p.dir, c.scan) }
	case BadLabel:
		f.stage, f.action = stageName, "the entry is removed, or becomes that of a file where it has clusters"
		f.fix = func() error { return x.label(p.place) }
	case LabelBytes:
		f.stage, f.action = stageName, "these bytes become \"_\", and without any other the entry is removed"
		f.fix = func() error {
			return x.change(p.place, func(s []byte) {
				label := soundLabel(shortOf(s))
				if copy(s, label[:]); string(label[:]) == noName {
					s[0] = slotDeleted
				}
			})
		}
	case OrphanSlots:
		f.stage, f.action = stageName, "they are removed"
		f.text = fmt.Sprintf("%d", p.have)
		f.fix = func() error { return x.orphans(p) }
	}
}

// mend repairs what is of a stage, in three steps: what nothing refers to yet, entries, and what nothing
// refers to any more.
func (c *checker) mend(found []*fault, at stage) error {
	c.fixer.begin()
	var done []*fault
	seen := map[place]bool{}
	for _, f := range found {
		if f.stage != at {
			continue
		}
		// One thing at a time for each entry; the next look has the others.
		if !f.whole && f.kind != OrphanSlots {
			if seen[f.place] {
				continue
			}
			seen[f.place] = true
		}
		key := attempt{f.kind, f.place, f.at}
		if err := f.fix(); errors.Is(err, ErrNoSpace) {
			c.tried[key] = 2 // it stays, and what does not depend on it is mended
			continue
		} else if err != nil {
			return fmt.Errorf("%s: %w", f.kind, err)
		}
		if c.tried[key]++; c.tried[key] == 1 {
			done = append(done, f)
		}
	}
	// Told before it is done: names are as they were found.
	for _, f := range done {
		c.tell(f, true)
	}
	c.paths.known, c.kept.known = false, false // names change
	return c.fixer.write()
}
