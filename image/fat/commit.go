package fat

import (
	"errors"
	"fmt"
	"time"

	"fatvol/image/device"
)

const (
	// freePages bounds the pages of the FAT that one epoch changes to free clusters.
	freePages = 256
	// dirtyPages and dirtySlots are how much an epoch may change before operations wait for a commit.
	dirtyPages = 512
	dirtySlots = 1 << 14
)

// sync commits the open epoch and makes all data written so far durable. Callers that come while
// another commit runs share the next one.
func (v *Volume) sync() error {
	seq := v.dataSeq.Load()
	v.meta.RLock()
	want := v.epoch.id
	if !v.epoch.open {
		want--
	}
	v.meta.RUnlock()
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	if v.done < want {
		if err := v.commit(); err != nil {
			return err
		}
		if v.done < want { // what commit finished was an earlier plan that had failed
			if err := v.commit(); err != nil {
				return err
			}
		}
	}
	return v.syncUpTo(seq)
}

// commit writes the plan that is left from a failed commit, or else the open epoch. The caller holds
// v.commitMu.
func (v *Volume) commit() error {
	if v.plan == nil {
		if err := v.snapshot(); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	if v.plan == nil {
		return nil
	}
	if err := v.execute(v.plan); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	v.finish()
	return nil
}

// execute writes a plan from the first phase that is not completely on the medium. After an error it
// can be called again: each phase is written whole again, with the same bytes.
func (v *Volume) execute(p *plan) error {
	if p.flag != nil {
		// On the medium before the first change: what a cut leaves on a volume that is not
		// marked dirty, nobody looks for.
		if err := v.write(p.flag, 0); err != nil {
			return err
		}
		if err := v.syncUpTo(v.dataSeq.Load()); err != nil {
			return err
		}
		p.flag = nil
	}
	for p.next < phaseCount {
		ws := p.phases[p.next]
		if len(ws) > 0 && p.barrier[p.next] {
			if err := v.syncUpTo(p.need); err != nil {
				return err
			}
		}
		for _, w := range ws {
			if err := v.write(w.data, w.off); err != nil {
				return err
			}
		}
		if len(ws) > 0 {
			p.need = v.dataSeq.Load()
		}
		p.next++
	}
	return v.syncUpTo(p.need)
}

// finish takes over a plan that is on the medium: what it removed becomes free. The caller holds
// v.commitMu.
func (v *Volume) finish() {
	p := v.plan
	v.plan = nil
	v.done = p.id
	v.mirror = p.mirror
	v.dead = append(v.dead, p.dead...)
	if v.opt.Discard {
		for _, e := range p.freed {
			v.discard(e)
		}
	}
	v.tab.release(p.freed)

	v.meta.Lock()
	defer v.meta.Unlock()
	v.tab.mu.Lock()
	for _, pg := range p.pages {
		pg.pins--
	}
	v.tab.mu.Unlock()
	if err := v.freeDead(); err != nil && v.noted.first(err.Error()) {
		v.opt.Log.Error("cannot free clusters yet", "error", err)
	}
	for _, pd := range p.dirs {
		d := pd.n.dir
		d.inPlan = false
		for at, n := range pd.freed {
			d.addHole(at, n)
		}
		if !pd.n.unlinked {
			v.trimTail(pd.n)
			v.wantTrim(pd.n)
		}
	}
	for _, n := range p.nodes {
		n.inPlan = false
		v.drop(n)
	}
	for _, pd := range p.dirs {
		if pd.n.refs.Load() <= 0 {
			v.drop(pd.n)
		}
	}
	v.evictDirs()
	if len(v.mirror) > 0 || len(v.dead) > 0 {
		v.wake()
	}
}

// freeDead zeroes, in memory, entries of chains that nothing on the medium refers to; the open epoch
// writes them. The caller holds v.commitMu and v.meta.
func (v *Volume) freeDead() error {
	v.tab.mu.Lock()
	rest, freed, err := v.tab.freeLocked(v.dead, freePages, true)
	v.tab.mu.Unlock()
	v.dead = rest
	v.quarantine = append(v.quarantine, freed...)
	if len(freed) > 0 {
		v.changed()
	}
	if errors.Is(err, ErrCorrupt) {
		v.note(err)
		return nil
	}
	return err
}

// wantTrim has the next commit look whether directory n has clusters to give back.
func (v *Volume) wantTrim(n *Node) {
	d := n.dir
	if n.chain == nil || !d.loaded {
		return
	}
	need := (int(d.tail)*slotSize + v.geo.ClusterSize - 1) >> v.geo.ClusterShift
	if have := len(d.data) >> v.geo.ClusterShift; have > max(1, need) {
		v.trimLater(n)
	}
}

// discard gives the storage of freed clusters back to the host, which may not be able to.
func (v *Volume) discard(e extent) {
	err := device.DiscardAt(v.dev, v.clusterOffset(e.start), int64(e.n)<<v.geo.ClusterShift)
	if err != nil && v.noted.first("discard") {
		v.opt.Log.Warn("cannot discard freed clusters", "error", err)
	}
}

// settled reports whether everything is on the medium, down to the freed entries and the copies of
// the FAT. The caller holds v.commitMu.
func (v *Volume) settled() bool {
	v.meta.RLock()
	defer v.meta.RUnlock()
	return v.plan == nil && !v.epoch.open && len(v.epoch.trims) == 0 && len(v.dead) == 0 && len(v.mirror) == 0
}

// Pending reports whether there are changes of names, sizes, times or the FAT that are in memory only. It
// does not wait for the medium: while a commit is under way there are.
func (v *Volume) Pending() bool {
	if v.opt.ReadOnly {
		return false
	}
	if !v.commitMu.TryLock() {
		return true
	}
	defer v.commitMu.Unlock()
	return !v.settled()
}

// drain commits until nothing is left to write.
func (v *Volume) drain() error {
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	for !v.settled() {
		if err := v.commit(); err != nil {
			return err
		}
	}
	return v.syncUpTo(v.dataSeq.Load())
}

// reclaim makes clusters that were freed usable at once.
func (v *Volume) reclaim() error {
	v.waitForRepair()
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	for tried := false; ; {
		v.meta.RLock()
		// A file that is in use, perhaps by the caller, keeps its place among the trims: try once.
		more := len(v.dead) > 0 || len(v.epoch.dead) > 0 || len(v.quarantine) > 0 || len(v.epoch.trims) > 0 && !tried ||
			v.plan != nil && (len(v.plan.dead) > 0 || len(v.plan.freed) > 0)
		tried = tried || v.plan == nil && !v.epoch.spare // else this commit does not look at them
		v.meta.RUnlock()
		if !more {
			return nil
		}
		if err := v.commit(); err != nil {
			return err
		}
	}
}

// throttleChange is throttle for a change of n's entry.
func (v *Volume) throttleChange(n *Node) error {
	if err := v.throttle(); err != nil {
		return err
	}
	return v.holdParent(n)
}

// throttle makes the caller wait for a commit when the open epoch has changed as much as memory is
// meant to hold.
func (v *Volume) throttle() error {
	v.meta.RLock()
	slots := v.epoch.slots
	v.meta.RUnlock()
	v.tab.mu.Lock()
	pages := v.tab.dirtyN
	v.tab.mu.Unlock()
	if slots < dirtySlots && pages < dirtyPages {
		return nil
	}
	return v.sync()
}

// markClean writes the free count and takes the dirty flag off a volume on which everything is
// settled.
func (v *Volume) markClean() error {
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	if err := v.putInfo(); err != nil {
		return err
	}
	if !v.flagged && !v.unmarked || v.keepDirty || !v.settled() || v.hasOrphans() || v.keepers.Load() > 0 {
		return v.syncUpTo(v.dataSeq.Load())
	}
	if err := v.syncUpTo(v.dataSeq.Load()); err != nil {
		return err
	}
	// Whatever happens from here on, the next commit sets the flag again; and without one, this is begun anew.
	v.flagged, v.unmarked = false, true
	if v.tab.w.clean != 0 {
		img, err := v.tab.cleanAtom()
		if err != nil || img == nil {
			return err
		}
		for k := 0; k < v.geo.FATs; k++ {
			if !v.geo.Mirrored && k != v.geo.ActiveFAT {
				continue
			}
			if err := v.write(img, v.geo.FATStart+int64(k)*v.geo.FATBytes); err != nil {
				return err
			}
		}
		// The copies are equal again before the boot sector says that they are.
		if err := v.syncUpTo(v.dataSeq.Load()); err != nil {
			return err
		}
	}
	if v.geo.StateOffset > 0 && v.geo.StateOffset < len(v.boot) {
		v.boot[v.geo.StateOffset] &^= stateDirty
		if err := v.write(v.boot, 0); err != nil {
			return err
		}
	}
	if err := v.syncDevice(); err != nil {
		return err
	}
	v.unmarked = false
	return nil
}

// hasOrphans reports whether there are files without a name, whose clusters a cut would leak.
func (v *Volume) hasOrphans() bool {
	v.meta.RLock()
	defer v.meta.RUnlock()
	return len(v.orphans) > 0
}

// cleanAtom is the first atom of the FAT with the clean-shutdown bit set, in memory as well; nil when something in it has
// changed since everything was settled.
func (t *table) cleanAtom() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.pageLocked(0)
	if err != nil {
		return nil, err
	}
	if p.dirty&1 != 0 {
		return nil, nil
	}
	t.w.set(p.data, 1, t.w.get(p.data, 1)|t.w.clean)
	return t.renderLocked(p, 0, phaseBody), nil
}

// putInfo writes the FSInfo sector of a settled volume where it changed.
func (v *Volume) putInfo() error {
	if v.info == nil || !v.settled() {
		return nil
	}
	info := FSInfo{Free: FSInfoUnknown, Next: FSInfoUnknown}
	v.tab.mu.Lock()
	if v.tab.counted >= v.tab.pageCount {
		info.Free = uint32(max(0, v.tab.zero))
	}
	if v.tab.contains(v.tab.hint) {
		info.Next = uint32(v.tab.hint)
	}
	v.tab.mu.Unlock()
	if !v.flagged && !v.infoStale || info.Free == FSInfoUnknown && !v.flagged {
		return nil
	}
	// It is written from memory: the medium may be gone for good, and what it lacks be kept elsewhere.
	info.Put(v.info)
	if err := v.write(v.info, v.geo.FSInfo); err != nil {
		return fmt.Errorf("write FSInfo: %w", err)
	}
	v.infoStale = false
	return nil
}

// committer commits in the background: a little after the first change of an epoch, again until
// everything is settled, and once nothing has happened for a while it marks the volume clean.
func (v *Volume) committer() {
	defer v.work.Done()
	delay := v.opt.CommitDelay
	if delay < 0 {
		<-v.stop
		return
	}
	const idleRounds = 4 // quiet delays before the volume is marked clean
	timer := time.NewTimer(0)
	<-timer.C
	armed, quiet, failed, wait := false, 0, 0, delay
	for {
		select {
		case <-v.stop:
			return
		case <-v.kick:
			if !armed {
				timer.Reset(wait)
				armed = true
			}
			continue
		case <-timer.C:
		}
		armed = false
		if v.kicked.Swap(false) {
			quiet = 0
		}
		again, err := v.background(quiet >= idleRounds)
		if wait = delay; err != nil && device.Check(v.dev) == nil {
			// What fails may need time: ask less and less often. An operation that syncs does
			// not wait for this; and while the device is gone, asking costs nothing.
			failed++
			wait = min(delay<<min(failed, 10), max(maxBackoff, delay))
		} else {
			failed = 0
		}
		quiet++
		if err != nil || again {
			timer.Reset(wait)
			armed = true
		}
	}
}

const maxBackoff = 30 * time.Second

// background does one round of the committer, and reports whether another should follow.
func (v *Volume) background(idle bool) (again bool, err error) {
	if err := device.Check(v.dev); err != nil {
		return true, err
	}
	v.commitMu.Lock()
	settled := v.settled()
	if !settled {
		err = v.commit()
	}
	v.commitMu.Unlock()
	hot := v.cool()
	if err == nil && settled && idle && !hot {
		return false, v.backgroundError(v.markClean())
	}
	return true, v.backgroundError(err)
}

// backgroundError logs a failure of the committer once, and has each open handle report it.
func (v *Volume) backgroundError(err error) error {
	if was := v.failing.Swap(err != nil); err == nil || was {
		return err
	}
	v.failures.record(err)
	// That a medium is gone is said by whoever watches it, in one line.
	if v.Alive() == nil && v.noted.first(err.Error()) && !errors.Is(err, ErrClosed) {
		v.opt.Log.Error("cannot write changes to the volume; they are kept and tried again", "error", err)
	}
	return err
}
