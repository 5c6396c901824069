// Package hostperm is for files of the host that are replaced by new ones, made beside them: whoever could read or
// write the old one, and nobody else, is to have the new one.
package hostperm

import (
	"os"
	"syscall"
)

// Copy gives to the permission bits of another file, and its owner and group as far as this process may: root may,
// others may choose a group that they are in. A group that is not the old one gets what everybody gets. Access control
// lists are not copied.
//
// The host may be one that knows nothing of all this, and shows the same for each file; that is no error.
func Copy(to *os.File, of os.FileInfo) error {
	is, err := to.Stat()
	if err != nil {
		return err
	}
	perm := of.Mode().Perm()
	if !sameOwner(is, of) && !own(to, of) {
		perm = perm&^0o070 | perm&0o007<<3
	}
	if is.Mode().Perm() == perm {
		return nil
	}
	return to.Chmod(perm)
}

func sameOwner(a, b os.FileInfo) bool {
	x, y := a.Sys().(*syscall.Stat_t), b.Sys().(*syscall.Stat_t)
	return x.Uid == y.Uid && x.Gid == y.Gid
}

// own gives f the owner and the group of another file, or else the group, and reports whether it has that.
func own(f *os.File, of os.FileInfo) bool {
	st := of.Sys().(*syscall.Stat_t)
	return f.Chown(int(st.Uid), int(st.Gid)) == nil || f.Chown(-1, int(st.Gid)) == nil
}
