package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// errnos translates the engine's sentinels. Whatever is not here is EIO.
var errnos = []struct {
	err   error
	errno syscall.Errno
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
	{device.ErrReadOnly, syscall.EROFS},
	{fat.ErrInvalid, syscall.EINVAL},
	{fat.ErrLoop, syscall.EINVAL},
	{fat.ErrClosed, syscall.EIO},
	{fat.ErrCorrupt, syscall.EIO},
	{errors.ErrUnsupported, syscall.EOPNOTSUPP},
}

// errnoOf is what the kernel is told of an error of the engine.
//
// An errno inside of err came from the host, and most of the host's errnos mean something else to
// an application that uses the volume: the ENOENT of a vanished stick would say that the file does
// not exist, and ENOSYS would make the kernel never ask again. So all of them become EIO, but the
// two that mean the same on both sides: no space, and read-only. They are looked for first, since
// an Errno claims to be fs.ErrNotExist and its like.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if host, ok := errors.AsType[syscall.Errno](err); ok {
		switch host {
		case syscall.ENOSPC, syscall.EROFS:
			return host
		}
		return syscall.EIO
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return e.errno
		}
	}
	return syscall.EIO
}

// isLost reports that err is of a medium that is gone. Whoever watches the medium has said so in the log.
func isLost(err error) bool {
	lost, ok := errors.AsType[interface {
		error
		Lost() bool
	}](err)
	return ok && lost.Lost()
}

// status is errnoOf as a reply. An EIO leaves a line in the log, unless it is the medium's, or of
// damage, for which the engine has one of its own.
func (fs *fileSystem) status(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	errno := errnoOf(err)
	if errno == syscall.EIO {
		fs.traffic.errors.Add(1)
	}
	if errno == syscall.EIO && !isLost(err) && !errors.Is(err, fat.ErrCorrupt) {
		fs.failures.log(fs.opt.Log, err)
	}
	return fuse.Status(errno)
}

// nodeStatus is status for what is done to a node rather than to a name. That it does not exist means
// that the file was removed meanwhile: ESTALE makes the kernel look its path up again, once.
func (fs *fileSystem) nodeStatus(err error) fuse.Status {
	st := fs.status(err)
	if st == fuse.ENOENT {
		return fuse.Status(syscall.ESTALE)
	}
	return st
}

// failureInterval is the least time between two lines about failed requests.
const failureInterval = 5 * time.Second

// failureLog writes at most one line in failureInterval, however many requests fail.
type failureLog struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

func (l *failureLog) log(to *slog.Logger, err error) {
	now := time.Now()
	l.mu.Lock()
	if now.Before(l.next) {
		l.skipped++
		l.mu.Unlock()
		return
	}
	l.next = now.Add(failureInterval)
	skipped := l.skipped
	l.skipped = 0
	l.mu.Unlock()
	if skipped > 0 {
		to.Error("request failed", "err", err, "others", fmt.Sprintf("%d failures since the last such line", skipped))
		return
	}
	to.Error("request failed", "err", err)
}
