package fat

import (
	"context"
	"fmt"
)

// DefragOptions say what Defrag does.
type DefragOptions struct {
	// DryRun: nothing is written; the report says what would be.
	DryRun bool
	// Pack also moves files towards the beginning of the volume, so that the free space is in one piece.
	Pack bool
	// Progress is called now and then with the bytes that were copied since.
	Progress func(bytes int64)
}

// maxLeft bounds the paths in a DefragReport.
const maxLeft = 10

// A DefragReport is what Defrag did.
type DefragReport struct {
	Before, After *Survey // After is nil for a dry run
	Moved         uint64  // files and directories; one that was moved twice counts twice
	Bytes         int64   // that were copied, or would be
	Left          uint64  // files and directories that stay in pieces: there is no free run that is long enough
	LeftPaths     []string
}

// Defrag makes files and directories contiguous, and with Pack the free space as well. Each is copied
// to free clusters and switched over in one write, so that a cut of power leaves the old place or the
// new one, whole; what an error or ctx interrupts leaves a volume that is complete. The caller has the
// volume for itself. A volume that is damaged (see Survey) is left alone.
func (v *Volume) Defrag(ctx context.Context, opt DefragOptions) (*DefragReport, error) {
	r := &DefragReport{}
	err := v.defrag(ctx, opt, r)
	if err != nil {
		err = fmt.Errorf("defrag: %w", err)
	}
	return r, err
}

func (v *Volume) defrag(ctx context.Context, opt DefragOptions, r *DefragReport) (err error) {
	if v.ReadOnly() && !opt.DryRun {
		return ErrReadOnly
	}
	if !opt.DryRun {
		// A chain that is still to be cut would get shorter while it is looked at.
		if err := v.drain(); err != nil {
			return err
		}
	}
	if r.Before, err = v.Survey(ctx); err != nil {
		return err
	}
	m := v.newMover(ctx, opt.Progress)
	start := m.told
	err = m.join(r, opt.DryRun)
	if err == nil && opt.Pack && !opt.DryRun {
		// Free space in one piece may be what a file in pieces lacked, and leave another hole.
		if err = m.pack(); err == nil && r.Left > 0 {
			if err = m.join(r, false); err == nil {
				err = m.pack()
			}
		}
	}
	r.Moved = m.moved
	if opt.DryRun {
		return err
	}
	r.Bytes = v.relocated.Load() - start
	if err = m.giveUp(err); err != nil {
		return err
	}
	r.After, err = v.Survey(ctx)
	return err
}

// join puts into one piece what it can, again for as long as that helps: what was in the way of one
// file may have been another.
func (m *mover) join(r *DefragReport, dry bool) error {
	for {
		before := m.moved
		if err := m.joinAll(r, dry); err != nil || r.Left == 0 || dry || m.moved == before {
			return err
		}
	}
}

// joinAll makes one pass over the tree.
func (m *mover) joinAll(r *DefragReport, dry bool) error {
	r.Left, r.LeftPaths = 0, nil
	return m.v.walkTree(m.ctx, func(path string, n *Node) error {
		if n.chain == nil {
			return nil
		}
		_, total, count, err := n.pieces(extent{})
		if err != nil || count < 2 {
			return err
		}
		var ok bool
		whole := piece{0, total}
		if dry {
			_, ok, err = m.place(total, false)
		} else {
			ok, err = m.move(n, whole, false)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if !ok {
			if r.Left++; len(r.LeftPaths) < maxLeft {
				r.LeftPaths = append(r.LeftPaths, path)
			}
			return nil
		}
		if dry {
			m.moved++
			r.Bytes += int64(total) << m.v.geo.ClusterShift
		}
		return nil
	})
}
