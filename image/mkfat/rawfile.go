package mkfat

import (
	"errors"
	"io"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// A rawFile is a regular file that is open for reading. os.File makes five system calls more for each, to find
// out whether it can be polled: for small files they are most of the work.
type rawFile struct {
	fd   int
	path string
}

func openFile(path string) (Contents, error) {
	fd, err := openRaw(path, 0)
	if err != nil {
		return nil, err
	}
	return &rawFile{fd, path}, nil
}

// openRaw opens a file or directory for reading.
func openRaw(path string, flags int) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		return err
	})
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// retry makes a system call again that a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (f *rawFile) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		var m int
		err := retry(func() (err error) {
			m, err = unix.Pread(f.fd, p[n:], off+int64(n))
			return err
		})
		switch {
		case err != nil:
			return n, &fs.PathError{Op: "read", Path: f.path, Err: err}
		case m == 0:
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

func (f *rawFile) Close() error {
	if err := unix.Close(f.fd); err != nil {
		return &fs.PathError{Op: "close", Path: f.path, Err: err}
	}
	return nil
}
