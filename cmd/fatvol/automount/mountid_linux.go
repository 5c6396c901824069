package automount

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// mountID tells a mount on dir from one that was there before, where the kernel can (6.8): two that follow each
// other closely may have the same number otherwise. It asks the kernel, not the medium.
func mountID(dir string) string {
	var st unix.Statx_t
	const flags = unix.AT_STATX_DONT_SYNC | unix.AT_NO_AUTOMOUNT | unix.AT_SYMLINK_NOFOLLOW
	if unix.Statx(unix.AT_FDCWD, dir, flags, unix.STATX_MNT_ID_UNIQUE, &st) != nil || st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		return ""
	}
	return strconv.FormatUint(st.Mnt_id, 10)
}
