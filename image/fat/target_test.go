package fat_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// engineTarget runs the exerciser's operations on a volume in process.
type engineTarget struct {
	mem   *device.Mem
	dev   device.Device // what the volume is opened on; mem, or something around it
	opt   fat.Options
	v     *fat.Volume
	log   *tail
	now   time.Time
	files map[int]*openFile
	dirs  map[int]*openDir
}

var errBadSlot = errors.New("slot is not open")

type openFile struct {
	h      *fat.Handle
	append bool
}

type openDir struct {
	n      *fat.Node
	cookie uint64
}

// tail keeps the end of a log.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	l.buf = l.buf[max(0, len(l.buf)-2000):]
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}

// newEngineTarget formats a volume in memory and opens it.
func newEngineTarget(l fattest.Layout, opt fat.Options) (*engineTarget, error) {
	size, err := fattest.VolumeSize(l)
	if err != nil {
		return nil, err
	}
	t := &engineTarget{mem: device.NewMem(size), opt: opt, log: &tail{}, now: time.Unix(1700000000, 0)}
	t.opt.Log = slog.New(slog.NewTextHandler(t.log, nil))
	t.dev = t.mem
	t.opt.Now = func() time.Time { return t.now }
	t.opt.Clock = fat.NewClock(nil, 0, true)
	if err := fattest.Format(t.mem, l); err != nil {
		return nil, err
	}
	return t, t.Mount()
}

// SetNow sets the volume's clock. No operation is under way, and the background takes no stamps.
func (t *engineTarget) SetNow(now time.Time) { t.now = now }

// Mount opens the volume.
func (t *engineTarget) Mount() (err error) {
	t.files, t.dirs = map[int]*openFile{}, map[int]*openDir{}
	t.log.buf = nil
	t.v, err = fat.Open(t.dev, t.opt)
	return err
}

// Unmount closes all handles and the volume.
func (t *engineTarget) Unmount() (fattest.Source, error) {
	for s := range t.files {
		t.close(s)
	}
	for s := range t.dirs {
		t.closeDir(s)
	}
	return t.mem, t.v.Close()
}

// Close lets go of the volume.
func (t *engineTarget) Close() { t.v.Close() }

// Free is what statfs says.
func (t *engineTarget) Free() (uint32, error) {
	s, err := t.v.Stat()
	return s.Free, err
}

func (t *engineTarget) close(slot int) {
	if f := t.files[slot]; f != nil {
		n := f.h.Node()
		f.h.Close()
		n.Release(1)
		delete(t.files, slot)
	}
}

func (t *engineTarget) closeDir(slot int) {
	if d := t.dirs[slot]; d != nil {
		release(d.n)
		delete(t.dirs, slot)
	}
}

// release gives back one reference that walk took.
func release(n *fat.Node) {
	if n != nil {
		n.Release(1)
	}
}

// walk finds the node at a path; the caller releases it. The root counts as held already.
func (t *engineTarget) walk(path string) (*fat.Node, error) {
	return walk(t.v, path)
}

func walk(v *fat.Volume, path string) (*fat.Node, error) {
	n := v.Root()
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, "/")
		if !n.IsDir() {
			release(n)
			return nil, fat.ErrNotDir
		}
		next, _, err := v.Lookup(n, name)
		release(n)
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

// split walks to the directory of a path.
func split(v *fat.Volume, path string) (dir *fat.Node, name string, err error) {
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return v.Root(), path, nil
	}
	if dir, err = walk(v, path[:at]); err == nil && !dir.IsDir() {
		release(dir)
		dir, err = nil, fat.ErrNotDir
	}
	return dir, path[at+1:], err
}

// errnoOf is what the FUSE layer makes of the engine's errors.
func errnoOf(err error) syscall.Errno {
	for _, m := range []struct {
		err error
		no  syscall.Errno
	}{
		{nil, 0}, {fat.ErrNotExist, syscall.ENOENT}, {fat.ErrExist, syscall.EEXIST}, {fat.ErrNotDir, syscall.ENOTDIR},
		{fat.ErrIsDir, syscall.EISDIR}, {fat.ErrNotEmpty, syscall.ENOTEMPTY}, {fat.ErrNoSpace, syscall.ENOSPC},
		{fat.ErrTooBig, syscall.EFBIG}, {fat.ErrName, syscall.EINVAL}, {fat.ErrNameTooLong, syscall.ENAMETOOLONG},
		{fat.ErrInvalid, syscall.EINVAL}, {fat.ErrLoop, syscall.EINVAL}, {fat.ErrReadOnly, syscall.EROFS},
		{fs.ErrClosed, syscall.ESHUTDOWN}, {errBadSlot, syscall.EBADF},
	} {
		if errors.Is(err, m.err) && (err == nil) == (m.err == nil) {
			return m.no
		}
	}
	return syscall.EIO
}

// Do performs one operation.
func (t *engineTarget) Do(op fattest.Op) (res fattest.Result) {
	var err error
	switch op.Kind {
	case fattest.OpOpen:
		err = t.open(op)
	case fattest.OpMkdir, fattest.OpRmdir, fattest.OpUnlink, fattest.OpRename:
		err = t.names(op)
	case fattest.OpSync:
		err = t.v.Sync()
	case fattest.OpStatfs:
		_, err = t.v.Stat()
	case fattest.OpStat, fattest.OpList, fattest.OpDirOpen, fattest.OpTimes, fattest.OpAttr, fattest.OpTruncate:
		var n *fat.Node
		if n, err = t.walk(op.Path); err == nil {
			res, err = t.onNode(n, op)
			release(n)
		}
	case fattest.OpDirRead:
		d := t.dirs[op.Slot]
		if d == nil {
			return fattest.Result{Err: syscall.EBADF}
		}
		res, err = t.readDir(d, op.Len)
	default:
		f := t.files[op.Slot]
		if f == nil {
			return fattest.Result{Err: syscall.EBADF}
		}
		res, err = t.onHandle(f, op)
	}
	res.Err = errnoOf(err)
	if res.Err == syscall.EIO || res.Err == syscall.EROFS {
		res.Note = fmt.Sprintf("error: %v\nlog: %s", err, t.log.String())
	}
	return res
}

func (t *engineTarget) open(op fattest.Op) error {
	dir, name, err := split(t.v, op.Path)
	if err != nil {
		return err
	}
	defer release(dir)
	var n *fat.Node
	made := false
	if name == "" {
		n = dir
	} else {
		n, _, err = t.v.Lookup(dir, name)
	}
	switch {
	case err == nil && op.Flags&fattest.Create != 0 && op.Flags&fattest.Excl != 0:
		release(n)
		return fat.ErrExist
	case errors.Is(err, fat.ErrNotExist) && op.Flags&fattest.Create != 0:
		n, err = t.v.Create(dir, name, 0)
		made = true
	}
	if err != nil {
		return err
	}
	if n.IsDir() {
		release(n)
		return fat.ErrIsDir
	}
	open := n.Open
	if made {
		open = n.OpenAfter // what was made stays made, so that the call succeeds also if the device goes now
	}
	h, err := open()
	if err != nil {
		n.Release(1)
		return err
	}
	f := &openFile{h: h, append: op.Flags&fattest.Append != 0}
	if op.Flags&fattest.Trunc != 0 && !made {
		if err := n.Truncate(0); err != nil {
			f.h.Close()
			n.Release(1)
			return err
		}
	}
	t.close(op.Slot)
	t.files[op.Slot] = f
	return nil
}

func (t *engineTarget) names(op fattest.Op) error {
	dir, name, err := split(t.v, op.Path)
	if err != nil {
		return err
	}
	defer release(dir)
	switch op.Kind {
	case fattest.OpMkdir:
		n, err := t.v.Mkdir(dir, name, 0)
		release(n)
		return err
	case fattest.OpRmdir:
		return t.v.Rmdir(dir, name)
	case fattest.OpUnlink:
		return t.v.Unlink(dir, name)
	}
	to, newName, err := split(t.v, op.To)
	if err != nil {
		return err
	}
	defer release(to)
	return t.v.Rename(dir, name, to, newName, renameFlags(op.Flags))
}

func renameFlags(flags int) (out fat.RenameFlags) {
	if flags&fattest.NoReplace != 0 {
		out |= fat.RenameNoReplace
	}
	if flags&fattest.Exchange != 0 {
		out |= fat.RenameExchange
	}
	return out
}

func (t *engineTarget) onNode(n *fat.Node, op fattest.Op) (res fattest.Result, err error) {
	switch op.Kind {
	case fattest.OpStat:
		res.Stat, err = stat(n)
	case fattest.OpTimes:
		m, a := time.Unix(op.Off, 0), time.Unix(op.Off2, 0)
		err = n.SetTimes(nil, &m, &a)
	case fattest.OpAttr:
		set := fat.Attributes(op.Flags)
		if n.IsDir() {
			set |= fat.AttrDirectory
		}
		err = n.SetAttributes(set)
	case fattest.OpTruncate:
		err = n.Truncate(op.Len)
	default:
		if !n.IsDir() {
			return res, fat.ErrNotDir
		}
		d := &openDir{n: n}
		if op.Kind == fattest.OpList {
			return t.readDir(d, 1<<30)
		}
		if n != t.v.Root() {
			if _, err := t.v.Hold(n); err != nil {
				return res, err
			}
		}
		t.closeDir(op.Slot)
		t.dirs[op.Slot] = d
	}
	return res, err
}

func (t *engineTarget) readDir(d *openDir, n int64) (res fattest.Result, err error) {
	res.End = true
	err = t.v.ReadDir(d.n, d.cookie, func(e *fat.Entry) bool {
		if int64(len(res.Entries)) == n {
			res.End = false
			return false
		}
		res.Entries = append(res.Entries, fattest.DirEntry{Name: e.Name, IsDir: e.IsDir})
		d.cookie = e.Cookie
		return true
	})
	return res, err
}

func stat(n *fat.Node) (fattest.Stat, error) {
	a, err := n.Attr()
	return fattest.Stat{IsDir: a.IsDir, Size: a.Size, Allocated: a.Allocated, Links: a.Links, Ino: a.Ino,
		Attr: byte(a.Attributes), AttrMask: 0x3f, Modified: a.Modified, Accessed: a.Accessed}, err
}

func (t *engineTarget) onHandle(f *openFile, op fattest.Op) (res fattest.Result, err error) {
	h, n := f.h, f.h.Node()
	keep := op.Flags&fattest.KeepSize != 0
	switch op.Kind {
	case fattest.OpClose:
		err = h.Flush()
		t.close(op.Slot)
	case fattest.OpRead:
		res.Data = make([]byte, op.Len)
		var k int
		k, err = h.ReadAt(res.Data, op.Off)
		res.Data, res.N = res.Data[:k], int64(k)
	case fattest.OpWrite:
		var k int
		if f.append {
			k, _, err = h.Append(op.Data())
		} else {
			k, err = h.WriteAt(op.Data(), op.Off)
		}
		res.N = int64(k)
		if k > 0 && errnoOf(err) == syscall.ENOSPC {
			err = nil
		}
	case fattest.OpFtruncate:
		err = n.Truncate(op.Len)
	case fattest.OpAllocate:
		err = n.Allocate(op.Off, op.Len, keep)
	case fattest.OpZero:
		err = n.Zero(op.Off, op.Len, keep)
	case fattest.OpPunch:
		err = n.Zero(op.Off, op.Len, true)
	case fattest.OpCopy:
		g := t.files[op.Slot2]
		if g == nil || g.append {
			return fattest.Result{}, errBadSlot
		}
		res.N, err = n.CopyTo(g.h.Node(), op.Off, op.Off2, op.Len)
	case fattest.OpFsync:
		err = h.Sync()
	case fattest.OpFstat:
		res.Stat, err = stat(n)
	}
	return res, err
}
