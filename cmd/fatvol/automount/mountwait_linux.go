package automount

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// watchMounts sends whenever the mount table has changed, or why that cannot be told any more (proc(5): poll
// of mountinfo ends with POLLERR and POLLPRI then).
func watchMounts(ctx context.Context) (<-chan error, error) {
	// Not by package os, whose epoll would look at the file as well: whichever poll comes first takes the change
	// away from the other one.
	const table = "/proc/self/mountinfo"
	fd, err := unix.Open(table, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: table, Err: err}
	}
	r, w, err := os.Pipe()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { w.Close() })
	changed := make(chan error, 1)
	go func() {
		defer unix.Close(fd)
		defer r.Close()
		defer w.Close()
		defer stop()
		for {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}, {Fd: int32(r.Fd()), Events: unix.POLLIN}}
			_, err := unix.Poll(fds, -1)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case ctx.Err() != nil:
				return
			}
			replace(changed, err)
			if err != nil {
				return
			}
		}
	}()
	return changed, nil
}
