package device

import "golang.org/x/sys/unix"

// Unwritten reports whether it is certain that nobody has the file at path open for writing: the kernel grants a read
// lease only then (fcntl(2), F_SETLEASE). False: somebody has, or the file system or the lack of rights leaves it open.
func Unwritten(path string) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd) // and with it the lease
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	return err == nil
}
