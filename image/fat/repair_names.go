package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// A name that a rename adds says that it is newer than the one that the rename removes a phase later, in
// two bits of the entry that nobody else uses: they count, modulo 4. After a cut in between, the one
// whose count is one higher is the name to keep.
const (
	nameCount     = 0xc0 // of the byte with the case bits (FAT specification section 6: DIR_NTRes)
	nameCountStep = 0x40
)

// newerName returns the case bits of an entry with the count of one that replaces old.
func newerName(caseBits, old byte) byte {
	return caseBits&^nameCount | (old+nameCountStep)&nameCount
}

// location is a directory entry that a scan found, as it was then.
type location struct {
	place
	d     dirent
	short [11]byte
}

// newer reports whether a is the newer of two names of one file; ok is false when nothing tells.
func (a *location) newer(b *location) (newer, ok bool) {
	ca, cb := a.d.ntCase&nameCount, b.d.ntCase&nameCount
	stamp := func(d *dirent) uint32 { return uint32(d.modifyDate)<<16 | uint32(d.modifyTime) }
	switch {
	case a.spare() != b.spare(): // an exchange names it so for a moment
		return b.spare(), true
	case a.d.size > b.d.size && stamp(&a.d) > stamp(&b.d), a.d.size < b.d.size && stamp(&a.d) < stamp(&b.d):
		return a.d.size > b.d.size, true // it was written to by that name, perhaps long after the cut: the other lacks what came since
	case ca == (cb+nameCountStep)&nameCount:
		return true, true
	case cb == (ca+nameCountStep)&nameCount:
		return false, true
	case stamp(&a.d) != stamp(&b.d):
		return stamp(&a.d) > stamp(&b.d), true
	case a.d.size != b.d.size:
		return a.d.size > b.d.size, true
	}
	return false, false
}

// spare reports whether an exchange has made up the name.
func (a *location) spare() bool {
	number, ok := strings.CutPrefix(string(a.short[:8]), spareShort)
	return ok && strings.Trim(number, "0123456789") == "" && string(a.short[8:]) == spareExt && a.d.ntCase == spareCase
}

// locate looks for the entries whose first cluster is in heads, through the directories that the scan
// has seen.
func (s *scan) locate(heads map[Cluster]uint32) (map[Cluster][]location, error) {
	const most = 4 // names of one file that are looked at
	out := make(map[Cluster][]location, len(heads))
	look := func(dir Cluster) error {
		if err := s.alive(); err != nil {
			return err
		}
		return s.v.rawDir(dir, func(data []byte) {
			eachEntry(data, dir == 0, func(e *rawEntry) {
				if e.raw == nil || e.dot || e.label {
					return
				}
				d := decodeDirent(e.raw, s.v.geo.Width)
				if _, ok := heads[d.first]; ok && d.first != 0 && len(out[d.first]) < most {
					out[d.first] = append(out[d.first], location{place{dir, e.slot}, d, shortOf(e.raw)})
				}
			})
		})
	}
	if err := look(0); err != nil {
		return nil, err
	}
	root := Cluster(s.v.geo.RootCluster)
	for c, ok := s.dirs.next(firstCluster); ok; c, ok = s.dirs.next(c + 1) {
		if c == root {
			continue
		}
		if err := look(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// parentOf reads which cluster ".." of the directory that starts at dir names; 0 is the root.
func (v *Volume) parentOf(dir Cluster) (Cluster, error) {
	var up [slotSize]byte
	if err := v.rawDir(dir, func(data []byte) {
		if len(data) >= 2*slotSize {
			copy(up[:], data[slotSize:])
		}
	}); err != nil {
		return 0, err
	}
	if !slotIsDot(up[:]) {
		return 0, fmt.Errorf("%w: directory at cluster %d has no \"..\"", ErrCorrupt, dir)
	}
	d := decodeDirent(up[:], v.geo.Width)
	if d.first == Cluster(v.geo.RootCluster) {
		return 0, nil
	}
	if d.first != 0 && !v.tab.contains(d.first) {
		return 0, fmt.Errorf("%w: \"..\" of the directory at cluster %d is cluster %d", ErrCorrupt, dir, d.first)
	}
	return d.first, nil
}

// maxDepth bounds how far up a path is followed.
const maxDepth = 256

var errNoWay = errors.New("no way from the root leads there")

// dirNode returns the node of the directory that starts at dir, 0 for the root, with one more reference.
// The way there is found by "..".
func (v *Volume) dirNode(dir Cluster, depth int) (*Node, error) {
	if dir == 0 || dir == Cluster(v.geo.RootCluster) {
		return v.root, nil
	}
	v.meta.RLock()
	n := v.dirs[dir]
	if n != nil {
		n.refs.Add(1)
	}
	v.meta.RUnlock()
	if n != nil {
		return n, nil
	}
	if depth > maxDepth {
		return nil, errNoWay
	}
	up, err := v.parentOf(dir)
	if err != nil {
		return nil, err
	}
	parent, err := v.dirNode(up, depth+1)
	if err != nil {
		return nil, err
	}
	defer parent.Release(1)
	if err := v.pin(parent); err != nil {
		return nil, err
	}
	defer v.unpin(parent)
	return v.subdirectory(parent, dir)
}

// subdirectory returns the node of the directory in parent that starts at first, with one more reference, and
// errNoWay where there is none. The caller has pinned parent, which may have been removed all the same: then
// nothing is in it.
func (v *Volume) subdirectory(parent *Node, first Cluster) (*Node, error) {
	v.meta.Lock()
	defer v.meta.Unlock()
	if parent.unlinked {
		return nil, errNoWay
	}
	for i := int32(0); i < parent.dir.tail; i++ {
		s := parent.dir.slot(i)
		if slotIsFree(s) || slotIsLong(s) || slotIsDot(s) || Attributes(s[11])&(AttrDirectory|AttrVolumeID) != AttrDirectory {
			continue
		}
		if decodeDirent(s, v.geo.Width).first == first {
			return v.instantiate(parent, i)
		}
	}
	return nil, errNoWay
}

// pathOf is the path of the entry at a place, for messages.
func (v *Volume) pathOf(at place) string {
	path := ""
	dir, slot, first := at.dir, at.slot, Cluster(0)
	for depth := 0; ; depth++ {
		if dir == 0 && slot < 0 && first == 0 {
			return "/" + path
		}
		name := ""
		err := v.rawDir(dir, func(data []byte) {
			eachEntry(data, dir == 0, func(e *rawEntry) {
				if e.raw == nil || name != "" || slot >= 0 && e.slot != slot || e.dot {
					return
				}
				if slot < 0 && decodeDirent(e.raw, v.geo.Width).first != first {
					return
				}
				if e.units != nil {
					name = v.names.ShowLong(e.units)
				} else {
					name = v.names.ShowShort(shortOf(e.raw), e.raw[12])
				}
			})
		})
		if err != nil || name == "" {
			name = fmt.Sprintf("(entry %d)", slot)
		}
		if path = name + strings.TrimSuffix("/"+path, "/"); dir == 0 {
			return "/" + path
		}
		up, err := v.parentOf(dir)
		if err != nil || depth > maxDepth || up == dir {
			return fmt.Sprintf("(directory at cluster %d)/%s", dir, path)
		}
		dir, slot, first = up, -1, dir
	}
}

// samePlace reports whether the entry at a place still is the one that was found there. The caller
// holds v.meta, and the directory is pinned.
func (v *Volume) samePlace(dir *Node, l *location) bool {
	d := dir.dir
	if dir.unlinked || !d.loaded || l.slot >= d.tail || l.slot >= d.slots() {
		return false
	}
	s := d.slot(l.slot)
	return !slotIsFree(s) && !slotIsLong(s) && shortOf(s) == l.short && binary.LittleEndian.Uint16(s[26:]) == uint16(l.d.first) &&
		decodeDirent(s, v.geo.Width).first == l.d.first
}

// paths finds the paths of entries for messages, and keeps what it knows of the directory that it was asked
// for last: there may be thousands of one.
type paths struct {
	v      *Volume
	known  bool
	dir    Cluster
	prefix string
	names  map[int32]string
}

func (p *paths) of(at place) string {
	if at.slot < 0 {
		return "/"
	}
	if !p.known || p.dir != at.dir {
		p.known, p.dir, p.prefix, p.names = true, at.dir, "", map[int32]string{}
		if at.dir != 0 {
			p.prefix = p.v.dirPath(at.dir)
		}
		// What cannot be read has no names here, and says so itself.
		_ = p.v.rawDir(at.dir, func(data []byte) {
			eachEntry(data, at.dir == 0, func(e *rawEntry) {
				switch {
				case e.raw == nil:
				case e.units != nil:
					p.names[e.slot] = p.v.names.ShowLong(e.units)
				default:
					p.names[e.slot] = p.v.names.ShowShort(shortOf(e.raw), e.raw[12])
				}
			})
		})
	}
	name, ok := p.names[at.slot]
	if !ok {
		name = fmt.Sprintf("(entry %d)", at.slot)
	}
	return p.prefix + "/" + name
}
