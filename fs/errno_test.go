package fs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/device"
	"fatvol/image/fat"
)

func TestErrno(t *testing.T) {
	host := func(errno syscall.Errno) error { return &os.PathError{Op: "read", Path: "disk.img", Err: errno} }
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{fat.ErrNotExist, syscall.ENOENT},
		{fat.ErrExist, syscall.EEXIST},
		{fat.ErrNotDir, syscall.ENOTDIR},
		{fat.ErrIsDir, syscall.EISDIR},
		{fat.ErrNotEmpty, syscall.ENOTEMPTY},
		{fat.ErrNoSpace, syscall.ENOSPC},
		{fat.ErrTooBig, syscall.EFBIG},
		{fat.ErrName, syscall.EINVAL},
		{fat.ErrNameTooLong, syscall.ENAMETOOLONG},
		{fat.ErrReadOnly, syscall.EROFS},
		{fat.ErrInvalid, syscall.EINVAL},
		{fat.ErrLoop, syscall.EINVAL},
		{fat.ErrClosed, syscall.EIO},
		{fat.ErrCorrupt, syscall.EIO},
		{fat.ErrNotFAT, syscall.EIO},
		{iofs.ErrNotExist, syscall.ENOENT},
		{iofs.ErrExist, syscall.EEXIST},
		{errors.ErrUnsupported, syscall.EOPNOTSUPP},
		{device.ErrReadOnly, syscall.EROFS},
		{device.ErrBounds, syscall.EIO},
		{io.ErrUnexpectedEOF, syscall.EIO},
		{io.EOF, syscall.EIO},
		{errors.New("anything"), syscall.EIO},

		// What the host says of the image is not about the files in it.
		{host(syscall.ENOSPC), syscall.ENOSPC},
		{host(syscall.EROFS), syscall.EROFS},
		{host(syscall.EIO), syscall.EIO},
		{host(syscall.ENOENT), syscall.EIO},
		{host(syscall.EEXIST), syscall.EIO},
		{host(syscall.EACCES), syscall.EIO},
		{host(syscall.EPERM), syscall.EIO},
		{host(syscall.ENOSYS), syscall.EIO},
		{host(syscall.EOPNOTSUPP), syscall.EIO},
		{host(syscall.EINTR), syscall.EIO},
		{host(syscall.EAGAIN), syscall.EIO},
		{host(syscall.ENODEV), syscall.EIO},
		{host(syscall.ENOTCONN), syscall.EIO},
		{host(syscall.ESTALE), syscall.EIO},
		{host(syscall.EDQUOT), syscall.EIO},
		{host(syscall.ENOTEMPTY), syscall.EIO},
		{errors.Join(fat.ErrNotExist, host(syscall.EIO)), syscall.EIO},
	} {
		wrapped := fmt.Errorf("read cluster 7: %w", c.err)
		for _, err := range []error{c.err, wrapped, fmt.Errorf("lookup %q: %w", "a", wrapped)} {
			if got := errnoOf(err); got != c.want {
				t.Errorf("%v: %v, want %v", err, got, c.want)
			}
		}
	}
	if got := errnoOf(nil); got != 0 {
		t.Errorf("no error: %v", got)
	}
}

// Every sentinel of the engine has an errno of its choice.
func TestErrnoCoversEngine(t *testing.T) {
	for _, err := range []error{
		fat.ErrNotExist, fat.ErrExist, fat.ErrNotDir, fat.ErrIsDir, fat.ErrNotEmpty, fat.ErrNoSpace, fat.ErrTooBig,
		fat.ErrName, fat.ErrNameTooLong, fat.ErrReadOnly, fat.ErrInvalid, fat.ErrLoop, fat.ErrClosed, fat.ErrCorrupt,
	} {
		listed := false
		for _, e := range errnos {
			listed = listed || e.err == err
		}
		if !listed {
			t.Errorf("%v is not listed", err)
		}
	}
}

func TestFailuresAreLoggedOnce(t *testing.T) {
	var b bytes.Buffer
	fs := &fileSystem{opt: Options{Log: slog.New(slog.NewTextHandler(&b, nil))}}
	if st := fs.status(fmt.Errorf("lookup: %w", fat.ErrNotExist)); st != fuse.ENOENT {
		t.Error(st)
	}
	if st := fs.status(fmt.Errorf("read: %w", fat.ErrCorrupt)); st != fuse.EIO {
		t.Error(st)
	}
	if b.Len() != 0 {
		t.Errorf("an ordinary error, or damage that the engine logs, was logged: %s", &b)
	}
	for range 100 {
		if st := fs.status(errors.New("the disk is on fire")); st != fuse.EIO {
			t.Error(st)
		}
	}
	if n := strings.Count(b.String(), "\n"); n != 1 || !strings.Contains(b.String(), "on fire") {
		t.Errorf("%d lines for 100 failures:\n%s", n, &b)
	}
	fs.failures.next = fs.failures.next.Add(-failureInterval)
	fs.status(errors.New("still"))
	if !strings.Contains(b.String(), "99") {
		t.Errorf("the failures in between are not counted:\n%s", &b)
	}
}
