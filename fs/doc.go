// Package fs serves a FAT volume to the kernel over FUSE: it mounts, answers requests with the engine
// (package image/fat), and keeps what the kernel caches true. On Linux it behaves as the kernel's own
// vfat does, option for option and errno for errno, with go-fuse as the transport.
//
// It holds no file system state of its own. It does not know devices, does not open images, and does
// not parse options; nor does it interpret names, times or clusters. It never touches the mount from
// within: a request to oneself waits for oneself.
//
// # Concepts
//
// A node is what the kernel calls an inode. Its id comes from the engine's counter and is never used
// again; it lives as long as the kernel has references to it, which LOOKUP and its like give and FORGET
// takes back, and so does a file that has lost its name (orphan.go). A handle is an open file; errors of
// writing come back to it once. Directories have no handles but a number, since an offset says where a
// listing goes on.
//
// # What the kernel caches
//
// Names and attributes for a day, file contents for as long as it likes; listings never: every change of
// the volume passes through the kernel, which updates its cache itself. What it cannot know, we tell it:
// attributes that an ioctl or an extended attribute changed (expireAttr), and names that went by another
// spelling (coherence.go). ENOENT is never cached. InvalidateAll takes everything back.
//
// # Errors
//
// Every error of the engine becomes an errno in one place, errno.go. An error of the host is EIO
// whatever its errno, but for ENOSPC and EROFS. ENOSYS is only ever said for LSEEK, where it has the
// kernel do what is right for FAT, and never follows from an error. EINTR is never returned: operations
// are short, and an application must not wonder whether one has happened.
//
// # Permissions
//
// Either the kernel checks modes (Options.DefaultPermissions), or it is us who check every request (perm.go),
// by the caller's ids: that takes fewer requests, and knows what options grant, quiet and allow_utime.
//
// # Durability
//
// What the engine promises, as the requests ask for it: FSYNC and FSYNCDIR return when the data and the
// metadata are on stable storage, FLUSH starts that. Nothing is held back here. With Options.Writeback
// the kernel holds back what applications wrote until one of these, or until it pleases.
//
// # Locks
//
//	closing         held shared while a handle is closed; exclusively, for a moment, to wait for that
//	table shards    node and handle tables; never held while in the engine or the kernel
//	scan.mu         position of the VFAT_IOCTL_READDIR ioctls of one open directory; held over a ReadDir
//
// A notification may wait for an inode or page that a request under way has locked. So a handler sends
// only those that take no lock (attributes, epoch), and all others go to goroutines of their own.
package fs
