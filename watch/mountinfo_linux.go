package watch

import (
	"context"
	"fmt"
	"maps"
	"os"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const mountTable = "/proc/self/mountinfo"

// Mounts watches the mount table. It sees the host being unmounted, remounted and mounted again; a pull
// by itself changes nothing there.
type Mounts struct{}

// Name implements Detector.
func (Mounts) Name() string { return "mountinfo" }

// mounts is the mount table, by what Place has for a mount.
type mounts map[string]*mountinfo.Info

func readMounts() (mounts, error) {
	f, err := os.Open(mountTable)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := mountinfo.GetMountsFromReader(f, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mountTable, err)
	}
	t := make(mounts, len(list))
	for _, m := range list {
		t[mountNumber(m.ID)] = m
	}
	return t, nil
}

// same reports whether two entries with the same number are of the same mount: numbers are used again.
func same(a, b *mountinfo.Info) bool {
	return a.Major == b.Major && a.Minor == b.Minor && a.Root == b.Root && a.FSType == b.FSType && a.Source == b.Source
}

// compare says what has become of an image at p from one table to the next.
func (p *Place) compare(old, now mounts) (list []Report) {
	if m := old[p.Mount]; m != nil && p.Generation != 0 {
		switch n := now[p.Mount]; {
		case n == nil || !same(m, n):
			list = append(list, Report{Signal: Unmounted, Generation: p.Generation, Detail: unmountedFrom(m)})
		case n.Options != m.Options || n.VFSOptions != m.VFSOptions || n.Mountpoint != m.Mountpoint:
			list = append(list, Report{Signal: Suspect})
		}
	}
	for id, m := range now {
		if o := old[id]; (o == nil || !same(o, m) || o.Mountpoint != m.Mountpoint) && p.holds(m.Mountpoint) {
			return append(list, Report{Signal: MaybeBack})
		}
	}
	for id, m := range old {
		// What hid the image, a dead host mounted over it for instance, went.
		if now[id] == nil && id != p.Mount && p.holds(m.Mountpoint) {
			return append(list, Report{Signal: MaybeBack})
		}
	}
	return list
}

// Watch implements Detector.
func (Mounts) Watch(ctx context.Context, s *Scene) error {
	// Opened before it is read for the first time, so that no change falls between.
	fd, err := unix.Open(mountTable, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", mountTable, err)
	}
	defer unix.Close(fd)
	old, err := readMounts()
	if err != nil {
		return err
	}
	wake, err := newWaker()
	if err != nil {
		return err
	}
	defer wake.close()
	var known mounts // all that were there since the last generation began
	for generation := uint64(0); ; {
		p, changed := s.Place()
		switch {
		case p.Generation == 0 || old[p.Mount] != nil:
			s.Blind("")
		case known[p.Mount] != nil:
			// It went between the verification and now.
			s.Report(Report{Signal: Unmounted, Generation: p.Generation, Detail: unmountedFrom(known[p.Mount])})
		default:
			s.Blind("the image's mount is not in the mount table of this process")
		}
		if known == nil || p.Generation != generation && p.Generation != 0 || len(known) > maxKnown {
			known, generation = maps.Clone(old), p.Generation
		}
		woken, err := wake.poll(ctx, fd, changed)
		if err != nil || ctx.Err() != nil {
			return err
		}
		now, err := readMounts()
		if err != nil {
			return err
		}
		if woken {
			p, _ = s.Place()
			s.Report(Report{Signal: Suspect}) // what happened before it was known
		}
		for _, r := range p.compare(old, now) {
			s.Report(r)
		}
		old = now
		maps.Copy(known, now)
	}
}

// maxKnown bounds the mounts that are remembered while the medium is gone.
const maxKnown = 10_000

func unmountedFrom(m *mountinfo.Info) string { return "the host was unmounted from " + m.Mountpoint }
