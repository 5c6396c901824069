package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

const (
	// maxWrite is the most that one request transfers; the kernel has the same limit.
	maxWrite = 1 << 20
	// MaxRequest is the most that a request of the kernel takes, in bytes: data, and a page for what comes before it.
	MaxRequest = maxWrite + 4096
	// maxBackground is how many asynchronous requests (readahead, write-back) the kernel may have
	// under way.
	maxBackground = 64
	// maxInflight bounds the memory of requests under way: a write holds a buffer of maxWrite.
	maxInflight = 32 << 20
)

// Errors of Mount. They come with the mount point, the cause and what to do about it.
var (
	// ErrNoFUSE is returned when the system has no FUSE: no /dev/fuse, or no fusermount3 where it
	// is needed.
	ErrNoFUSE = errors.New("FUSE is not available")
	// ErrMountPoint is returned when the mount point is not there or is no directory.
	ErrMountPoint = errors.New("bad mount point")
	// ErrNotPermitted is returned when the user may not mount there, or not with these options.
	ErrNotPermitted = errors.New("mount not permitted")
	// ErrNotMounted is returned by Unmount when the mount is not, or no longer, at its mount point.
	ErrNotMounted = errors.New("not mounted")
)

// A Server is a mounted volume.
type Server struct {
	fs       *fileSystem
	mount    kernelMount
	requests interface{ Serve() } // serves them until the mount is gone
	done     chan struct{}
}

// Mount mounts vol on the directory dir and serves it. When it returns, the kernel and we have agreed
// on what either can do, and the mount is usable. The caller closes vol after Wait.
func Mount(vol *fat.Volume, dir string, opt Options) (*Server, error) {
	return mountTuned(vol, dir, opt, nil)
}

// mountTuned is Mount with a say in what newFileSystem decided, for tests.
func mountTuned(vol *fat.Volume, dir string, opt Options, tune func(*fileSystem)) (*Server, error) {
	fs := newFileSystem(vol, opt)
	if tune != nil {
		tune(fs)
	}
	s := &Server{fs: fs, done: make(chan struct{})}
	if err := s.attach(dir); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.done)
		s.requests.Serve()
	}()
	return s, nil
}

// Wait returns when the volume has been unmounted, by whomever, and the last request is answered.
func (s *Server) Wait() { <-s.done }

// Unmount unmounts the volume. It returns syscall.EBUSY while somebody uses it, and ErrNotMounted when
// the mount is already gone. Wait tells when the end is reached.
func (s *Server) Unmount() error { return s.unmount(false) }

// Detach takes the mount point away even while somebody uses it (umount -l). Serving goes on until
// the last user is done.
func (s *Server) Detach() error { return s.unmount(true) }

func (s *Server) unmount(lazy bool) error {
	select {
	case <-s.done:
		return ErrNotMounted
	default:
		return s.mount.unmount(lazy)
	}
}

// fuseOptions are the choices of the protocol. What is of the mount itself is not among them: that
// is the business of attach.
func (fs *fileSystem) fuseOptions() *fuse.MountOptions {
	o := &fs.opt
	level := slog.LevelDebug // what it says without Debug is about itself
	if o.Debug {
		level = slog.LevelInfo // so that it is seen wherever the log is
	}
	m := &fuse.MountOptions{
		AllowOther:              o.AllowOther,
		FsName:                  o.FSName,
		Name:                    o.Subtype,
		MaxWrite:                maxWrite,
		MaxReadAhead:            maxWrite,
		MaxBackground:           maxBackground,
		MaxInflightRequestBytes: maxInflight,
		// The kernel would drop its cache whenever times or size change, which they do by
		// its own doing only.
		ExplicitDataCacheControl: true,
		DisableSplice:            true,
		ExtraCapabilities:        fs.capabilities(),
		DisabledCapabilities:     fuse.CAP_PASSTHROUGH,
		Debug:                    o.Debug,
		Logger:                   slog.NewLogLogger(o.Log.Handler(), level),
		PanicHandler:             fs.panicked,
	}
	return m
}

// panicked answers for a request whose handler panicked: that is a bug, but no reason to take the
// mount away from everybody.
func (fs *fileSystem) panicked(reason any) fuse.Status {
	fs.opt.Log.Error("bug: request failed", "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
	return fuse.EIO
}
