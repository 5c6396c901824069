package fattest

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// listed is the directory at op.Path, or the want of an operation that cannot list it.
func (m *Model) listed(op Op) (*node, *want) {
	_, _, n, err := m.find(op.Path)
	switch {
	case n == nil:
		return nil, missing(op.Path, err)
	case !n.dir:
		return nil, fails(syscall.ENOTDIR)
	}
	return n, nil
}

func (m *Model) list(op Op) *want {
	dir, bad := m.listed(op)
	if bad != nil {
		return bad
	}
	return &want{ok: true, check: func(got Result) error {
		seen := map[string]bool{}
		for _, e := range got.Entries {
			n := dir.kids[Fold(e.Name)]
			switch {
			case n == nil || !n.shows(e.Name):
				return fmt.Errorf("listing has %q, want %q", e.Name, dir.names())
			case n.dir != e.IsDir:
				return fmt.Errorf("listing: %q is a directory: %v, want %v", e.Name, e.IsDir, n.dir)
			case seen[e.Name]:
				return fmt.Errorf("listing has %q twice", e.Name)
			}
			seen[e.Name] = true
		}
		if len(seen) != len(dir.kids) {
			return fmt.Errorf("listing has %d entries, want %q", len(seen), dir.names())
		}
		return nil
	}, apply: func(Result, time.Time, time.Time) { dir.accessed = time.Time{} }}
}

func (n *node) names() []string {
	var out []string
	for _, k := range n.kids {
		out = append(out, k.name)
	}
	slices.Sort(out)
	return out
}

func (m *Model) dirOpen(op Op) *want {
	dir, bad := m.listed(op)
	if bad != nil {
		return bad
	}
	return &want{ok: true, apply: func(Result, time.Time, time.Time) {
		l := &listing{dir: dir, must: map[*node]bool{}, may: map[string]bool{}}
		for _, k := range dir.kids {
			l.must[k] = false
		}
		m.lists[op.Slot] = l
	}}
}

func (m *Model) dirRead(op Op) *want {
	l := m.lists[op.Slot]
	if l == nil {
		return fails(syscall.EBADF)
	}
	if l.dir.parent == nil && l.dir != m.root {
		// Removed meanwhile: an empty listing, or none.
		return &want{ok: true, errs: []syscall.Errno{syscall.ENOENT, syscall.ESTALE}, check: func(got Result) error {
			if len(got.Entries) > 0 && !l.may[got.Entries[0].Name] {
				return fmt.Errorf("a removed directory has %q", got.Entries[0].Name)
			}
			return nil
		}}
	}
	return &want{ok: true, check: l.check, apply: func(Result, time.Time, time.Time) { l.dir.accessed = time.Time{} }}
}

// check takes the next part of a listing.
func (l *listing) check(got Result) error {
	for _, e := range got.Entries {
		n := l.dir.kids[Fold(e.Name)]
		if n != nil && n.shows(e.Name) {
			if seen, stable := l.must[n]; stable {
				if seen {
					return fmt.Errorf("listing gives %q a second time", e.Name)
				}
				l.must[n] = true
				continue
			}
		}
		if !l.may[e.Name] {
			return fmt.Errorf("listing gives %q, which was not there since it began, but %q", e.Name, l.dir.names())
		}
	}
	if !got.End || l.done {
		return nil
	}
	l.done = true
	for n, seen := range l.must {
		if !seen {
			return fmt.Errorf("listing ends without %q", n.name)
		}
	}
	return nil
}
