package fs

import (
	"encoding/binary"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// A scanLayout is how VFAT_IOCTL_READDIR_BOTH and _SHORT lay out a struct __fat_dirent
// (linux/msdos_fs.h): long d_ino, long d_off, short d_reclen, char d_name[256]. Two of them make the
// argument, so the size in the command tells the layouts of 64-bit and 32-bit programs apart.
type scanLayout struct{ word, size int }

var (
	scan64 = scanLayout{word: 8, size: 280}
	scan32 = scanLayout{word: 4, size: 268}
)

const (
	scanBoth  = 1
	scanShort = 2

	scanName = 256
)

func (l scanLayout) command(nr uint32) uint32 {
	return iocRead<<30 | uint32(2*l.size)<<16 | 'r'<<8 | nr
}

func (l scanLayout) putWord(b []byte, v uint64) {
	if l.word == 8 {
		binary.NativeEndian.PutUint64(b, v)
		return
	}
	binary.NativeEndian.PutUint32(b, uint32(v))
}

// put encodes an entry. d_reclen is the length of the name, as vfat has it.
func (l scanLayout) put(b []byte, ino, off uint64, name string) {
	l.putWord(b, ino)
	l.putWord(b[l.word:], off)
	b = b[2*l.word:]
	n := copy(b[2:2+scanName-1], name)
	binary.NativeEndian.PutUint16(b, uint16(n))
}

// A scanned entry has an 8.3 name, and a long one if that is different.
type scanned struct {
	short, long string
	ino, off    uint64
}

// ioctlScan gives the next entry of an open directory: 1 and the entry, or 0 at the end. The first
// dirent of the reply has the 8.3 name, the second the long name unless only short ones are wanted.
//
// The position is one of these ioctls alone, since the kernel does not tell us that of the
// descriptor. At the end it goes back to the start, so that a second scan works as after lseek(2).
func (fs *fileSystem) ioctlScan(r *ioctlRequest) (int32, fuse.Status) {
	if !r.n.IsDir() {
		return 0, fuse.ENOTDIR
	}
	l := scan64
	if len(r.out) < 2*l.size {
		l = scan32
	}
	s := fs.scan(r.Fh)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := fs.nextScanned(r.n, s.off)
	if err != nil {
		return 0, fs.status(err)
	}
	if e == nil {
		s.off = 0
		return 0, fuse.OK
	}
	s.off = e.off
	l.put(r.out, 0, 0, e.short)
	if e.long != "" && r.Cmd == l.command(scanBoth) {
		l.put(r.out[l.size:], e.ino, e.off, e.long)
	}
	return 1, fuse.OK
}

// nextScanned gives the entry after off, or nil at the end.
func (fs *fileSystem) nextScanned(n *node, off uint64) (found *scanned, err error) {
	full := !fs.dots(n, off, func(d fuse.DirEntry) bool {
		if found != nil {
			return false
		}
		found = &scanned{short: d.Name, ino: d.Ino, off: d.Off}
		return true
	})
	if full || found != nil {
		return found, nil
	}
	err = fs.vol.ReadDir(n.Node, cookie(off), func(e *fat.Entry) bool {
		if found != nil {
			return false
		}
		found = &scanned{ino: e.Ino, off: e.Cookie + offDotDot}
		found.short, found.long = e.Pair()
		return true
	})
	return found, err
}
