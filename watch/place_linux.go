package watch

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fill asks the kernel about the descriptor of an image.
func (p *Place) fill(fd int, was Place) error {
	link := "/proc/self/fd/" + strconv.Itoa(fd)
	path, err := os.Readlink(link)
	if err == nil && was.Known && path == was.Path {
		*p = was
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	p.Known = true
	p.Dev, p.Ino = st.Dev, st.Ino
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		p.Rdev = st.Rdev
	}
	p.Mount = mountOf(fd)
	// A file without a name, or on a mount that was detached, has a link that leads nowhere.
	var there unix.Stat_t
	if path != "" && unix.Stat(path, &there) == nil && there.Dev == st.Dev && there.Ino == st.Ino {
		p.Path = path
	}
	return nil
}

// mountOf returns the mount id of an open file.
func mountOf(fd int) string {
	b, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return ""
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if id, ok := strings.CutPrefix(s.Text(), "mnt_id:"); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}
