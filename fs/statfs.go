package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// nameMax is f_namemax as vfat gives it: 255 UTF-16 units of at most 6 bytes each.
const nameMax = 255 * 6

func (fs *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s, err := fs.vol.Stat()
	if err != nil {
		return fs.status(err)
	}
	*out = fuse.StatfsOut{
		Blocks:  uint64(s.Clusters),
		Bfree:   uint64(s.Free),
		Bavail:  uint64(s.Free),
		Bsize:   uint32(s.ClusterSize),
		Frsize:  uint32(s.ClusterSize),
		NameLen: nameMax,
	}
	return fuse.OK
}
