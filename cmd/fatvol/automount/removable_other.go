//go:build !linux

package automount

import (
	"strings"

	"github.com/moby/sys/mountinfo"
)

// removable says why a mount lies on a medium that can be taken out, or why it does not: by where systems
// mount such media.
func removable(m *mountinfo.Info) (why, refused string) {
	if strings.HasPrefix(m.Mountpoint, "/Volumes/") || strings.HasPrefix(m.Mountpoint, "/media/") {
		return "that is mounted where removable ones are", ""
	}
	return "", "not mounted where removable media are"
}
