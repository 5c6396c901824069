package fs

import (
	"encoding/binary"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Notifications, enum fuse_notify_code of linux/fuse.h. One is a reply to no request, with its code in the place
// of the error.
const (
	notifyInvalInode = 2
	notifyInvalEntry = 3
	notifyIncEpoch   = 8
	notifyPrune      = 9
)

// notify sends one. It may be called until the mount is gone and after it, from anywhere.
func (s *session) notify(code uint32, fields []uint64, name string) fuse.Status {
	b := make([]byte, outHeaderSize, outHeaderSize+8*len(fields)+len(name)+1)
	for _, f := range fields {
		b = binary.NativeEndian.AppendUint64(b, f)
	}
	if name != "" {
		b = append(append(b, name...), 0)
	}
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint32(b[4:], code)
	err := error(unix.EINTR)
	for err == unix.EINTR {
		if closed := s.conn.Control(func(fd uintptr) { _, err = unix.Write(int(fd), b) }); closed != nil {
			return fuse.ENODEV
		}
	}
	if errno, ok := err.(syscall.Errno); ok {
		return fuse.Status(errno)
	}
	return fuse.OK
}

// pair is two u32 in one u64, in the order of the machine.
func pair(a, b uint32) uint64 {
	var p [8]byte
	binary.NativeEndian.PutUint32(p[0:], a)
	binary.NativeEndian.PutUint32(p[4:], b)
	return binary.NativeEndian.Uint64(p[:])
}

// InodeNotify drops the attributes of a node, and its cached data from off on, n bytes or, if that is 0, all;
// with off < 0 none.
func (s *session) InodeNotify(node uint64, off, n int64) fuse.Status {
	return s.notify(notifyInvalInode, []uint64{node, uint64(off), uint64(n)}, "")
}

// EntryNotify drops a name. It waits for the directory's lock, which a request may hold.
func (s *session) EntryNotify(dir uint64, name string) fuse.Status {
	return s.notify(notifyInvalEntry, []uint64{dir, pair(uint32(len(name)), 0)}, name)
}

// PruneNotify has the kernel forget nodes that nobody uses.
func (s *session) PruneNotify(nodes []uint64) fuse.Status {
	return s.notify(notifyPrune, append([]uint64{pair(uint32(len(nodes)), 0), 0}, nodes...), "")
}

// EpochNotify outdates all names. The kernel counts up and returns; it takes no lock that a request could hold.
func (s *session) EpochNotify() fuse.Status { return s.notify(notifyIncEpoch, nil, "") }
