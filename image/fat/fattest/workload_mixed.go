package fattest

import (
	"fmt"
	"slices"
	"strings"
)

// mixed does all sorts of things to a few paths, at random.
func mixed(s *Scene) {
	m := &mixture{Scene: s, paths: map[string]*mixedPath{}}
	for i := range 4 {
		dir := fmt.Sprintf("directory %d", i%2)
		if i > 1 {
			dir += "/below"
		}
		s.Mkdir(dir)
		for k := range 3 {
			m.add(fmt.Sprintf("%s/a file with a long name %d.text", dir, k))
			m.add(fmt.Sprintf("%s/SHORT%d.TXT", dir, k))
		}
	}
	for range 150 {
		m.step()
	}
	m.sync()
}

// mixture is what mixed knows of the volume.
type mixture struct {
	*Scene
	names []string
	paths map[string]*mixedPath
	spare int // directories that are there
}

// mixedPath is a name that may have a file.
type mixedPath struct {
	name   string
	now    *string  // the file's contents, nil where there is none
	since  []string // what it had at the last sync, and has had since
	absent bool     // it was not there at that sync, or at some time since
	unsure bool     // a cut may leave what it never was
}

func (m *mixture) add(name string) {
	m.names = append(m.names, name)
	m.paths[name] = &mixedPath{name: name, absent: true}
}

func (m *mixture) path() *mixedPath { return m.paths[m.names[m.rng.IntN(len(m.names))]] }

// will promises, before anything is done, what a path may have from now on.
func (m *mixture) will(p *mixedPath, now *string, unsure bool) {
	p.now, p.unsure = now, p.unsure || unsure
	if now == nil {
		p.absent = true
	} else {
		p.since = append(p.since, *now)
	}
	m.promise(Promise{Path: p.name, Any: p.unsure, Allowed: slices.Clone(p.since), Absent: p.absent})
}

// sync makes of what is there what has to be there.
func (m *mixture) sync() {
	m.Scene.Sync()
	m.synced()
}

// synced promises what is there. An epoch ends with every sync, of a file as well: everything is on the medium.
func (m *mixture) synced() {
	for _, name := range m.names {
		p := m.paths[name]
		p.since, p.absent, p.unsure = nil, p.now == nil, false
		if p.now != nil {
			p.since = []string{*p.now}
		}
		m.promise(Promise{Path: name, Allowed: slices.Clone(p.since), Absent: p.absent})
	}
}

func (m *mixture) step() {
	p, q := m.path(), m.path()
	switch m.rng.IntN(16) {
	case 0, 1, 2, 3:
		if p.now == nil {
			m.fill(p)
		} else {
			m.again(p)
		}
	case 4, 5, 6:
		m.move(p, q)
	case 7:
		m.swap(p, q)
	case 8:
		if p.now != nil {
			m.unlink(p)
		}
	case 9, 10:
		m.lengthen(p)
	case 11:
		m.resize(p)
	case 12:
		m.Mkdir(m.spareName(m.spare))
		m.spare++
	case 13:
		if m.spare > 0 {
			m.spare--
			m.Rmdir(m.spareName(m.spare))
		}
	default:
		m.sync()
	}
}

func (m *mixture) spareName(i int) string {
	return fmt.Sprintf("directory 0/a spare one, number %d", i)
}

// fill makes a file. Sometimes it is synced.
func (m *mixture) fill(p *mixedPath) {
	text := m.Data(m.rng.IntN(6000))
	p.since = append(p.since, "") // created, and not written yet
	m.will(p, &text, false)
	f := m.Create(p.name, text)
	if m.rng.IntN(3) == 0 {
		f.Sync()
		m.synced()
	}
	f.Close()
}

// again removes a file and makes another one of its name.
func (m *mixture) again(p *mixedPath) {
	m.unlink(p)
	m.fill(p)
}

func (m *mixture) unlink(p *mixedPath) {
	m.will(p, nil, false)
	m.Unlink(p.name)
}

// move renames p, over q where that is there.
func (m *mixture) move(p, q *mixedPath) {
	if p == q || p.now == nil {
		return
	}
	m.will(q, p.now, p.unsure)
	m.will(p, nil, false)
	m.Rename(p.name, q.name)
}

func (m *mixture) swap(p, q *mixedPath) {
	if p == q || p.now == nil || q.now == nil {
		return
	}
	a, b, unsure := p.now, q.now, p.unsure || q.unsure
	m.will(p, b, unsure)
	m.will(q, a, unsure)
	m.Exchange(p.name, q.name)
}

func (m *mixture) lengthen(p *mixedPath) {
	if p.now == nil || len(*p.now) > 20000 {
		return
	}
	more := m.Data(m.some(3000))
	all := *p.now + more
	m.will(p, &all, false)
	f := m.Open(p.name)
	f.Append(more)
	f.Close()
}

// resize makes a file shorter, or longer by zeros. What grows again before it was synced grows in place.
func (m *mixture) resize(p *mixedPath) {
	if p.now == nil {
		return
	}
	all := ofSize(*p.now, m.rng.IntN(len(*p.now)+1000))
	m.will(p, &all, true)
	f := m.Open(p.name)
	f.Truncate(len(all))
	f.Close()
}

// ofSize is what truncation to a size makes of contents.
func ofSize(all string, size int) string {
	all = all[:min(size, len(all))]
	return all + strings.Repeat("\x00", size-len(all))
}
