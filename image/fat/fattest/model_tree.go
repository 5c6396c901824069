package fattest

import (
	"fmt"
	"path"
	"syscall"
	"time"
)

// expect is what the model allows op to give in its present state.
func (m *Model) expect(op Op) *want {
	switch op.Kind {
	case OpOpen:
		return m.open(op)
	case OpStat:
		return m.stat(op)
	case OpMkdir:
		return m.mkdir(op)
	case OpRmdir, OpUnlink:
		return m.remove(op)
	case OpRename:
		return m.rename(op)
	case OpTimes:
		return m.times(op)
	case OpAttr:
		return m.attributes(op)
	case OpTruncate:
		return m.truncatePath(op)
	case OpList:
		return m.list(op)
	case OpDirOpen:
		return m.dirOpen(op)
	case OpDirRead:
		return m.dirRead(op)
	case OpSync, OpStatfs:
		return &want{ok: true}
	default:
		return m.handleOp(op)
	}
}

// missing is what an operation on a path that leads nowhere gives. A name that no volume can hold
// may be reported as such.
func missing(path string, err syscall.Errno) *want {
	w := fails(err)
	if err == syscall.ENOENT {
		eachName(path, func(name string) {
			if e := checkNew(name); e != 0 {
				w.errs = append(w.errs, e)
			}
		})
	}
	return w
}

func eachName(path string, fn func(name string)) {
	for start, i := 0, 0; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			fn(path[start:i])
			start = i + 1
		}
	}
}

func (m *Model) open(op Op) *want {
	dir, name, n, err := m.find(op.Path)
	if n == nil {
		if err != syscall.ENOENT || dir == nil || op.Flags&Create == 0 {
			return missing(op.Path, err)
		}
		if bad := checkNew(name); bad != 0 {
			return fails(bad)
		}
		return &want{ok: true, need: m.growth(dir, name), full: m.rootFull(dir, name),
			apply: func(got Result, lo, hi time.Time) {
				f := &node{attr: attrArchive, attrMask: attrMask}
				f.touch(lo, hi)
				m.link(dir, name, f)
				m.setSlot(op, f)
			}}
	}
	switch {
	case op.Flags&Create != 0 && op.Flags&Excl != 0:
		w := fails(syscall.EEXIST)
		if bad := checkNew(name); bad != 0 {
			w.errs = append(w.errs, bad)
		}
		return w
	case n.dir:
		return fails(syscall.EISDIR)
	}
	return &want{ok: true, apply: func(got Result, lo, hi time.Time) {
		if op.Flags&Trunc != 0 {
			m.resize(n, 0)
			n.attrMask &^= attrArchive
			n.mayTouch(lo, hi)
		}
		m.setSlot(op, n)
	}}
}

func (m *Model) setSlot(op Op, n *node) {
	m.closeSlot(op.Slot)
	n.opens++
	m.slots[op.Slot] = &handle{n: n, append: op.Flags&Append != 0, direct: op.Flags&Direct != 0}
}

func (m *Model) closeSlot(slot int) {
	if h := m.slots[slot]; h != nil {
		if h.n.opens--; h.n.opens == 0 {
			h.n.ino, h.n.kept = 0, false
		}
		delete(m.slots, slot)
	}
}

func (m *Model) stat(op Op) *want {
	_, _, n, err := m.find(op.Path)
	if n == nil {
		return missing(op.Path, err)
	}
	return &want{ok: true, check: func(got Result) error { return m.checkStat(n, got.Stat) }}
}

// checkStat compares what a target says about a node with what is known.
func (m *Model) checkStat(n *node, s Stat) error {
	if s.IsDir != n.dir {
		return fmt.Errorf("stat: directory %v, want %v", s.IsDir, n.dir)
	}
	if !n.accessed.IsZero() && !s.Accessed.Equal(n.accessed) {
		return fmt.Errorf("stat: access time %v, want %v", s.Accessed.UTC(), n.accessed)
	}
	if mask := n.attrMask & s.AttrMask; (s.Attr^n.attr)&mask != 0 {
		return fmt.Errorf("stat: attributes %#x, want %#x (of %#x)", s.Attr&mask, n.attr&mask, mask)
	}
	if n.dir {
		return nil
	}
	links := uint32(1)
	if n.parent == nil {
		links = 0
	}
	full := m.clusters(n.size) * int64(m.ClusterSize)
	switch {
	case s.Size != n.size:
		return fmt.Errorf("stat: size %d, want %d", s.Size, n.size)
	case s.Links != links:
		return fmt.Errorf("stat: %d links, want %d", s.Links, links)
	case s.Modified.Before(n.mlo) || s.Modified.After(n.mhi):
		return fmt.Errorf("stat: modification time %v, want %v to %v", s.Modified.UTC(), n.mlo, n.mhi)
	case s.Allocated < full || s.Allocated > full && n.opens == 0 && !m.LateClose:
		return fmt.Errorf("stat: %d bytes allocated, size %d needs %d", s.Allocated, n.size, full)
	case n.ino != 0 && s.Ino != n.ino:
		return fmt.Errorf("stat: inode %d of an open file, was %d", s.Ino, n.ino)
	}
	if n.opens > 0 {
		n.ino = s.Ino
	}
	return nil
}

func (m *Model) mkdir(op Op) *want {
	dir, name, n, err := m.find(op.Path)
	if n != nil {
		w := fails(syscall.EEXIST)
		if bad := checkNew(name); bad != 0 && n.parent != nil {
			w.errs = append(w.errs, bad)
		}
		return w
	}
	if dir == nil {
		return missing(op.Path, err)
	}
	if bad := checkNew(name); bad != 0 {
		return fails(bad)
	}
	return &want{ok: true, need: m.growth(dir, name) + 1, full: m.rootFull(dir, name),
		apply: func(got Result, lo, hi time.Time) {
			m.link(dir, name, &node{dir: true, kids: map[string]*node{}, attrMask: attrReadOnly | attrHidden | attrSystem})
		}}
}

func (m *Model) remove(op Op) *want {
	_, _, n, err := m.find(op.Path)
	switch {
	case n == nil:
		return missing(op.Path, err)
	case n == m.root:
		return fails(syscall.EBUSY, syscall.EINVAL, syscall.EISDIR, syscall.ENOTEMPTY)
	case op.Kind == OpUnlink && n.dir:
		return fails(syscall.EISDIR)
	case op.Kind == OpRmdir && !n.dir:
		return fails(syscall.ENOTDIR)
	case op.Kind == OpRmdir && len(n.kids) > 0:
		return fails(syscall.ENOTEMPTY)
	}
	return &want{ok: true, apply: func(Result, time.Time, time.Time) { m.unlink(n) }}
}

func (m *Model) rename(op Op) *want {
	_, _, src, err1 := m.find(op.Path)
	dir, name, dst, err2 := m.find(op.To)
	if src == m.root || dst == m.root {
		return fails(syscall.EBUSY, syscall.EINVAL, syscall.EEXIST, syscall.ENOTEMPTY)
	}
	noReplace, exchange := op.Flags&NoReplace != 0, op.Flags&Exchange != 0
	// Whatever is wrong may be what is reported.
	w := &want{}
	wrong := func(errs ...syscall.Errno) { w.errs = append(w.errs, errs...) }
	if noReplace && exchange {
		wrong(syscall.EINVAL)
	}
	if src == nil {
		wrong(missing(op.Path, err1).errs...)
	}
	if dir == nil {
		wrong(missing(op.To, err2).errs...)
	}
	if dst == nil && exchange {
		wrong(missing(op.To, err2).errs...)
	}
	if dst != nil && noReplace {
		wrong(syscall.EEXIST)
	}
	if dir != nil && src != nil && dir.within(src) {
		wrong(syscall.EINVAL)
	}
	if src != nil && dst != nil && src != dst {
		switch {
		case exchange && src.within(dst):
			wrong(syscall.EINVAL)
		case exchange:
		case src.within(dst):
			wrong(syscall.ENOTEMPTY)
			if !src.dir {
				wrong(syscall.EISDIR)
			}
		case src.dir && !dst.dir:
			wrong(syscall.ENOTDIR)
		case !src.dir && dst.dir:
			wrong(syscall.EISDIR)
		case dst.dir && len(dst.kids) > 0:
			wrong(syscall.ENOTEMPTY)
		}
	}
	if bad := checkNew(name); dir != nil && bad != 0 && !(exchange && dst != nil) {
		// Where a file is not renamed to itself at all, its new name does not matter.
		w.ok = m.NoRespell && src != nil && src == dst && w.errs == nil
		wrong(bad)
	}
	if w.ok || w.errs == nil {
		w.ok = true
		w.need, w.full = m.growth(dir, name), m.rootFull(dir, name)
		w.apply = func(Result, time.Time, time.Time) { m.move(src, path.Base(op.Path), dir, name, dst, exchange) }
	}
	return w
}

func (m *Model) move(src *node, oldName string, dir *node, name string, dst *node, exchange bool) {
	switch {
	case src == dst && (exchange || m.NoRespell):
	case exchange:
		// Each keeps the spelling that the other's place had.
		a, an, b, bn := src.parent, src.name, dst.parent, dst.name
		srcAlt, dstAlt := append(dst.alt, storedName(name)), append(src.alt, storedName(oldName))
		m.unlink(src)
		m.unlink(dst)
		m.link(b, bn, src)
		m.link(a, an, dst)
		src.alt, dst.alt = srcAlt, dstAlt
		m.mayList(src)
		m.mayList(dst)
	default:
		var alt []string
		if dst != nil && dst != src {
			// The entry of the target may be kept, and its spelling with it.
			alt = append(dst.alt, dst.name)
			m.unlink(dst)
		}
		m.unlink(src)
		m.link(dir, name, src)
		src.alt = alt
		m.mayList(src)
	}
}

// mayList: the listings under way may show n under any of its spellings.
func (m *Model) mayList(n *node) {
	for _, l := range m.lists {
		for _, name := range n.alt {
			l.may[name] = true
		}
	}
}

func (m *Model) times(op Op) *want {
	_, _, n, err := m.find(op.Path)
	if n == nil {
		return missing(op.Path, err)
	}
	if n == m.root {
		return &want{ok: true}
	}
	return &want{ok: true, apply: func(Result, time.Time, time.Time) {
		t := time.Unix(op.Off, 0)
		n.touch(t, t)
		if n.accessed = roundAccess(time.Unix(op.Off2, 0)); n.read && m.LateReads {
			n.accessed = time.Time{}
		}
	}}
}

func (m *Model) attributes(op Op) *want {
	_, _, n, err := m.find(op.Path)
	if n == nil {
		return missing(op.Path, err)
	}
	if n == m.root {
		return &want{ok: true, errs: []syscall.Errno{syscall.EINVAL, syscall.EPERM}}
	}
	return &want{ok: true, apply: func(Result, time.Time, time.Time) {
		known := byte(attrReadOnly | attrHidden | attrSystem | attrArchive)
		if n.dir {
			known &^= attrArchive
		}
		n.attr, n.attrMask = byte(op.Flags)&known, known
	}}
}
