package mkfat

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"fatvol/image/fat"
)

// A Node is a file or directory that is to be stored. New fills in what is unexported.
type Node struct {
	Name     string
	Dir      bool
	Size     int64     // of a file
	ModTime  time.Time // zero is Options.Now
	ReadOnly bool
	// Open gives the contents of a file, of Size bytes at least. A file of no bytes is not opened.
	Open     func() (Contents, error)
	Children []*Node // of a directory, in the order in which they are stored
	// Refused, unless nil, is why FAT cannot hold this: it is no file or directory.
	Refused error

	name     fat.Name
	short    [11]byte
	parent   *Node
	first    fat.Cluster
	clusters uint32
	slots    int // of a directory, with the dots and the label
}

// Contents are the bytes of a file. They may be read by several goroutines at a time.
type Contents interface {
	io.ReaderAt
	io.Closer
}

// path is the node's name from the root of the tree, without a slash before it.
func (n *Node) path() string {
	if n.parent == nil {
		return n.Name
	}
	if up := n.parent.path(); up != "" {
		return up + "/" + n.Name
	}
	return n.Name
}

// A Refusal is something in a tree that FAT cannot hold.
type Refusal struct {
	Path string
	Err  error
}

// A RefusedError lists all of a tree that FAT cannot hold.
type RefusedError struct{ Refusals []Refusal }

func (e *RefusedError) Error() string {
	if len(e.Refusals) == 1 {
		return fmt.Sprintf("FAT cannot hold %q: %v", e.Refusals[0].Path, e.Refusals[0].Err)
	}
	return fmt.Sprintf("FAT cannot hold %d of the files", len(e.Refusals))
}

// checker goes through a tree and takes out of it what cannot be stored.
type checker struct {
	names   *fat.Names
	refused []Refusal
}

func (c *checker) refuse(n *Node, err error) {
	c.refused = append(c.refused, Refusal{n.path(), err})
}

// dir checks what is in a directory, names it for the volume, and counts its slots. extra are those
// of the directory itself.
func (c *checker) dir(d *Node, extra int) {
	keys := make(map[string]*Node, len(d.Children))
	kept := make([]*Node, 0, len(d.Children))
	d.slots = extra
	for _, n := range d.Children {
		n.parent = d
		if err := c.node(n, keys); err != nil {
			c.refuse(n, err)
			if n.Dir {
				c.dir(n, 2) // what else there is to say
			}
			continue
		}
		slots := 1
		if !n.name.Exact {
			slots += fat.LongSlots(n.name.Units)
		}
		if d.slots+slots > fat.MaxDirSlots {
			c.refuse(n, fmt.Errorf("the directory is full: it holds %d entries, and long names take several", fat.MaxDirSlots))
			continue
		}
		d.slots += slots
		keys[n.name.Key] = n
		kept = append(kept, n)
	}
	d.Children = kept
	c.aliases(d, keys)
	for _, n := range kept {
		if n.Dir {
			c.dir(n, 2)
		}
	}
}

func (c *checker) node(n *Node, keys map[string]*Node) error {
	if n.Refused != nil {
		return n.Refused
	}
	// The mark of escapes, by which mounts show names that are damaged: a new volume has none.
	if strings.ContainsRune(n.Name, ':') {
		return fmt.Errorf("character ':' is not allowed: %w", fat.ErrName)
	}
	var err error
	if n.name, err = c.names.Parse(n.Name); err != nil {
		return withoutName(err, n.Name)
	}
	if other := keys[n.name.Key]; other != nil {
		return fmt.Errorf("the same name as %q to FAT, which does not tell upper from lower case", other.Name)
	}
	if !n.Dir && n.Size > fat.MaxFileSize {
		return fmt.Errorf("%s: %w: at most 4 GiB less one byte", Bytes(n.Size), fat.ErrTooBig)
	}
	return nil
}

// withoutName takes the name off an error of Parse, as the path is told with it.
func withoutName(err error, name string) error {
	return &trimmed{strings.TrimPrefix(err.Error(), fmt.Sprintf("name %q: ", name)), err}
}

type trimmed struct {
	text string
	err  error
}

func (e *trimmed) Error() string { return e.text }
func (e *trimmed) Unwrap() error { return e.err }

// aliases gives each entry its short name. Names that are short names themselves come first; no alias
// is the name of another file in any spelling. It takes one or a few tries for each name, also where
// thousands begin alike, as the digits of an alias come from the whole name.
func (c *checker) aliases(d *Node, keys map[string]*Node) {
	taken := make(map[[11]byte]struct{}, len(d.Children))
	for _, n := range d.Children {
		if n.name.Exact {
			n.short = n.name.Short
			taken[n.short] = struct{}{}
		}
	}
	d.Children = slices.DeleteFunc(d.Children, func(n *Node) bool {
		if n.name.Exact {
			return false
		}
		short, ok := c.names.Alias(n.name, func(s [11]byte) bool {
			if _, used := taken[s]; used {
				return true
			}
			other := keys[c.names.Fold(c.names.ShortText(s))]
			return other != nil && other != n
		})
		if !ok {
			c.refuse(n, fmt.Errorf("no short name is left for it: %w", fat.ErrNoSpace))
			return true
		}
		n.short = short
		taken[short] = struct{}{}
		return false
	})
}
