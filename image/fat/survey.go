package fat

import (
	"context"
	"errors"
	"fmt"
)

// A Survey is what a walk over a whole volume finds out about how its files lie.
type Survey struct {
	Files, Dirs uint64 // without the root
	Fragmented  uint64 // files and directories in more than one piece
	Fragments   uint64 // pieces of all files and directories, the root of FAT32 included
	Used        uint32 // clusters of files and directories
	Bad         uint32
	Lost        uint32 // allocated, and of no file
	Free        uint32
	FreeRuns    uint32 // pieces of the free space
	LargestFree uint32 // clusters of the largest of them

	lostAt Cluster // the last lost cluster; 0 when there is none
	owned  bitmap
}

// bitmap has one bit for each cluster number of a volume.
type bitmap []uint64

func (b bitmap) has(c Cluster) bool { return b[c/64]&(1<<(c%64)) != 0 }
func (b bitmap) set(c Cluster)      { b[c/64] |= 1 << (c % 64) }

// Survey walks over the whole volume. It fails with ErrCorrupt where two files share a cluster, a chain
// does not hold together or is too short for its file: such a volume has to be repaired before anything
// on it is moved. It takes one bit of memory for each cluster. The caller has the volume for itself.
func (v *Volume) Survey(ctx context.Context) (*Survey, error) {
	s := &Survey{owned: make(bitmap, (v.tab.entries+63)/64)}
	err := v.walkTree(ctx, func(path string, n *Node) error {
		switch {
		case n.id == rootID:
		case n.dir != nil:
			s.Dirs++
		default:
			s.Files++
		}
		if n.chain == nil {
			return nil
		}
		if err := s.add(v, n); err != nil {
			return fmt.Errorf("%s: %w", path, v.note(err))
		}
		return nil
	})
	if err == nil {
		err = s.addTable(ctx, v)
	}
	if err != nil {
		return nil, fmt.Errorf("survey: %w", err)
	}
	return s, nil
}

// add takes over the chain of n.
func (s *Survey) add(v *Volume, n *Node) error {
	pieces, total := uint64(0), uint32(0)
	if err := n.Extents(func(e Extent) error {
		for i := range e.Count {
			c := e.Cluster + Cluster(i)
			if s.owned.has(c) {
				return fmt.Errorf("%w: cluster %d belongs to another file as well", ErrCorrupt, c)
			}
			s.owned.set(c)
		}
		pieces++
		total += e.Count
		return nil
	}); err != nil {
		return err
	}
	if need := v.clustersFor(n.d.size); n.dir == nil && total < need {
		return fmt.Errorf("%w: chain of a file of %d bytes ends after %d clusters, expected %d", ErrCorrupt, n.d.size, total, need)
	}
	s.Used += total
	s.Fragments += pieces
	if pieces > 1 {
		s.Fragmented++
	}
	return nil
}

// addTable compares with the FAT. The volume has nothing that is not committed, or the numbers are
// those of the medium.
func (s *Survey) addTable(ctx context.Context, v *Volume) error {
	return ScanTable(v.dev, v.geo, func(r Run) error {
		switch r.State {
		case RunFree:
			s.Free += r.Count
			s.FreeRuns++
			s.LargestFree = max(s.LargestFree, r.Count)
		case RunBad:
			s.Bad += r.Count
		case RunUsed:
			for i := range r.Count {
				if c := r.Start + Cluster(i); !s.owned.has(c) {
					s.Lost++
					s.lostAt = c
				}
			}
		}
		return ctx.Err()
	})
}

// ErrLost is returned where clusters that belong to no file are in the way.
var ErrLost = errors.New("lost clusters are in the way")
