package device

import (
	"os"

	"golang.org/x/sys/unix"
)

// A FileID tells a file from others that were at its path, or had its inode: file systems use a number again at once.
// The time of birth is zero where the file system keeps none, and that of a clock which ticks every few milliseconds.
type FileID struct {
	major, minor uint32
	inode        uint64
	born         unix.StatxTimestamp
}

// Identify returns what tells the file at path from others.
func Identify(path string) (FileID, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return FileID{}, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	id := FileID{major: st.Dev_major, minor: st.Dev_minor, inode: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.born = st.Btime
	}
	return id, nil
}
