package automount

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// A Medium is a mounted file system that may hold images.
type Medium struct {
	Dir     string // where it is mounted
	Device  string // such as /dev/sdb1
	Name    string // for people: its label, or whatever it is known by
	FSType  string
	Appears int    // counts how often it has been mounted; with Dir and Device, it says whether it is the same mount
	Asked   int    // counts how often somebody has tried to unmount it
	Refused string // why it is left alone; "" if it is not
	Why     string // why it counts as removable: what follows "a medium"
}

// key tells this mount of this medium from all others, earlier and later ones.
func (m *Medium) key() string { return fmt.Sprintf("%s %s %d", m.Device, m.Dir, m.Appears) }

// holds reports whether the path lies on the medium, as far as its mount point says.
func (m *Medium) holds(p string) bool {
	return strings.HasPrefix(p, strings.TrimSuffix(m.Dir, "/")+"/")
}

// mediumOf is the medium that the path lies on: the one that is mounted deepest. nil: none.
func mediumOf(media []Medium, p string) (found *Medium) {
	for i := range media {
		if m := &media[i]; m.holds(p) && (found == nil || len(m.Dir) > len(found.Dir)) {
			found = m
		}
	}
	return found
}

// A Source tells which media are mounted.
type Source interface {
	// Name is the word for it in the configuration.
	Name() string
	// Follow sends all media that are mounted, at once and whenever that has changed, until ctx ends or
	// the source fails. Of several that nobody has taken only the newest matters: send replaces it.
	Follow(ctx context.Context, send func([]Medium)) error
}

// appearances counts mounts for sources.
type appearances struct {
	there  map[string]bool // in the last list
	counts map[string]int
}

// number fills in Appears.
func (a *appearances) number(media []Medium) {
	if a.counts == nil {
		a.counts = map[string]int{}
	}
	now := map[string]bool{}
	for i := range media {
		m := &media[i]
		place := m.Device + " " + m.Dir
		id := place
		if m.Refused == "" {
			// An unmount and the next mount may both have happened since the last list.
			id += " " + mountID(m.Dir)
		}
		if !a.there[id] {
			a.counts[place]++
		}
		now[id] = true
		m.Appears = a.counts[place]
	}
	a.there = now
}

// counts says why whatever is mounted there counts as removable, or "".
func (c *Media) counts(dir string) string {
	if p := matching(c.Also, dir); p != "" {
		return fmt.Sprintf("that the configuration counts in (also = %q)", p)
	}
	return ""
}

// exclude refuses a medium that is to be left alone.
func (c *Media) exclude(m *Medium) {
	for _, name := range []string{m.Dir, m.Device, m.Name} {
		if p := matching(c.Never, name); p != "" {
			m.Refused = fmt.Sprintf("the configuration excludes %s (never = %q)", name, p)
		}
	}
}

// matching is the first of the patterns that matches the name, or "".
func matching(patterns []string, name string) string {
	for _, p := range patterns {
		if ok, _ := path.Match(p, name); ok {
			return p
		}
	}
	return ""
}

// systemDirs are mount points of the system itself, which may well be on a stick.
var systemDirs = []string{"/", "/boot", "/boot/*", "/efi", "/usr", "/var", "/home", "/opt", "/srv", "/nix", "/nix/*", "/etc", "/tmp", "/root"}

// isSystemDir reports whether a mount there belongs to the system.
func isSystemDir(dir string) bool { return matching(systemDirs, filepath.Clean(dir)) != "" }
