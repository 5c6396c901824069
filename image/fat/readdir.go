package fat

import "fmt"

// An Entry is one name of a directory, as a listing shows it.
type Entry struct {
	Name   string
	IsDir  bool
	Ino    uint64
	Cookie uint64 // where a listing goes on after this entry

	v      *Volume
	slot   int32
	short  [11]byte
	ntCase byte
	long   bool
}

// Short is the plain 8.3 form of the name.
func (e *Entry) Short() string { return e.v.names.ShortText(e.short) }

// Pair is both forms of the name as the ioctls of Linux' vfat give them: the 8.3 one is spelled as it would be shown
// if it were the only one, and long is "" where it is.
func (e *Entry) Pair() (short, long string) {
	if e.long {
		long = e.Name
	}
	return e.v.names.ShowShort(e.short, e.ntCase), long
}

// ReadDir calls fn for the entries of dir after cookie, in the order of their slots and without "."
// and "..", until fn returns false. A cookie stays good while entries come and go: it is a place. The
// listing is complete, or there is an error. fn must not call the volume, nor keep e, which is the next entry afterwards.
func (v *Volume) ReadDir(dir *Node, cookie uint64, fn func(e *Entry) bool) error {
	return v.readDir(dir, func() {
		v.meta.RLock()
		defer v.meta.RUnlock()
		v.list(dir, cookie, fn)
	})
}

// ReadDirNodes is ReadDir which gives the node of each entry that fn took as well, with one more reference, or why there
// is none. Neither function may call the volume.
func (v *Volume) ReadDirNodes(dir *Node, cookie uint64, fn func(e *Entry) bool, found func(n *Node, err error)) error {
	return v.readDir(dir, func() {
		v.meta.Lock()
		defer v.meta.Unlock()
		v.list(dir, cookie, func(e *Entry) bool {
			if !fn(e) {
				return false
			}
			found(v.instantiate(dir, e.slot))
			return true
		})
	})
}

// readDir calls list while the contents of dir are in memory.
func (v *Volume) readDir(dir *Node, list func()) error {
	if err := v.enter(); err != nil {
		return fmt.Errorf("readdir: %w", err)
	}
	defer v.leave()
	if err := v.pin(dir); err != nil {
		return fmt.Errorf("readdir: %w", err)
	}
	defer v.unpin(dir)
	v.access(dir)
	list()
	return nil
}

// list calls fn for the entries of dir after cookie. The caller holds v.meta, shared or not.
func (v *Volume) list(dir *Node, cookie uint64, fn func(e *Entry) bool) {
	d := dir.dir
	var (
		lp LongParser
		e  = new(Entry)
	)
	i := min(int32(min(cookie, maxSlots)), d.slots())
	// A name that came meanwhile may lie across the place: it is read from its first slot on.
	for i > 0 && slotIsLong(d.slot(i-1)) {
		i--
	}
	for ; i < d.tail && i < d.slots(); i++ {
		s := d.slot(i)
		switch {
		case s[0] == slotEnd:
			return
		case s[0] == slotDeleted:
			lp.Reset()
			continue
		case slotIsLong(s):
			lp.Slot(s)
			continue
		}
		units, _, ok := lp.Take(shortOf(s))
		if dir.id != rootID && i < 2 && slotIsDot(s) || Attributes(s[11])&AttrVolumeID != 0 {
			continue
		}
		*e = Entry{v: v, slot: i, short: shortOf(s), ntCase: s[12], long: ok, Cookie: uint64(i) + 1,
			IsDir: Attributes(s[11])&AttrDirectory != 0}
		if ok {
			e.Name = v.names.ShowLong(units)
		} else {
			e.Name = v.names.ShowShort(e.short, s[12])
		}
		if n := d.kids[i]; n != nil {
			e.Ino = n.ino
		} else {
			e.Ino, _ = v.inoAt(dir, i)
		}
		if !fn(e) {
			return
		}
	}
}

// EntryNode returns the node of an entry that ReadDir showed, with one more reference, or ErrNotExist
// when it went meanwhile.
func (v *Volume) EntryNode(dir *Node, e *Entry) (*Node, error) {
	if err := v.enter(); err != nil {
		return nil, fmt.Errorf("lookup %q: %w", e.Name, err)
	}
	defer v.leave()
	if err := v.pin(dir); err != nil {
		return nil, fmt.Errorf("lookup %q: %w", e.Name, err)
	}
	defer v.unpin(dir)
	v.meta.Lock()
	defer v.meta.Unlock()
	d := dir.dir
	if e.slot >= d.tail || e.slot >= d.slots() || shortOf(d.slot(e.slot)) != e.short || d.shown(v, e.slot) != e.Name {
		return nil, fmt.Errorf("lookup %q: %w", e.Name, ErrNotExist)
	}
	n, err := v.instantiate(dir, e.slot)
	if err != nil {
		return nil, fmt.Errorf("lookup %q: %w", e.Name, err)
	}
	return n, nil
}

// Parent is the directory that holds dir; the root is its own. No reference is taken.
func (v *Volume) Parent(dir *Node) *Node {
	v.meta.RLock()
	defer v.meta.RUnlock()
	if dir.parent == nil {
		return dir
	}
	return dir.parent
}

// Names returns the name of n as listings show it, and its plain 8.3 form. Both are empty for the
// root and for what was unlinked.
func (n *Node) Names() (long, short string, err error) {
	if err := n.v.enter(); err != nil {
		return "", "", fmt.Errorf("names: %w", err)
	}
	defer n.v.leave()
	return n.listed()
}

// NamesAfter is Names as AttrAfter is Attr. It needs the directory in memory, where that is likely to be
// after a change.
func (n *Node) NamesAfter() (long, short string, err error) {
	if err := n.v.enterAfter(); err != nil {
		return "", "", fmt.Errorf("names: %w", err)
	}
	defer n.v.leave()
	return n.listed()
}

func (n *Node) listed() (long, short string, err error) {
	v := n.v
	for try := 0; try < maxTries; try++ {
		p := v.Parent(n)
		if p == n {
			return "", "", nil
		}
		if err := v.pin(p); err != nil {
			return "", "", fmt.Errorf("names: %w", err)
		}
		v.meta.RLock()
		same, slot := n.parent == p, n.slot
		if same && slot >= 0 {
			long, short = p.dir.shown(v, slot), v.names.ShortText(shortOf(p.dir.slot(slot)))
		}
		v.meta.RUnlock()
		v.unpin(p)
		if same {
			return long, short, nil
		}
	}
	return "", "", fmt.Errorf("names: %w", ErrNotExist)
}
