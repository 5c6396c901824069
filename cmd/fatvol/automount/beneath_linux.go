package automount

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// A beneath opens names by openat2(2), which itself keeps to the file system of the folder and follows no
// symbolic link. Where a kernel before 5.6 or a container has no such call, os.Root does it, which leaves
// the folder by no link either.
type beneath struct {
	dir   *os.File
	plain *os.Root
}

func openRoot(dir string) (rootDir, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	plain, err := os.OpenRoot(dir)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &beneath{f, plain}, nil
}

func (b *beneath) Open(name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_NOFOLLOW
	how := unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV}
	for {
		fd, err := unix.Openat2(int(b.dir.Fd()), name, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			// EAGAIN: something was renamed meanwhile.
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			return openPlain(b.plain, name)
		default:
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

func (b *beneath) Close() error { return errors.Join(b.dir.Close(), b.plain.Close()) }
