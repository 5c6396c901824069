package automount

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// MountTable is the Source that reads the kernel's mount table. It does not see when somebody tries to unmount
// a medium.
type MountTable struct {
	Media Media
	Log   *slog.Logger
}

// Name implements Source.
func (MountTable) Name() string { return "mountinfo" }

// Follow implements Source.
func (s MountTable) Follow(ctx context.Context, send func([]Medium)) error {
	changed, err := watchMounts(ctx)
	if err != nil {
		return err
	}
	var a appearances
	for {
		mounts, err := mountinfo.GetMounts(nil)
		if err != nil {
			return fmt.Errorf("the mount table: %w", err)
		}
		media := s.media(mounts)
		a.number(media)
		send(media)
		select {
		case <-ctx.Done():
			return nil
		case err := <-changed:
			if err != nil {
				return fmt.Errorf("the mount table: %w", err)
			}
		}
	}
}

// media are the mounts that lie on something, with why each of them is, or is not, looked at.
func (s MountTable) media(mounts []*mountinfo.Info) (media []Medium) {
	seen := map[string]string{}
	for i, m := range mounts {
		medium := Medium{Dir: m.Mountpoint, Device: m.Source, Name: mediumName(m.Mountpoint, m.Source), FSType: m.FSType}
		counts := s.Media.counts(m.Mountpoint)
		if counts == "" && !strings.HasPrefix(m.Source, "/") || m.FSType == "fuse.fatvol" {
			continue // of no medium: proc, tmpfs and their like
		}
		where := seen[deviceOf(m)]
		switch {
		case covered(mounts[i+1:], m.Mountpoint):
			medium.Refused = "something else is mounted over it"
		case where != "":
			medium.Refused = "the same file system as on " + where
		case counts != "":
			medium.Why = counts
		case m.Root != "/" && m.FSType != "btrfs":
			medium.Refused = "only the part " + m.Root + " of a file system"
		case isSystemDir(m.Mountpoint):
			medium.Refused = "a directory of the system"
		default:
			medium.Why, medium.Refused = removable(m)
		}
		if medium.Refused == "" {
			seen[deviceOf(m)] = m.Mountpoint
		}
		s.Media.exclude(&medium)
		media = append(media, medium)
	}
	return media
}

func deviceOf(m *mountinfo.Info) string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }

// covered reports whether a later mount hides what is on dir.
func covered(later []*mountinfo.Info, dir string) bool {
	for _, m := range later {
		if m.Mountpoint == dir || m.Mountpoint != "/" && strings.HasPrefix(dir, m.Mountpoint+"/") {
			return true
		}
	}
	return false
}

// mediumName is how people know a medium: desktops mount it under its label.
func mediumName(dir, source string) string {
	if base := filepath.Base(dir); base != "/" && base != "mnt" {
		return base
	}
	return filepath.Base(source)
}
