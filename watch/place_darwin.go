package watch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fill asks the kernel about the descriptor of an image.
func (p *Place) fill(fd int, was Place) error {
	var buf [unix.PathMax]byte
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), unix.F_GETPATH, uintptr(unsafe.Pointer(&buf))); errno == 0 {
		p.Path = unix.ByteSliceToString(buf[:])
	}
	if was.Known && p.Path == was.Path {
		*p = was
		return nil
	}
	return p.identify(fd)
}
