package watch

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// A waker ends a poll(2) when a channel is closed.
type waker struct{ read, write int }

func newWaker() (*waker, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	return &waker{p[0], p[1]}, nil
}

func (w *waker) close() {
	unix.Close(w.read)
	unix.Close(w.write)
}

// poll waits for an exceptional condition on fd, or until ctx has ended or changed is closed: woken
// says that it was one of these.
func (w *waker) poll(ctx context.Context, fd int, changed <-chan struct{}) (woken bool, err error) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-done:
			return
		}
		_, _ = unix.Write(w.write, []byte{0})
	}()
	defer func() {
		close(done)
		<-ended
		var b [16]byte
		_, _ = unix.Read(w.read, b[:])
	}()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}, {Fd: int32(w.read), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return fds[1].Revents != 0, err
		}
	}
}
