package fat

import (
	"context"
	"fmt"
)

const (
	// maxWalkDepth bounds how deep directories are walked into: a path cannot be much longer on any system.
	maxWalkDepth = 2048
	// walkBatch is the number of entries that are read from a directory at a time.
	walkBatch = 256
)

// walkTree calls fn for the root and then for every file and directory below it, a directory before
// what it holds, and each with its path. fn may relocate the node. Memory does not depend on the
// number of entries.
func (v *Volume) walkTree(ctx context.Context, fn func(path string, n *Node) error) error {
	if err := fn("/", v.root); err != nil {
		return err
	}
	return v.walkDir(ctx, "", v.root, 0, fn)
}

func (v *Volume) walkDir(ctx context.Context, path string, dir *Node, depth int, fn func(string, *Node) error) error {
	if depth >= maxWalkDepth {
		return v.note(fmt.Errorf("%s: %w: directories are nested deeper than %d", path, ErrCorrupt, maxWalkDepth))
	}
	for after := uint64(0); ; {
		var batch []Entry
		if err := v.ReadDir(dir, after, func(e *Entry) bool {
			batch = append(batch, *e)
			return len(batch) < walkBatch
		}); err != nil {
			return fmt.Errorf("%s: %w", orRoot(path), err)
		}
		if len(batch) == 0 {
			return nil
		}
		for i := range batch {
			e := &batch[i]
			if err := v.walkEntry(ctx, path+"/"+e.Name, dir, e, depth, fn); err != nil {
				return err
			}
			after = e.Cookie
		}
	}
}

func (v *Volume) walkEntry(ctx context.Context, path string, dir *Node, e *Entry, depth int, fn func(string, *Node) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := v.EntryNode(dir, e)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer n.Release(1)
	if err := fn(path, n); err != nil || n.dir == nil {
		return err
	}
	return v.walkDir(ctx, path, n, depth+1, fn)
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}
