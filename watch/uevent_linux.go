package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Uevents listens to what the kernel says about devices. It sees a device go within some ten
// milliseconds. It is blind to hosts on no block device, and in most containers.
type Uevents struct{}

// Name implements Detector.
func (Uevents) Name() string { return "uevent" }

const (
	kernelGroup  = 1 // of NETLINK_KOBJECT_UEVENT; 2 is udev's
	ueventBuffer = 1 << 20
)

// An armed is what a listener compares events with: the devices of a generation.
type armed struct {
	devices    devices
	generation uint64
}

// Watch implements Detector.
func (u Uevents) Watch(ctx context.Context, s *Scene) error {
	sock, err := ueventSocket()
	if err != nil {
		return err
	}
	var cur atomic.Pointer[armed]
	cur.Store(&armed{})
	stop := context.AfterFunc(ctx, func() { sock.Close() })
	listening := make(chan error, 1)
	go func() { listening <- u.listen(sock, s, &cur) }()
	defer func() {
		stop()
		sock.Close()
		<-listening
	}()
	for {
		p, changed := s.Place()
		cur.Store(u.arm(ctx, s, p))
		if p.Generation != 0 {
			s.Report(Report{Signal: Suspect}) // what happened before it was armed
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-listening:
			listening <- err
			return err
		case <-changed:
		}
	}
}

// arm finds the devices under a place.
func (Uevents) arm(ctx context.Context, s *Scene, p Place) *armed {
	if p.Generation == 0 {
		s.Blind("")
		return &armed{}
	}
	if !p.Known {
		s.Blind("it is not known where the image is")
		return &armed{}
	}
	found := make(chan devices, 1)
	err := s.Ask(ctx, "find the device", func() error {
		d, err := devicesUnder("/sys", p)
		found <- d
		return err
	})
	if err != nil {
		why := err.Error()
		if errors.Is(err, errNoDevice) {
			why = errNoDevice.Error()
		}
		s.Blind(why)
		return &armed{generation: p.Generation}
	}
	s.Blind("")
	return &armed{<-found, p.Generation}
}

// listen reports until the socket is closed.
func (Uevents) listen(sock *os.File, s *Scene, cur *atomic.Pointer[armed]) error {
	rc, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		var n int
		var from unix.Sockaddr
		var rerr error
		err := rc.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			return rerr != unix.EAGAIN
		})
		switch {
		case err != nil:
			return nil // closed
		case rerr == unix.EINTR:
			continue
		case rerr == unix.ENOBUFS:
			// Some were lost, and might have been any.
			s.Report(Report{Signal: Suspect})
			s.Report(Report{Signal: MaybeBack})
			continue
		case rerr != nil:
			return fmt.Errorf("netlink: %w", rerr)
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not from the kernel
		}
		e, ok := parseUevent(buf[:n])
		if !ok {
			continue
		}
		a := cur.Load()
		if sig, ok := a.devices.signal(e); ok {
			s.Report(Report{Signal: sig, Generation: a.generation, Detail: "the device was removed: " + e.device})
		}
	}
}

// ueventSocket subscribes to the kernel's messages.
func ueventSocket() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	// The more fits, the less is lost when a bus goes with all that hangs on it. Not all are allowed so much.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, ueventBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, ueventBuffer)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return os.NewFile(uintptr(fd), "uevents"), nil
}
