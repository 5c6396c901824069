package mkfat

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

const (
	// maxLinks bounds the links that lead to one another, as Linux does.
	maxLinks = 40
	// maxCopies bounds the files that links add: those in a small archive can stand for endlessly many.
	maxCopies = 1 << 20
)

var errTooMany = errors.New("symbolic links lead to too many files")

// tarLinks puts what symbolic links lead to in their place, within an archive.
type tarLinks struct {
	targets map[*Node]string // where the links lead
	byPath  map[string]*Node
	origin  map[*Node]*Node // what a node is a copy of
}

// resolve goes through a directory; above are those on the way to it.
func (l *tarLinks) resolve(d *Node, above []*Node) {
	above = append(above[:len(above):len(above)], l.original(d))
	for i, n := range d.Children {
		if _, is := l.targets[n]; is {
			to, err := l.follow(n, above)
			if err == nil && len(l.origin) > maxCopies {
				err = errTooMany
			}
			if err != nil {
				d.Children[i] = &Node{Name: n.Name, Refused: err}
				continue
			}
			to = l.copy(to)
			to.Name = n.Name
			d.Children[i], n = to, to
		}
		if n.Dir {
			l.resolve(n, above)
		}
	}
}

func (l *tarLinks) original(n *Node) *Node {
	if o := l.origin[n]; o != nil {
		return o
	}
	return n
}

// follow finds the file or directory that a link leads to.
func (l *tarLinks) follow(link *Node, above []*Node) (*Node, error) {
	links := 0
	to, err := l.walk(link.parent, l.targets[link], &links)
	if err != nil {
		return nil, err
	}
	for _, up := range above {
		if up == to {
			return nil, errLoop
		}
	}
	return to, nil
}

// walk goes from a directory to where a link in it leads, as a kernel does: through the links on the way, which it
// counts, and up from where they have led.
func (l *tarLinks) walk(at *Node, target string, links *int) (*Node, error) {
	if *links++; *links > maxLinks {
		return nil, fmt.Errorf("%w that leads to itself", errSymlink)
	}
	if path.IsAbs(target) {
		return nil, fmt.Errorf("%w out of the archive, to %q", errSymlink, target)
	}
	for elem := range strings.SplitSeq(target, "/") {
		switch {
		case elem == "..":
			if at = at.parent; at == nil {
				return nil, fmt.Errorf("%w out of the archive, to %q", errSymlink, target)
			}
			continue
		case elem == "", elem == ".":
			continue
		}
		next := l.byPath[path.Join(at.path(), elem)]
		if next == nil {
			return nil, fmt.Errorf("%w to %q, which is not in the archive", errSymlink, target)
		}
		if further, is := l.targets[next]; is {
			var err error
			if next, err = l.walk(at, further, links); err != nil {
				return nil, err
			}
		}
		at = next
	}
	return at, nil
}

// copy is a node of its own, with all that is below. The links in it lead where they led from their first
// place, which parent still is.
func (l *tarLinks) copy(n *Node) *Node {
	c := *n
	l.origin[&c] = l.original(n)
	if target, is := l.targets[n]; is {
		l.targets[&c] = target
	}
	c.Children = make([]*Node, 0, len(n.Children))
	for _, below := range n.Children {
		if len(l.origin) > maxCopies {
			return &Node{Name: n.Name, Refused: errTooMany}
		}
		c.Children = append(c.Children, l.copy(below))
	}
	return &c
}
