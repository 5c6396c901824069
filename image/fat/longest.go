package fat

// What is known of the pages of the FAT: of each, how long a run of allocatable clusters may begin there. So where free
// space is in many pieces, the search for a long one does not read the same entries again for each piece that it takes.

// longestLocked returns a bound for the runs that begin in a page. A page that nothing is known of has none.
func (t *table) longestLocked(idx uint32) (bound uint32, known bool) {
	n := t.longest[idx]
	return uint32(n) - 1, n > 0
}

// noteLongestLocked notes that the longest run that begins in a page has n clusters. Runs that may end behind the next
// page are not noted: roomierLocked would not find them.
func (t *table) noteLongestLocked(idx, n uint32) {
	if n < t.perPage {
		t.longest[idx] = uint16(n + 1)
	}
}

// roomierLocked forgets what is known where a cluster of the page becomes allocatable: of the page, and of the one before
// it, where a run may have ended at that cluster.
func (t *table) roomierLocked(idx uint32) {
	t.longest[idx] = 0
	if idx > 0 {
		t.longest[idx-1] = 0
	}
}
