//go:build darwin || freebsd

package watch

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// identify takes down which file, of which file system, a descriptor is.
func (p *Place) identify(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	p.Known = true
	p.Dev, p.Ino = uint64(st.Dev), uint64(st.Ino)
	p.Mount = mountName(&fs)
	return nil
}

func mountName(fs *unix.Statfs_t) string { return fmt.Sprintf("%x:%x", fs.Fsid.Val[0], fs.Fsid.Val[1]) }
