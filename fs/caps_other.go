//go:build !linux

package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// openDirect: no other system opens files past the cache by a flag.
const openDirect = 0

// capabilities are those that go-fuse does not ask for by itself.
func (fs *fileSystem) capabilities() uint64 {
	caps := uint64(fuse.CAP_ATOMIC_O_TRUNC)
	if fs.opt.NFS != "" {
		caps |= fuse.CAP_EXPORT_SUPPORT
	}
	return caps
}
