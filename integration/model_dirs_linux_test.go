package integration

import (
	le "encoding/binary"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fatvol/image/fat/fattest"
)

// Directory streams of the exerciser.

// A modelDir is an open directory stream.
type modelDir struct {
	fd    int
	ahead []dirent // read, and not yet handed out
	last  int64    // offset of the stream behind what was handed out
}

type dirent struct {
	fattest.DirEntry
	off int64
}

func (m *mountTarget) openDir(path string, slot int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	m.closeDir(slot)
	m.dirs[slot] = &modelDir{fd: fd}
	return nil
}

func (m *mountTarget) closeDir(slot int) {
	if d := m.dirs[slot]; d != nil {
		unix.Close(d.fd)
		delete(m.dirs, slot)
	}
}

// listAll lists a directory from its beginning to its end.
func listAll(path string) (res fattest.Result, err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return res, err
	}
	defer unix.Close(fd)
	return (&modelDir{fd: fd}).read(1<<30, false)
}

// read hands out the next entries, at most n. What it has read beyond these it keeps for the next
// call, as readdir(3) does; or it forgets that and has the kernel go on at the offset of the last one
// that it handed out, as telldir(3) and seekdir(3) do.
func (d *modelDir) read(n int, seek bool) (res fattest.Result, err error) {
	var taken []dirent
	if seek {
		d.ahead = nil
		if _, err := unix.Seek(d.fd, d.last, unix.SEEK_SET); err != nil {
			return res, err
		}
	}
	defer func(before int64) {
		if err != nil { // whoever got an error has no entries: they are handed out later
			d.ahead, d.last = slices.Concat(taken, d.ahead), before
		}
	}(d.last)
	for len(res.Entries) < n {
		if len(d.ahead) == 0 {
			if d.ahead, err = getdents(d.fd); err != nil {
				return res, err
			}
			if len(d.ahead) == 0 {
				res.End = true
				return res, nil
			}
		}
		e := d.ahead[0]
		d.ahead, d.last = d.ahead[1:], e.off
		taken = append(taken, e)
		if e.Name != "." && e.Name != ".." {
			res.Entries = append(res.Entries, e.DirEntry)
		}
	}
	return res, nil
}

// getdents reads a few entries: as many as fit in little more than what the longest name takes.
func getdents(fd int) (out []dirent, err error) {
	const head, longest = 19, 255 * 6
	buf := make([]byte, head+longest+8)
	n, err := unix.Getdents(fd, buf)
	if err != nil {
		return nil, err
	}
	// struct linux_dirent64: inode, offset of the next, length of this, type, name.
	for buf = buf[:n]; len(buf) >= head; {
		size := le.NativeEndian.Uint16(buf[16:])
		name, _, _ := strings.Cut(string(buf[head:size]), "\x00")
		out = append(out, dirent{fattest.DirEntry{Name: name, IsDir: buf[18] == unix.DT_DIR}, int64(le.NativeEndian.Uint64(buf[8:]))})
		buf = buf[size:]
	}
	return out, nil
}
