package fat

import "fmt"

// NotWaiting has renames not wait until the repair has found what has two names, as they do some seconds after the mount.
func (o Options) NotWaiting() Options { o.noWait = true; return o }

// DropCachedFAT forgets what is read of the FAT and not needed, as happens by itself when much else is read.
func (v *Volume) DropCachedFAT() {
	t := v.tab
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.clock[:0]
	for _, p := range t.clock {
		if p.pins > 0 || p.dirty != 0 {
			kept = append(kept, p)
		} else {
			delete(t.pages, p.idx)
		}
	}
	t.clock, t.hand = kept, 0
}

// CheckLongest compares what the allocator knows of the runs that begin in each page of the FAT with what is there. It
// returns of how many pages something is known.
func (v *Volume) CheckLongest() (known int, err error) {
	t := v.tab
	t.mu.Lock()
	defer t.mu.Unlock()
	for idx := range t.pageCount {
		bound, ok := t.longestLocked(idx)
		if !ok {
			continue
		}
		known++
		p, err := t.pageLocked(idx)
		if err != nil {
			return known, err
		}
		for i := uint32(0); ; {
			s, n := t.scanPageLocked(p, i, t.perPage)
			if n == 0 {
				break
			}
			if s+n == t.perPage {
				if n, err = t.continueLocked(idx+1, n, t.entries); err != nil {
					return known, err
				}
			}
			if n > bound {
				return known, fmt.Errorf("page %d: %d free clusters from its entry %d on, known: at most %d", idx, n, s, bound)
			}
			i = min(s+n, t.perPage)
		}
	}
	return known, nil
}

// QueuedDirs is how many directories the evictor remembers.
func (v *Volume) QueuedDirs() int {
	v.meta.RLock()
	defer v.meta.RUnlock()
	return len(v.loadedDirs)
}

// Windows is how many files have clusters kept for their next append.
func (v *Volume) Windows() int {
	v.tab.mu.Lock()
	defer v.tab.mu.Unlock()
	return len(v.tab.windows)
}

// PinnedFAT is how many pages of the FAT have to stay in memory.
func (v *Volume) PinnedFAT() (pinned int) {
	v.tab.mu.Lock()
	defer v.tab.mu.Unlock()
	for _, p := range v.tab.clock {
		if p.pins > 0 {
			pinned++
		}
	}
	return pinned
}

// Cool is what the background does about files that were written lately.
func (v *Volume) Cool() bool { return v.cool() }

// Ending reports whether somebody waits for the end of all calls.
func (v *Volume) Ending() bool {
	if !v.life.TryRLock() {
		return true
	}
	v.life.RUnlock()
	return false
}
