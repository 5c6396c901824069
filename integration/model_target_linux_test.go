package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
	"fatvol/image/fat/fattest"
)

// mountTarget runs the exerciser's operations as system calls on a mount of the built program.
type mountTarget struct {
	t        testing.TB
	img, dir string
	opts     []string
	cluster  int
	s        *server
	files    map[int]*modelFile
	dirs     map[int]*modelDir
}

// newMountTarget makes an image of the layout and mounts it.
func newMountTarget(t testing.TB, l fattest.Layout, opts ...string) (*mountTarget, error) {
	size, err := fattest.VolumeSize(l)
	if err != nil {
		return nil, err
	}
	mem := device.NewMem(size)
	if err := fattest.Format(mem, l); err != nil {
		return nil, err
	}
	base, err := os.MkdirTemp(fastDir(t), "")
	if err != nil {
		return nil, err
	}
	m := &mountTarget{t: t, img: filepath.Join(base, "volume.img"), dir: filepath.Join(base, "mnt"), opts: opts, cluster: l.ClusterSize}
	if err := errors.Join(mem.WriteFile(m.img), os.Mkdir(m.dir, 0o777)); err != nil {
		return nil, err
	}
	return m, m.Mount()
}

// fastDir is a directory of the test's own, in memory where there is enough of that: the exerciser syncs
// often, and does not care how long a disk takes for it.
func fastDir(t testing.TB) string {
	const memory, enough = "/dev/shm", 2 << 30
	var st unix.Statfs_t
	if unix.Statfs(memory, &st) != nil || st.Type != unix.TMPFS_MAGIC || int64(st.Bavail)*int64(st.Bsize) < enough {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "fatvol-model-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Mount mounts the image with a process of its own.
func (m *mountTarget) Mount() (err error) {
	m.files, m.dirs = map[int]*modelFile{}, map[int]*modelDir{}
	if m.s, err = startServer(m.t, m.img, m.dir, m.opts...); err != nil {
		return err
	}
	mounts.Lock()
	servers[m.dir] = m.s
	mounts.Unlock()
	return nil
}

// Unmount closes everything and unmounts with `fatvol umount`. The process must have had nothing to say.
func (m *mountTarget) Unmount() (fattest.Source, error) {
	m.closeAll()
	s := m.s
	m.s = nil
	umount(m.t, m.dir)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 || s.log.Len() > 0 {
		return nil, fmt.Errorf("exit code %d, log:\n%s", code, s.log)
	}
	return openSource(m.img)
}

func (m *mountTarget) closeAll() {
	for slot := range m.files {
		m.closeFile(slot)
	}
	for slot := range m.dirs {
		m.closeDir(slot)
	}
}

// Close unmounts, if that has not been done, and removes the image.
func (m *mountTarget) Close() {
	if m.s != nil {
		if _, err := m.Unmount(); err != nil {
			m.t.Logf("unmount after a failure: %v", err)
		}
	}
	os.RemoveAll(filepath.Dir(m.img))
}

// Free is what statfs says.
func (m *mountTarget) Free() (uint32, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(m.dir, &st); err != nil {
		return 0, err
	}
	return uint32(int64(st.Bfree) * int64(st.Frsize) / int64(m.cluster)), nil
}

// imageSource is an image that is not mounted.
type imageSource struct {
	*os.File
	size int64
}

func (s imageSource) Size() int64 { return s.size }

func openSource(img string) (fattest.Source, error) {
	f, err := os.Open(img)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return imageSource{f, info.Size()}, nil
}

// at calls fn with a path that leads to where p leads on the volume. One that is longer than the
// kernel takes is walked in two steps; the error is that of the first.
func (m *mountTarget) at(p string, fn func(path string) error) error {
	const longest = unix.PathMax - 1
	full := strings.TrimSuffix(m.dir+"/"+p, "/")
	if p == "" {
		full += "/." // so that nobody takes it for the mount point in the directory around it
	}
	if len(full) <= longest {
		return fn(full)
	}
	// The middle of what is left is at most one name of 1 KiB away from the half of it.
	cut := strings.IndexByte(p[len(p)/2:], '/')
	if cut < 0 {
		cut = strings.LastIndexByte(p, '/') - len(p)/2
	}
	cut += len(p) / 2
	return m.at(p[:cut], func(half string) error {
		fd, err := unix.Open(half, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return fn(fmt.Sprintf("/proc/self/fd/%d/%s", fd, p[cut+1:]))
	})
}

var errSlot = syscall.EBADF

// Do performs one operation.
func (m *mountTarget) Do(op fattest.Op) (res fattest.Result) {
	var err error
	switch op.Kind {
	case fattest.OpOpen, fattest.OpStat, fattest.OpTruncate, fattest.OpMkdir, fattest.OpRmdir, fattest.OpUnlink,
		fattest.OpTimes, fattest.OpAttr, fattest.OpList, fattest.OpDirOpen:
		err = m.at(op.Path, func(path string) (err error) {
			res, err = m.onPath(path, op)
			return err
		})
	case fattest.OpRename:
		err = m.at(op.Path, func(from string) error {
			return m.at(op.To, func(to string) error {
				return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, renameFlags(op.Flags))
			})
		})
	case fattest.OpDirRead:
		d := m.dirs[op.Slot]
		if d == nil {
			return fattest.Result{Err: errSlot}
		}
		res, err = d.read(int(op.Len), op.Len%2 == 0)
	case fattest.OpSync:
		err = m.sync()
	case fattest.OpStatfs:
		_, err = m.Free()
	default:
		f := m.files[op.Slot]
		if f == nil {
			return fattest.Result{Err: errSlot}
		}
		res, err = m.onFile(f, op)
	}
	if err != nil && !errors.As(err, &res.Err) {
		res.Err, res.Note = syscall.EIO, err.Error()
	}
	return res
}

func renameFlags(flags int) (out uint) {
	if flags&fattest.NoReplace != 0 {
		out |= unix.RENAME_NOREPLACE
	}
	if flags&fattest.Exchange != 0 {
		out |= unix.RENAME_EXCHANGE
	}
	return out
}

// sync is what sync(2) should be: FUSE is told nothing by that, so the root directory is synced too.
func (m *mountTarget) sync() error {
	fd, err := unix.Open(m.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return err
	}
	return unix.Fsync(fd)
}
