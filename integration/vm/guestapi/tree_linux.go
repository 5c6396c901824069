package guestapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TreeFile is a file or a directory to write.
type TreeFile struct {
	Path     string // in the tree, with slashes
	Dir      bool
	Size     int
	Modified time.Time // zero: now
	Accessed time.Time // zero: Modified
}

// Content is what WriteTree writes into a file: it follows from the path and the size.
func (f TreeFile) Content() []byte {
	p := make([]byte, (f.Size+7)&^7)
	x := uint64(f.Size)
	for _, c := range []byte(f.Path) {
		x = next(x ^ uint64(c))
	}
	for i := 0; i < len(p); i += 8 {
		x = next(x)
		for k := range 8 {
			p[i+k] = byte(x >> (8 * k))
		}
	}
	return p[:f.Size]
}

// WriteTreeArgs ask for a tree in a directory that is there.
type WriteTreeArgs struct {
	Root  string
	Files []TreeFile
}

// WriteTree writes the files in the order given, and then the times of all of them.
func WriteTree(a WriteTreeArgs) error {
	for _, f := range a.Files {
		path := filepath.Join(a.Root, f.Path)
		var err error
		if f.Dir {
			err = os.Mkdir(path, 0o777)
		} else {
			err = os.WriteFile(path, f.Content(), 0o666)
		}
		if err != nil {
			return err
		}
	}
	// Files in a directory change its time, so the deepest come first.
	for _, f := range slices.Backward(a.Files) {
		if f.Modified.IsZero() {
			continue
		}
		accessed := f.Accessed
		if accessed.IsZero() {
			accessed = f.Modified
		}
		if err := os.Chtimes(filepath.Join(a.Root, f.Path), accessed, f.Modified); err != nil {
			return err
		}
	}
	return nil
}

// TreeEntry is what a file system says about a file or a directory.
type TreeEntry struct {
	Path       string
	Short      string // 8.3 form as VFAT_IOCTL_READDIR_BOTH gives it
	Mode       fs.FileMode
	UID, GID   uint32
	Size       int64
	Blocks     int64 // of 512 bytes
	Modified   time.Time
	Accessed   time.Time
	Attributes uint32 // as FAT_IOCTL_GET_ATTRIBUTES gives them
	SHA256     string // of a file's content
}

// ReadTreeArgs ask for the entries below Root.
type ReadTreeArgs struct {
	Root string
	// NoIoctl leaves Short and Attributes empty, for file systems that are not FAT.
	NoIoctl bool
}

// ReadTree returns the entries below the root, sorted by path, without the root.
func ReadTree(a ReadTreeArgs) (entries []TreeEntry, err error) {
	short := map[string]string{}
	err = filepath.WalkDir(a.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && !a.NoIoctl {
			if err := shortNames(path, short); err != nil {
				return err
			}
		}
		if path == a.Root {
			return nil
		}
		e, err := readEntry(path, !a.NoIoctl)
		if err != nil {
			return err
		}
		e.Path, e.Short = strings.TrimPrefix(path, a.Root+"/"), short[path]
		entries = append(entries, e)
		return nil
	})
	slices.SortFunc(entries, func(a, b TreeEntry) int { return strings.Compare(a.Path, b.Path) })
	return entries, err
}

// ReadImageArgs ask for what the kernel's vfat finds in an image.
type ReadImageArgs struct {
	Image   string
	Options string // of vfat, besides those that make it read-only
}

// ImageTree is what is in an image.
type ImageTree struct {
	Entries []TreeEntry // none if not all of it could be read
	Refused string      // why it was not mounted; "" if it was
}

// SHA256 is the digest of p as a TreeEntry has it.
func SHA256(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

func readEntry(path string, attributes bool) (e TreeEntry, err error) {
	// Attributes first: reading the content may change the access time.
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return e, fmt.Errorf("stat %s: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return e, err
	}
	e = TreeEntry{
		Mode: info.Mode(), UID: st.Uid, GID: st.Gid, Size: st.Size, Blocks: st.Blocks,
		Modified: time.Unix(st.Mtim.Unix()), Accessed: time.Unix(st.Atim.Unix()),
	}
	f, err := os.Open(path)
	if err != nil {
		return e, err
	}
	defer f.Close()
	if attributes {
		const getAttributes = 2<<30 | 4<<16 | 'r'<<8 | 0x10 // FAT_IOCTL_GET_ATTRIBUTES
		n, err := unix.IoctlGetUint32(int(f.Fd()), getAttributes)
		if err != nil {
			return e, fmt.Errorf("FAT_IOCTL_GET_ATTRIBUTES %s: %w", path, err)
		}
		e.Attributes = n
	}
	if info.Mode().IsRegular() {
		data, err := os.ReadFile(path)
		if err != nil {
			return e, err
		}
		if int64(len(data)) != e.Size {
			return e, fmt.Errorf("%s: %d bytes read, size is %d", path, len(data), e.Size)
		}
		e.SHA256 = SHA256(data)
	}
	return e, nil
}

// fatDirent is struct __fat_dirent of linux/msdos_fs.h.
type fatDirent struct {
	Ino    int
	Offset int
	Length uint16
	Name   [256]byte
}

// shortNames adds the 8.3 forms of the names in a directory, by path.
func shortNames(dir string, short map[string]string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		var pair [2]fatDirent // the 8.3 name, the long name
		request := uintptr(2<<30 | uint32(unsafe.Sizeof(pair))<<16 | 'r'<<8 | 1)
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&pair)))
		if errno != 0 {
			return fmt.Errorf("VFAT_IOCTL_READDIR_BOTH %s: %w", dir, errno)
		}
		if n == 0 || pair[0].Length == 0 {
			return nil
		}
		long, alias := cstring(pair[1].Name[:]), cstring(pair[0].Name[:])
		if long == "" {
			long = alias
		}
		if alias == "." || alias == ".." {
			continue
		}
		short[filepath.Join(dir, long)] = alias
	}
}

func cstring(p []byte) string {
	p, _, _ = bytes.Cut(p, []byte{0})
	return string(p)
}
