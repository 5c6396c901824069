//go:build darwin || freebsd

package watch

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Mounts looks at the mount table once a second. It sees the host being unmounted, remounted and mounted
// again.
type Mounts struct{}

// Name implements Detector.
func (Mounts) Name() string { return "mounts" }

// mounts is the mount table, by what Place has for a mount: directories and flags.
type mounts map[string]mounted

type mounted struct {
	dir      string
	readOnly bool
}

// readMounts asks no file system: MNT_NOWAIT takes what the kernel knows.
func readMounts() (mounts, error) {
	n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
	if err != nil {
		return nil, fmt.Errorf("getfsstat: %w", err)
	}
	list := make([]unix.Statfs_t, n+16)
	if n, err = unix.Getfsstat(list, unix.MNT_NOWAIT); err != nil {
		return nil, fmt.Errorf("getfsstat: %w", err)
	}
	t := make(mounts, n)
	for i := range list[:n] {
		fs := &list[i]
		t[mountName(fs)] = mounted{unix.ByteSliceToString(fs.Mntonname[:]), uint64(fs.Flags)&unix.MNT_RDONLY != 0}
	}
	return t, nil
}

// compare says what has become of an image at p from one table to the next.
func (p *Place) compare(old, now mounts) (list []Report) {
	if m, ok := old[p.Mount]; ok && p.Generation != 0 {
		switch n, ok := now[p.Mount]; {
		case !ok:
			list = append(list, Report{Signal: Unmounted, Generation: p.Generation, Detail: "the host was unmounted from " + m.dir})
		case n != m:
			list = append(list, Report{Signal: Suspect})
		}
	}
	for id, m := range now {
		if old[id] != m && p.holds(m.dir) {
			return append(list, Report{Signal: MaybeBack})
		}
	}
	return list
}

// Watch implements Detector.
func (Mounts) Watch(ctx context.Context, s *Scene) error {
	old, err := readMounts()
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := readMounts()
		if err != nil {
			return err
		}
		p, _ := s.Place()
		for _, r := range p.compare(old, now) {
			s.Report(r)
		}
		old = now
	}
}
