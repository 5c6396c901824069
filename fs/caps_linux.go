package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// openDirect is the bit of OpenIn.Flags and WriteIn.Flags for a file that is open past the cache.
const openDirect = syscall.O_DIRECT

// capabilities are those that go-fuse does not ask for by itself.
func (fs *fileSystem) capabilities() uint64 {
	caps := uint64(
		// An open with O_TRUNC is one request, and no moment in which it is half done.
		fuse.CAP_ATOMIC_O_TRUNC |
			// The first part of a listing comes with attributes, the rest only if they
			// are being used.
			fuse.CAP_READDIRPLUS_AUTO |
			fuse.CAP_ASYNC_DIO |
			fuse.CAP_IOCTL_DIR |
			// We take away set-id bits on write, says this; there are none. In return
			// the kernel remembers that a file has no capabilities, instead of asking
			// before each write.
			fuse.CAP_HANDLE_KILLPRIV_V2)
	if fs.opt.Writeback {
		caps |= fuse.CAP_WRITEBACK_CACHE
	}
	if fs.opt.NFS != "" {
		caps |= fuse.CAP_EXPORT_SUPPORT
	}
	return caps
}
