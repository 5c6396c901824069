package integration

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/image/fat/fattest"
)

// What the exerciser does by path.

func (m *mountTarget) onPath(path string, op fattest.Op) (res fattest.Result, err error) {
	switch op.Kind {
	case fattest.OpOpen:
		return res, m.open(path, op)
	case fattest.OpStat:
		res.Stat, err = statPath(path)
		return res, err
	case fattest.OpTruncate:
		return res, unix.Truncate(path, op.Len)
	case fattest.OpMkdir:
		return res, unix.Mkdir(path, 0o777)
	case fattest.OpRmdir:
		return res, unix.Rmdir(path)
	case fattest.OpUnlink:
		return res, unix.Unlink(path)
	case fattest.OpTimes:
		return res, setTimes(path, op.Off2, op.Off)
	case fattest.OpAttr:
		return res, setAttributes(path, op.Flags)
	case fattest.OpList:
		return listAll(path)
	default: // OpDirOpen
		return res, m.openDir(path, op.Slot)
	}
}

// statPath asks for the attributes of FAT by xattr, or, where the path's length is odd, by ioctl.
func statPath(path string) (s fattest.Stat, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return s, err
	}
	s = statOf(&st)
	switch {
	case strings.HasSuffix(path, "/."): // the root has no attributes
		return s, nil
	case len(path)%2 == 0:
		s.Attr, err = attributesByXattr(func(text []byte) (int, error) { return unix.Lgetxattr(path, attributesXattr, text) })
	default:
		var fd int
		if fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			s.Attr, err = attributesByIoctl(fd)
			unix.Close(fd)
		}
	}
	s.AttrMask = attributesKnown
	return s, err
}

// statFile is statPath of an open file, by xattr where the descriptor's number is even.
func statFile(fd int) (s fattest.Stat, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return s, err
	}
	s = statOf(&st)
	if fd%2 == 0 {
		s.Attr, err = attributesByXattr(func(text []byte) (int, error) { return unix.Fgetxattr(fd, attributesXattr, text) })
	} else {
		s.Attr, err = attributesByIoctl(fd)
	}
	s.AttrMask = attributesKnown
	return s, err
}

func statOf(st *unix.Stat_t) fattest.Stat {
	s := fattest.Stat{
		IsDir:     st.Mode&unix.S_IFMT == unix.S_IFDIR,
		Allocated: st.Blocks * 512,
		Links:     uint32(st.Nlink),
		Ino:       st.Ino,
		Modified:  time.Unix(st.Mtim.Unix()),
		Accessed:  time.Unix(st.Atim.Unix()),
	}
	if !s.IsDir {
		s.Size = st.Size
	}
	return s
}

const attributesXattr = "user.fatvol.attributes"

// attributeBits are the letters of user.fatvol.attributes.
var attributeBits = map[rune]byte{'R': 0x01, 'H': 0x02, 'S': 0x04, 'A': 0x20}

const attributesKnown = 0x27

func attributesByXattr(get func(text []byte) (int, error)) (a byte, err error) {
	text := make([]byte, 16)
	n, err := get(text)
	if err != nil {
		return 0, err
	}
	for _, letter := range string(text[:n]) {
		bit, ok := attributeBits[letter]
		if !ok {
			return 0, fmt.Errorf("%s is %q", attributesXattr, text[:n])
		}
		a |= bit
	}
	return a, nil
}

// Of linux/msdos_fs.h: _IOR('r', 0x10, __u32) and _IOW('r', 0x11, __u32).
const (
	fatIoctlGetAttributes = 2<<30 | 4<<16 | 'r'<<8 | 0x10
	fatIoctlSetAttributes = 1<<30 | 4<<16 | 'r'<<8 | 0x11
)

func attributesByIoctl(fd int) (byte, error) {
	a, err := unix.IoctlGetUint32(fd, fatIoctlGetAttributes)
	return byte(a), err
}

// setAttributes does so by ioctl, or, when the archive bit is to be set, by xattr.
func setAttributes(path string, to int) error {
	if to&0x20 != 0 && !strings.HasSuffix(path, "/.") {
		var text []byte
		for letter, bit := range attributeBits {
			if to&int(bit) != 0 {
				text = append(text, byte(letter))
			}
		}
		return unix.Lsetxattr(path, attributesXattr, text, 0)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlSetPointerInt(fd, fatIoctlSetAttributes, to)
}

// setTimes sets the times of access and modification, in seconds of Unix.
func setTimes(path string, accessed, modified int64) error {
	var times []unix.Timespec
	for _, seconds := range []int64{accessed, modified} {
		ts, err := unix.TimeToTimespec(time.Unix(seconds, 0))
		if err != nil {
			return err
		}
		times = append(times, ts)
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, 0)
}
