package fat

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"fatvol/image/device"
)

// RepairMode says what is done about the leftovers of a cut when a volume is opened that was not
// unmounted properly (repair=). docs/repair.md has what they are and how they are repaired while the
// volume is in use.
type RepairMode uint8

const (
	// RepairFree repairs; clusters that no file uses become free.
	RepairFree RepairMode = iota
	// RepairKeep repairs; chains that no file uses become files FSCKnnnn.REC of the root directory.
	RepairKeep
	// RepairNo leaves everything as it is.
	RepairNo
)

// repair is the repair of a volume under way.
type repair struct {
	v    *Volume
	log  *report
	halt chan struct{} // closed to end it before its time
	done chan struct{} // closed at its end
	// released is closed once clusters can be freed again.
	released chan struct{}
	state    atomic.Int32
	started  time.Time

	// Guarded by v.meta.
	// holding: until it is known which files have two names, nothing that was on the volume when it
	// was opened is freed.
	holding bool
	moved   []head // what got another name, or lost its own, since the scan began
	kept    []deadChain
	trims   []*Node
	wrote   []*Node           // files that changed; held
	named   map[Cluster]place // the names that files got since the volume was opened
}

// head is the start of a chain.
type head struct {
	first Cluster
	isDir bool
}

// RepairState is how far the repair of a volume is.
type RepairState int32

const (
	RepairNone    RepairState = iota // the volume was clean, or is not repaired
	RepairRunning                    // under way
	RepairDone                       // there is no leftover any more
	RepairDamage                     // there is damage, which the repair leaves alone
	RepairFailed                     // something could not be repaired now
)

func (s RepairState) String() string {
	return [...]string{"", "running", "done", "damage", "failed"}[s]
}

// Repair says how far the repair is that began when the volume was opened.
func (v *Volume) Repair() RepairState {
	r := v.repair.Load()
	if r == nil {
		return RepairNone
	}
	return RepairState(r.state.Load())
}

// Repaired is closed once the repair that began when the volume was opened is over, however it ended.
func (v *Volume) Repaired() <-chan struct{} {
	if r := v.repair.Load(); r != nil {
		return r.done
	}
	done := make(chan struct{})
	close(done)
	return done
}

// startRepair begins the repair of a volume that was found dirty. Nobody uses the volume yet.
func (v *Volume) startRepair() {
	v.aliases = nil
	if !v.keepDirty || v.opt.ReadOnly || v.geo.firstUnsound() {
		v.repair.Store(nil)
		return
	}
	v.aliases = make(map[Cluster]*Node)
	if v.opt.Repair == RepairNo {
		v.repair.Store(nil)
		return
	}
	r := &repair{v: v, log: &report{log: v.opt.Log}, halt: make(chan struct{}), done: make(chan struct{}),
		released: make(chan struct{}), holding: true, named: map[Cluster]place{}, started: time.Now()}
	r.state.Store(int32(RepairRunning))
	v.tab.touched = newClusterSet(v.tab.entries)
	v.repair.Store(r)
	v.work.Add(1)
	go r.run(v.tab)
}

// holds is the repair while nothing old may be freed, or nil. The caller holds v.meta.
func (v *Volume) holds() *repair {
	if r := v.repair.Load(); r != nil && r.holding {
		return r
	}
	return nil
}

// noteMoved has the scan look at n, whose name it may miss. The caller holds v.meta.
func (v *Volume) noteMoved(n *Node) {
	if r := v.holds(); r != nil && n.d.first != 0 {
		r.moved = append(r.moved, head{n.d.first, n.dir != nil})
	}
}

// noteRenamed has the repair know that the name that n has was just given to it. The caller holds v.meta.
func (v *Volume) noteRenamed(n *Node) {
	if r := v.repair.Load(); r != nil && v.Repair() == RepairRunning && n.dir == nil && n.d.first != 0 {
		r.named[n.d.first] = place{n.parent.dotdot(), n.slot}
	}
}

// errHalted ends a repair that was told to stop.
var errHalted = errors.New("the volume is being closed")

// alive waits for a device that went, and returns errHalted once the repair is to end.
func (r *repair) alive() error {
	for {
		select {
		case <-r.halt:
			return errHalted
		default:
		}
		if device.Check(r.v.dev) == nil {
			return nil
		}
		select {
		case <-r.halt:
		case <-time.After(repairPoll):
		}
	}
}

const (
	// repairPoll is how often a repair looks whether the device is back.
	repairPoll = 100 * time.Millisecond
	// repairRounds bounds how often the volume is looked through: what overflows the list of one scan
	// is left to the next.
	repairRounds = 12
	// repairWait is how long an operation that needs space waits for clusters held by the repair, how long after the
	// mount a sync waits for names, and how long Close waits for the repair to end.
	repairWait = 3 * time.Second
)

func (r *repair) run(tab *table) {
	defer r.v.work.Done()
	defer close(r.done)
	started := time.Now()
	state, err := r.rounds()
	if err != nil && !errors.Is(err, errHalted) {
		r.log.warn("repair: %v: what is left stays until the next mount", err)
		// Two names may lead to one file still: to remove one would take it from the other.
		if !errors.Is(err, ErrCorrupt) {
			_ = r.v.note(fmt.Errorf("%w: leftovers could not be repaired: %w", ErrCorrupt, err))
		}
	}
	r.release(nil)
	r.v.dirBuffer.Store(nil)
	tab.mu.Lock()
	tab.touched = nil
	tab.mu.Unlock()
	if err != nil {
		state = RepairFailed
	}
	if state == RepairDone {
		state = r.complete(started)
	}
	r.state.Store(int32(state))
}

// rounds repairs until a scan finds no more than it can list. What fails is tried again, as the device may
// have gone and come back.
func (r *repair) rounds() (RepairState, error) {
	last := errors.New("more is wrong than so many looks at the volume can list")
	for range repairRounds {
		again, state, err := false, RepairFailed, r.hold()
		if err == nil {
			again, state, err = r.round()
		}
		switch {
		case err == nil && !again:
			return state, nil
		case errors.Is(err, errHalted), errors.Is(err, ErrCorrupt):
			return RepairFailed, err
		case err != nil:
			last = err
			if err := r.pause(); err != nil {
				return RepairFailed, err
			}
		}
	}
	return RepairFailed, last
}

func (r *repair) pause() error {
	select {
	case <-r.halt:
		return errHalted
	case <-time.After(repairPoll):
		return r.alive()
	}
}

// round scans the volume and repairs what it finds. again: there may be more.
func (r *repair) round() (again bool, state RepairState, err error) {
	v := r.v
	s := v.newScan(r.alive)
	if err := r.scan(s); err != nil {
		return false, RepairFailed, err
	}
	if r.damaged(s) {
		return false, RepairDamage, nil
	}
	if err := r.parents(s); err != nil { // first: the way to a directory is found by ".."
		return false, RepairFailed, err
	}
	double := len(s.twice) > 0
	resolved, err := r.doubles(s)
	if err == nil && double {
		err = v.sync() // before anybody renames what had two names: one of them went, whoever removed it
	}
	if err != nil {
		return false, r.verdict(err), damageIsReported(err)
	}
	long, err := r.excess(s)
	if err != nil {
		return false, r.verdict(err), damageIsReported(err)
	}
	again = r.release(s) || s.overflow || resolved > 0
	if err := r.cutLong(long); err != nil {
		return false, RepairFailed, err
	}
	if err := r.orphans(s); err != nil {
		return false, RepairFailed, err
	}
	if again {
		return true, RepairRunning, nil
	}
	if err := r.empties(s); err != nil {
		return false, RepairFailed, err
	}
	// A name that was removed before the scan began, and of which the medium does not know yet, may lead to what
	// nobody uses: freed entries are written before names go.
	if err := v.sync(); err != nil {
		return false, RepairFailed, err
	}
	// Only a scan that saw everything knows what nobody uses.
	if err := r.leaks(s); err != nil {
		return false, RepairFailed, err
	}
	// Not drain: a file in use, which waits for a commit, may keep its place among the trims.
	if err := v.sync(); err != nil {
		return false, RepairFailed, err
	}
	if err := r.backup(); err != nil {
		return false, RepairFailed, err
	}
	return false, RepairDone, r.copies()
}

// errDamage says that a round met damage, which is reported already.
var errDamage = errors.New("damage")

func damageIsReported(err error) error {
	if errors.Is(err, errDamage) {
		return nil
	}
	return err
}

func (r *repair) verdict(err error) RepairState {
	if errors.Is(err, errDamage) {
		return RepairDamage
	}
	return RepairFailed
}

// scan looks through the volume until nothing has a name, or had one, that it has not seen.
func (r *repair) scan(s *scan) error {
	if err := s.run(); err != nil {
		return err
	}
	for {
		r.v.meta.Lock()
		moved := r.moved
		r.moved = nil
		r.v.meta.Unlock()
		if len(moved) == 0 {
			return nil
		}
		for _, h := range moved {
			if err := s.visit(h); err != nil {
				return err
			}
		}
		if err := s.drain(); err != nil {
			return err
		}
	}
}

// visit has the scan take in a chain whose name it may not have seen. Where it has seen one, that may be another.
func (s *scan) visit(h head) error {
	if !s.t.contains(h.first) {
		return nil
	}
	if s.heads.has(h.first) {
		return s.second(problem{first: h.first})
	}
	s.heads.add(h.first)
	if h.isDir && !s.dirs.has(h.first) {
		s.dirs.add(h.first)
		s.todo.add(h.first)
	}
	// Every old cluster of it is in use, whatever its size has become.
	_, err := s.walk(h.first, s.t.entries)
	return err
}

// hold begins another scan, unless nothing was freed since the last began.
func (r *repair) hold() error {
	v := r.v
	v.meta.RLock()
	holding := r.holding
	v.meta.RUnlock()
	if holding {
		return nil
	}
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	for v.plan != nil {
		if err := v.commit(); err != nil {
			return err
		}
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	v.tab.mu.Lock()
	v.tab.touched = newClusterSet(v.tab.entries)
	v.tab.mu.Unlock()
	r.holding = true
	r.kept = append(v.dead, v.epoch.dead...)
	v.dead, v.epoch.dead = nil, nil
	r.moved = nil
	for _, d := range r.kept {
		r.moved = append(r.moved, head{d.first, false})
	}
	for n := range v.orphans {
		r.moved = append(r.moved, head{n.d.first, false})
	}
	// Of these the slots do not say yet where their clusters are, and who has touched these is forgotten.
	for _, n := range v.epoch.nodes {
		r.moved = append(r.moved, head{n.d.first, n.dir != nil})
	}
	return nil
}

// release lets clusters be freed again. Chains that were given up while it was not known whether another
// name leads to them are freed now, unless one did: then dropped, since another scan has to look whether
// it still does.
func (r *repair) release(s *scan) (dropped bool) {
	v := r.v
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	v.meta.Lock()
	defer v.meta.Unlock()
	if !r.holding {
		return false
	}
	r.holding = false
	for _, d := range r.kept {
		shared := s == nil // who has not looked cannot know
		if s != nil {
			_, shared = s.twice[d.first]
		}
		if !shared {
			v.epoch.dead = append(v.epoch.dead, d)
		} else {
			v.tab.unbury(d.count)
			dropped = true
		}
	}
	v.epoch.trims = append(v.epoch.trims, r.trims...)
	if len(r.kept)+len(r.trims) > 0 {
		v.changed()
	}
	for _, n := range r.wrote {
		n.wrote = false
		n.refs.Add(-1)
		v.drop(n)
	}
	r.kept, r.trims, r.moved, r.wrote = nil, nil, nil, nil
	v.aliases = nil
	select {
	case <-r.released:
	default:
		close(r.released)
	}
	return dropped
}

// complete takes the mark of an improper unmount off, once everything is on the medium.
func (r *repair) complete(started time.Time) RepairState {
	v := r.v
	v.commitMu.Lock()
	v.keepDirty = false
	v.commitMu.Unlock()
	if v.opt.UseFree {
		if err := v.tab.recount(); err != nil {
			r.log.warn("repair: count free clusters: %v", err)
		}
	}
	v.wake()
	r.log.summary(time.Since(started))
	return RepairDone
}

// waitForRepair waits, within bounds, until clusters that a repair holds can be freed.
func (v *Volume) waitForRepair() {
	if r := v.repair.Load(); r != nil {
		v.awaitReleased(r, repairWait)
	}
}

// awaitNames waits until the repair has found what has two names, where n, or with nil any file, was changed before: an older name
// loses what it says of its file with the next cut. It waits within bounds, which begin with the mount: a large volume takes longer.
// The caller is not within an operation, for which Close would wait.
func (v *Volume) awaitNames(n *Node) {
	v.meta.RLock()
	r := v.holds()
	wait := r != nil && (n == nil && len(r.wrote) > 0 || n != nil && n.wrote)
	v.meta.RUnlock()
	if wait {
		v.awaitReleased(r, time.Until(r.started.Add(repairWait)))
	}
}

// awaitSingle waits, as awaitNames does, before n gets another name, or is changed for good: n may be one of two names of a file.
func (v *Volume) awaitSingle(n *Node) {
	v.meta.RLock()
	r := v.holds()
	wait := r != nil && !v.opt.noWait && n.id != rootID && (v.aliases[n.alias] == n || n.dir != nil && n.born == 0)
	v.meta.RUnlock()
	if wait {
		v.awaitReleased(r, time.Until(r.started.Add(repairWait)))
	}
}

// awaitSingleName is awaitSingle for what has a name.
func (v *Volume) awaitSingleName(dir *Node, name string) {
	v.meta.RLock()
	held := v.holds() != nil
	v.meta.RUnlock()
	if !held {
		return
	}
	if n, _, err := v.Lookup(dir, name); err == nil {
		v.awaitSingle(n)
		n.Release(1)
	}
}

// awaitReleased waits until r has found what has two names, or has ended, but not without the device, and not longer than within.
func (v *Volume) awaitReleased(r *repair, within time.Duration) {
	deadline := time.After(within)
	for device.Check(v.dev) == nil {
		select {
		case <-r.released:
			return
		case <-deadline:
			return
		case <-time.After(repairPoll / 5):
		}
	}
}

// endRepair ends the repair; with grace, it may come to its end by itself.
func (v *Volume) endRepair(grace bool) {
	r := v.repair.Load()
	if r == nil {
		return
	}
	if grace && device.Check(v.dev) == nil {
		select {
		case <-r.done:
		case <-time.After(repairWait):
		}
	}
	select {
	case <-r.halt:
	default:
		close(r.halt)
	}
	<-r.done
}
