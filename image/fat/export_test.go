package fat

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
