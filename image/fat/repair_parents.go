package fat

import (
	"errors"
	"fmt"
)

// oldParent reports whether ".." of the directory at dir, whose slots are data, names what is no directory of the
// tree. A directory is met after its parent; one that moves meanwhile is looked at again before anything is done.
func (s *scan) oldParent(dir Cluster, data []byte) bool {
	if dir == 0 || len(data) < 2*slotSize || !slotIsDot(data[slotSize:]) {
		return false
	}
	up := decodeDirent(data[slotSize:2*slotSize], s.v.geo.Width).first
	return up != 0 && up != Cluster(s.v.geo.RootCluster) && s.t.contains(up) && !s.dirs.has(up)
}

// parents makes ".." name the parent again where a cut, while the parent was moved (defrag, resize), has left the
// parent's old place there: clusters that nobody uses and that still begin with the directory.
func (r *repair) parents(s *scan) error {
	heads := map[Cluster]uint32{}
	for _, p := range s.found {
		if _, double := s.twice[p.first]; p.kind == OldParent && !double {
			heads[p.first] = 0
		}
	}
	if len(heads) == 0 {
		return nil
	}
	all, err := s.locate(heads)
	if err != nil {
		return err
	}
	before := r.log.parents
	for first := range heads {
		for _, l := range all[first] {
			if err := r.parent(s, &l); err != nil && !errors.Is(err, errNoWay) {
				return err
			}
		}
	}
	if r.log.parents == before {
		return nil
	}
	return r.v.sync() // the old place is known by what it holds: it becomes free later
}

// parent makes ".." of the directory whose entry is at l name the one that l is in.
func (r *repair) parent(s *scan, l *location) error {
	v := r.v
	up, err := v.parentOf(l.d.first)
	if err != nil || up == l.dir || s.reached.has(up) {
		return nil // it moved since, or is damage: for fatvol check
	}
	if was, err := v.wasDirectory(up); err != nil || !was {
		return err
	}
	dir, err := r.dir(l.dir)
	if err != nil {
		return err
	}
	defer r.letGo(dir)
	v.meta.Lock()
	var n *Node
	if v.samePlace(dir, l) {
		n, err = v.instantiate(dir, l.slot)
	}
	v.meta.Unlock()
	if n == nil || err != nil {
		return err
	}
	defer n.Release(1)
	done := false
	err = v.edit(n, func() error {
		if done = v.samePlace(dir, l); done {
			v.nameDotDots(dir, []*Node{n})
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	if done {
		r.log.parents++
		r.log.info("repair: %s: \"..\" names its directory again, not the place where that was", r.path(l.place))
	}
	return nil
}

// wasDirectory reports whether a cluster is in use and holds the beginning of a directory that was there.
func (v *Volume) wasDirectory(c Cluster) (bool, error) {
	_, _, kind, _, err := v.tab.probe(c, 1)
	if err != nil || kind == entryFree || kind == entryBad {
		return false, err
	}
	head := make([]byte, slotSize)
	if _, err := v.dev.ReadAt(head, v.clusterOffset(c)); err != nil {
		return false, fmt.Errorf("read cluster %d: %w", c, err)
	}
	return slotIsDot(head) && decodeDirent(head, v.geo.Width).first == c, nil
}
