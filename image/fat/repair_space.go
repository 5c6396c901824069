package fat

import (
	"errors"
	"fmt"
)

// leaks frees, or keeps as files, the clusters that are in use and that no chain has reached. No
// operation can have come to use one since: what is not free is handed out to nobody, and nothing leads
// there.
func (r *repair) leaks(s *scan) error {
	if r.v.opt.Repair == RepairKeep {
		if err := r.salvage(s); err != nil {
			return err
		}
	}
	v := r.v
	for idx := uint32(0); idx < v.tab.pageCount; {
		if err := r.alive(); err != nil {
			return err
		}
		freed := int64(0)
		v.commitMu.Lock()
		v.meta.Lock()
		v.tab.mu.Lock()
		var es []extent
		var err error
		for k := 0; k < leakPages && idx < v.tab.pageCount && err == nil; k, idx = k+1, idx+1 {
			es, err = v.tab.freeLeakedLocked(s, idx, es)
		}
		v.tab.mu.Unlock()
		for _, e := range es {
			freed += int64(e.n)
		}
		if v.quarantine = append(v.quarantine, es...); freed > 0 {
			v.changed()
		}
		v.meta.Unlock()
		if err == nil && freed > 0 && v.tab.dirtyAtoms() > leakPages*pageAtoms/2 {
			err = v.commit()
		}
		v.commitMu.Unlock()
		r.log.freed += freed
		if err != nil {
			return err
		}
	}
	if n := r.log.freed; n > 0 {
		r.log.info("repair: clusters that no file uses are freed (%d, %d KiB)", n, n<<v.geo.ClusterShift>>10)
	}
	return nil
}

// leakPages bounds the pages of the FAT that are looked at under the locks at once.
const leakPages = 16

// leaked reports whether a cluster whose entry has the value is in use without anybody's using it.
func (t *table) leaked(s *scan, c Cluster, value uint32) bool {
	return value != 0 && t.w.classify(value, t.geo.Clusters) != entryBad && !s.reached.has(c) && (t.touched == nil || !t.touched.has(c))
}

// pageClusters is the range of data clusters whose entries are in page idx.
func (t *table) pageClusters(idx uint32) (from, to Cluster) {
	return max(firstCluster, Cluster(idx*t.perPage)), Cluster(min((idx+1)*t.perPage, t.entries))
}

// freeLeakedLocked zeroes the entries of leaked clusters in one page, and adds these, marked, to es.
func (t *table) freeLeakedLocked(s *scan, idx uint32, es []extent) ([]extent, error) {
	p, err := t.pageLocked(idx)
	if err != nil {
		return es, err
	}
	from, to := t.pageClusters(idx)
	for c := from; c < to; c++ {
		if !t.leaked(s, c, t.w.get(p.data, uint32(c)%t.perPage)) {
			continue
		}
		t.setLocked(p, c, 0)
		t.markLocked(c)
		if k := len(es); k > 0 && es[k-1].start+Cluster(es[k-1].n) == c {
			es[k-1].n++
		} else {
			es = append(es, extent{c, 1})
		}
	}
	return es, nil
}

// salvage makes files of leaked chains, as far as there are names for them.
func (r *repair) salvage(s *scan) error {
	v, t := r.v, r.v.tab
	inner := newClusterSet(t.entries) // leaked clusters that another one leads to
	err := t.eachLeaked(s, r.alive, func(c Cluster, value uint32) error {
		if t.w.classify(value, t.geo.Clusters) == entryNext {
			inner.add(Cluster(value))
		}
		return nil
	})
	if err != nil {
		return err
	}
	number := 0
	// Chains that loop have no beginning: they are taken from wherever they are met.
	for _, any := range []bool{false, true} {
		err := t.eachLeaked(s, r.alive, func(c Cluster, _ uint32) error {
			if !any && inner.has(c) || s.reached.has(c) {
				return nil
			}
			w, err := s.walk(c, uint32(min(int64(t.entries), int64(MaxFileSize)>>v.geo.ClusterShift)))
			if err != nil {
				return err
			}
			if w.end != endChain {
				if err := t.endAt(v, w.last); err != nil {
					return err
				}
			}
			name, err := v.adopt(&number, c, w.n)
			if err != nil {
				return fmt.Errorf("keep the chain of cluster %d: %w", c, err)
			}
			r.log.kept++
			r.log.info("repair: /%s is made of clusters that no file used (%d)", name, w.n)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachLeaked calls fn for leaked clusters in their order, under no lock.
func (t *table) eachLeaked(s *scan, alive func() error, fn func(c Cluster, value uint32) error) error {
	values := make([]uint32, t.perPage)
	for idx := uint32(0); idx < t.pageCount; idx++ {
		if err := alive(); err != nil {
			return err
		}
		from, to := t.pageClusters(idx)
		t.mu.Lock()
		p, err := t.pageLocked(idx)
		if err != nil {
			t.mu.Unlock()
			return err
		}
		for c := from; c < to; c++ {
			v := t.w.get(p.data, uint32(c)%t.perPage)
			if !t.leaked(s, c, v) {
				v = 0
			}
			values[c-from] = v
		}
		t.mu.Unlock()
		for c := from; c < to; c++ {
			if v := values[c-from]; v != 0 {
				if err := fn(c, v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// endAt makes c, of a chain that nothing leads to, the end of it.
func (t *table) endAt(v *Volume, c Cluster) error {
	v.meta.Lock()
	defer v.meta.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.pageLocked(uint32(c) / t.perPage)
	if err == nil {
		t.setLocked(p, c, t.w.eoc())
		v.changed()
	}
	return err
}

// adopt makes a chain of n clusters a file of the root directory, with the next name that is free.
func (v *Volume) adopt(number *int, first Cluster, n uint32) (name string, err error) {
	for ; *number < 10000; *number++ {
		name = fmt.Sprintf("FSCK%04d.REC", *number)
		nm, err := v.names.Parse(name)
		if err != nil {
			return "", err
		}
		err = v.edit(v.root, func() error {
			if v.root.dir.find(v, nm.Key) >= 0 {
				return ErrExist
			}
			now := v.stamp()
			size := min(int64(n)<<v.geo.ClusterShift, MaxFileSize)
			_, _, err := v.put(v.root, nm, dirent{attr: AttrArchive, first: first, size: uint32(size), createDate: now.date,
				createTime: now.time, modifyDate: now.date, modifyTime: now.time, accessDate: now.date})
			return err
		})
		if !errors.Is(err, ErrExist) {
			*number++
			return name, err
		}
	}
	return "", fmt.Errorf("all names to FSCK9999.REC are taken: %w", ErrNoSpace)
}

// copies brings the other FATs up to the first. They never are ahead of it: what is written is what a
// commit has made durable.
func (r *repair) copies() error {
	v, t := r.v, r.v.tab
	if !v.geo.Mirrored || v.geo.FATs < 2 {
		return nil
	}
	// From the end: by its first entry a FAT counts as sound.
	for idx := t.pageCount; idx > 0; idx-- {
		if err := r.alive(); err != nil {
			return err
		}
		n, err := v.copyPage(idx - 1)
		if r.log.copied += n; err != nil {
			return fmt.Errorf("bring up the other FATs: %w", err)
		}
	}
	if err := v.syncDevice(); err != nil {
		return err
	}
	if r.log.copied > 0 {
		r.log.info("repair: the other FATs are brought up to the first (%d bytes)", r.log.copied)
	}
	return nil
}

// copyPage compares one page of the FAT, as far as no change of it is on its way, and writes what the
// other FATs have otherwise.
func (v *Volume) copyPage(idx uint32) (written int64, err error) {
	t := v.tab
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	for v.plan != nil {
		if err := v.commit(); err != nil {
			return 0, err
		}
	}
	t.mu.Lock()
	p, err := t.pageLocked(idx)
	if err != nil {
		t.mu.Unlock()
		return 0, err
	}
	data, dirty := append([]byte(nil), p.data...), p.dirty
	t.mu.Unlock()
	_, err = v.otherCopies(idx, data, func(off int64, want []byte) error {
		// What operations have changed, their commits bring up.
		at := (off - v.geo.FATStart) % v.geo.FATBytes
		if _, pending := v.mirror[at]; pending || dirty&(1<<(at%pageBytes/atom)) != 0 {
			return nil
		}
		if at == 0 {
			if err := v.syncDevice(); err != nil {
				return err
			}
		}
		written += int64(len(want))
		return v.write(want, off)
	})
	return written, err
}
