package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// space is what the FAT says of all clusters.
type space struct {
	free, bad, lost uint32
	firstLost       Cluster
	other           int64 // bytes of other FATs that differ
}

// measure counts clusters, and compares the FATs.
func (c *checker) measure() error {
	v, t := c.v, c.v.tab
	c.space = space{}
	for idx := uint32(0); idx < t.pageCount; idx++ {
		if err := c.scan.alive(); err != nil {
			return err
		}
		t.mu.Lock()
		p, err := t.pageLocked(idx)
		if err != nil {
			t.mu.Unlock()
			return err
		}
		data := append([]byte(nil), p.data...)
		t.mu.Unlock()
		from, to := t.pageClusters(idx)
		for cl := from; cl < to; cl++ {
			value := t.w.get(data, uint32(cl)%t.perPage)
			switch {
			case value == 0:
				c.space.free++
			case t.w.classify(value, v.geo.Clusters) == entryBad:
				c.space.bad++
			case !c.scan.reached.has(cl):
				if c.space.lost++; c.space.lost == 1 {
					c.space.firstLost = cl
				}
			}
		}
		n, err := v.otherCopies(idx, data, nil)
		if c.space.other += n; err != nil {
			return err
		}
	}
	t.trustFree(c.space.free) // what FSInfo said is not to be relied on
	c.res.Clusters, c.res.Free, c.res.Bad = v.geo.Clusters, c.space.free, c.space.bad
	return nil
}

// otherCopies compares one page of the FAT with the other FATs, in atoms, and calls fn for those that
// differ. It returns how many bytes they have.
func (v *Volume) otherCopies(idx uint32, data []byte, fn func(off int64, want []byte) error) (n int64, err error) {
	other := make([]byte, len(data))
	for k := 0; k < v.geo.FATs; k++ {
		if k == v.geo.ActiveFAT {
			continue
		}
		base := v.geo.FATStart + int64(k)*v.geo.FATBytes + int64(idx)*pageBytes
		if _, err := v.dev.ReadAt(other, base); err != nil {
			return n, fmt.Errorf("read FAT %d: %w", k+1, err)
		}
		if bytes.Equal(other, data) {
			continue
		}
		for from := (len(data) - 1) / atom * atom; from >= 0; from -= atom {
			to := min(from+atom, len(data))
			if bytes.Equal(other[from:to], data[from:to]) {
				continue
			}
			n += int64(to - from)
			if fn == nil {
				continue
			}
			if err := fn(base+int64(from), data[from:to]); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// volumeFaults are those that are no file's. broken: chains are not as they should be, so that nobody
// knows yet which clusters are in use.
func (c *checker) volumeFaults(broken bool) (out []*fault, err error) {
	v, t, x := c.v, c.v.tab, &c.fixer
	x.v = v
	add := func(f fault) {
		f.whole = true
		out = append(out, &f)
	}
	t.mu.Lock()
	p, err := t.pageLocked(0)
	if err != nil {
		t.mu.Unlock()
		return nil, err
	}
	e0, e1 := t.w.get(p.data, 0), t.w.get(p.data, 1)
	t.mu.Unlock()
	want0 := t.w.mask&^0xff | uint32(v.geo.Media)
	if e0 != want0 || e1|t.w.clean|t.w.noError|7 != t.w.mask {
		add(fault{problem: problem{kind: BadReserved, text: fmt.Sprintf("%#x and %#x", e0, e1)}, stage: stageTable,
			action: "they are put right", fix: func() error {
				if err := x.setEntry(0, want0); err != nil {
					return err
				}
				return x.setEntry(1, t.w.mask&^t.w.clean|e1&t.w.clean)
			}})
	}
	if c.space.lost > 0 && !broken {
		f := fault{problem: problem{kind: Leaked, at: c.space.firstLost, text: fmt.Sprintf("%d", c.space.lost)}, stage: stageSpace,
			action: "they are freed", fix: func() error { return c.reclaim(false) }}
		if c.opt.Keep {
			f.action, f.fix = "they become files FSCKnnnn.REC of the root directory", func() error { return c.reclaim(true) }
		}
		add(f)
	}
	if c.space.other > 0 {
		f := fault{problem: problem{kind: CopyBehind, text: fmt.Sprintf("in %d bytes", c.space.other)}, stage: stageState,
			action: "the first is copied", fix: c.copyFATs}
		if !v.geo.Mirrored {
			f.kind, f.fix = NotMirrored, c.mirror
			f.action = fmt.Sprintf("FAT %d, which counts, is copied, and they are kept alike", v.geo.ActiveFAT+1)
		}
		if v.geo.firstUnsound() {
			f.kind, f.stage = BadFAT, stageCopy
			f.action = fmt.Sprintf("FAT %d, which is sound, is copied", v.geo.ActiveFAT+1)
		}
		add(f)
	}
	faults := []func() (*fault, error){c.labelFault, c.infoFault, c.backupFault}
	boot, err := c.bootFault()
	if err != nil {
		return nil, err
	}
	if boot != nil { // what it says of the others is not to be relied on
		add(*boot)
		faults = nil
	}
	for _, look := range faults {
		f, err := look()
		if err != nil {
			return nil, err
		}
		if f != nil {
			add(*f)
		}
	}
	if v.keepDirty {
		f := fault{problem: problem{kind: NotClean}, stage: stageState, action: "the mark is removed", fix: func() error {
			v.keepDirty, v.flagged = false, true
			return nil
		}}
		if broken && c.opt.Repair {
			f.stage = stageNone // it stays for as long as something is left
		}
		add(f)
	}
	return out, nil
}

// reclaim frees or keeps what nobody uses.
func (c *checker) reclaim(keep bool) error {
	mode := RepairFree
	if keep {
		mode = RepairKeep
	}
	c.v.opt.Repair = mode
	r := &repair{v: c.v, log: &report{log: c.v.opt.Log}, halt: make(chan struct{})}
	err := r.leaks(c.scan)
	return errors.Join(err, c.settle())
}

func (c *checker) copyFATs() error {
	r := &repair{v: c.v, log: &report{log: c.v.opt.Log}, halt: make(chan struct{})}
	return r.copies()
}

// mirror ends that one of the FATs counts alone. Linux and fsck.fat do not look which one it is, and read the first.
func (c *checker) mirror() error {
	v := c.v
	for idx := v.tab.pageCount; idx > 0; idx-- {
		if _, err := v.copyPage(idx - 1); err != nil {
			return err
		}
	}
	if err := v.syncDevice(); err != nil {
		return err
	}
	boot := bytes.Clone(v.boot)
	putMirrored(boot)
	if err := v.replaceBoot(boot); err != nil {
		return err
	}
	v.geo.Mirrored = true
	return v.syncDevice()
}

// infoFault compares the FSInfo sector with the FAT.
func (c *checker) infoFault() (*fault, error) {
	v := c.v
	if v.geo.FSInfo == 0 {
		return nil, nil
	}
	sector := make([]byte, atom)
	if _, err := v.dev.ReadAt(sector, v.geo.FSInfo); err != nil {
		return nil, fmt.Errorf("read FSInfo: %w", err)
	}
	f := &fault{problem: problem{kind: BadInfo}, stage: stageState, action: "it is put right"}
	info, err := ParseFSInfo(sector, v.geo.Clusters)
	le := binary.LittleEndian
	switch {
	case err != nil:
		f.text = err.Error()
	case le.Uint32(sector[offFreeCount:]) != FSInfoUnknown && info.Free != c.space.free:
		f.text = fmt.Sprintf("%d free clusters, the FAT has %d", le.Uint32(sector[offFreeCount:]), c.space.free)
	default:
		return nil, nil
	}
	f.fix = func() error {
		le.PutUint32(sector[offLeadSig:], fsiLeadSig)
		le.PutUint32(sector[offStrucSig:], fsiStrucSig)
		le.PutUint32(sector[offTrailSig-2:], fsiTrailSig<<16)
		FSInfo{Free: c.space.free, Next: info.Next}.Put(sector)
		v.info = sector
		if err := v.write(sector, v.geo.FSInfo); err != nil {
			return err
		}
		return v.syncDevice()
	}
	if err != nil {
		info.Next = FSInfoUnknown
	}
	return f, nil
}

// labelFault compares the label of the boot sector with that of the root directory, which counts. One that is in the
// boot sector alone, where some readers look only then, gets its entry.
func (c *checker) labelFault() (*fault, error) {
	v := c.v
	if v.geo.LabelOffset == 0 {
		return nil, nil
	}
	boot, root := v.geo.Label, c.scan.label
	f := &fault{problem: problem{kind: OtherLabel, text: fmt.Sprintf("%q", bytes.TrimRight(boot[:], "\x00 "))}, stage: stageState}
	want := soundLabel(boot)
	switch {
	case root != nil && *root == boot, root == nil && string(boot[:]) == noName:
		return nil, nil
	case root == nil && string(want[:]) == noName:
		f.action, f.fix = "there is none, and it says so", func() error { return v.bootLabel(want) }
	case root == nil:
		f.action = "the root directory gets it"
		f.fix = func() error {
			err := v.storeLabel(want, false)
			return errors.Join(err, c.settle())
		}
	default:
		f.action, f.fix = "that of the root directory is copied", func() error { return v.bootLabel(*root) }
	}
	return f, nil
}

// settle brings what the engine has changed to the medium, and forgets the root directory, which is read raw.
func (c *checker) settle() error {
	if err := c.v.drain(); err != nil {
		return err
	}
	c.v.meta.Lock()
	defer c.v.meta.Unlock()
	c.v.evict(c.v.root)
	return nil
}

// backupFault compares the boot sector with its backup, but for the mark that the volume is in use.
func (c *checker) backupFault() (*fault, error) {
	v := c.v
	if v.geo.BackupBoot == 0 {
		return nil, nil
	}
	boot, backup := make([]byte, atom), make([]byte, atom)
	if _, err := v.dev.ReadAt(boot, 0); err != nil {
		return nil, fmt.Errorf("read boot sector: %w", err)
	}
	if _, err := v.dev.ReadAt(backup, v.geo.BackupBoot); err != nil {
		return nil, fmt.Errorf("read backup of the boot sector: %w", err)
	}
	if at := v.geo.StateOffset; at > 0 && at < atom {
		boot[at] &^= stateDirty
		backup[at] &^= stateDirty
	}
	if bytes.Equal(boot, backup) {
		return nil, nil
	}
	return &fault{problem: problem{kind: BadBackup}, stage: stageState, action: "the boot sector, which is sound, is copied", fix: func() error {
		if err := v.write(boot, v.geo.BackupBoot); err != nil {
			return err
		}
		return v.syncDevice()
	}}, nil
}
