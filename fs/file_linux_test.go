package fs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// create makes a file that is open for reading and writing until the test's end.
func create(t testing.TB, name, content string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	_, err = f.WriteString(content)
	must(t, err)
	return f
}

func size(t testing.TB, name string) int64 {
	t.Helper()
	fi, err := os.Stat(name)
	must(t, err)
	return fi.Size()
}

// pattern is content that shows where it came from.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8*3 + seed)
	}
	return b
}

func TestWriteAndRead(t *testing.T) {
	for _, c := range []struct {
		name string
		mkfs []string
		size int64
		wb   bool
	}{
		{"FAT12", []string{"-F", "12"}, 4 << 20, false},
		{"FAT16", []string{"-F", "16"}, 32 << 20, false},
		{"FAT32", []string{"-F", "32"}, 64 << 20, false},
		{"FAT16, write-back", []string{"-F", "16"}, 32 << 20, true},
		{"FAT32, sectors of 4096", []string{"-F", "32", "-S", "4096"}, 300 << 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mount(t, setup{mkfs: c.mkfs, size: c.size, fs: Options{Writeback: c.wb}})
			want := map[string][]byte{}
			for i, n := range []int{0, 1, 511, 512, 4095, 4096, 4097, 128<<10 + 1, 1<<20 + 5, 2<<20 - 1} {
				if int64(n) > c.size/4 {
					continue
				}
				name := m.path(fmt.Sprintf("file %d.bin", n))
				want[name] = pattern(i, n)
				must(t, os.WriteFile(name, want[name], 0o666))
			}
			for name, b := range want {
				got, err := os.ReadFile(name)
				must(t, err)
				if !bytes.Equal(got, b) {
					t.Errorf("%s: cached contents differ", name)
				}
				m.InvalidateAll()
				if got, err = os.ReadFile(name); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s: contents differ when read anew (%v)", name, err)
				}
			}
		})
	}
}

func TestOverwriteAndHoles(t *testing.T) {
	m := mount(t, setup{})
	f := create(t, m.path("f"), "0123456789")
	_, err := f.WriteAt([]byte("XYZ"), 3)
	must(t, err)
	_, err = f.WriteAt([]byte("end"), 100_000)
	must(t, err)
	want := append([]byte("012XYZ6789"), make([]byte, 100_000-10)...)
	want = append(want, "end"...)
	m.InvalidateAll()
	got := make([]byte, len(want)+10)
	n, err := f.ReadAt(got, 0)
	if err != io.EOF || !bytes.Equal(got[:n], want) {
		t.Errorf("read %d bytes, %v; want %d, which differ: %v", n, err, len(want), !bytes.Equal(got[:n], want))
	}
}

func TestAppend(t *testing.T) {
	for _, flags := range []int{0, unix.O_DIRECT, unix.O_SYNC} {
		t.Run(fmt.Sprintf("flags %#x", flags), func(t *testing.T) {
			m := mount(t, setup{})
			write(t, m.path("log"), "")
			var files []*os.File
			for range 2 {
				f, err := os.OpenFile(m.path("log"), os.O_WRONLY|os.O_APPEND|flags, 0)
				must(t, err)
				defer f.Close()
				files = append(files, f)
			}
			block := aligned(4096)
			for i := range 8 {
				for j := range block {
					block[j] = byte('a' + i)
				}
				_, err := files[i%2].Write(block)
				must(t, err)
			}
			got, err := os.ReadFile(m.path("log"))
			must(t, err)
			for i := range 8 {
				if part := got[i*4096 : (i+1)*4096]; part[0] != byte('a'+i) || part[4095] != byte('a'+i) {
					t.Errorf("block %d is of %c to %c", i, part[0], part[4095])
				}
			}
		})
	}
}

// aligned gives a buffer that direct I/O takes.
func aligned(n int) []byte {
	b := make([]byte, n+4096)
	off := int(-uintptr(unsafe.Pointer(&b[0])) & 4095)
	return b[off : off+n]
}

func TestDirect(t *testing.T) {
	m := mount(t, setup{})
	must(t, os.WriteFile(m.path("f"), pattern(1, 300_000), 0o666))
	f, err := os.OpenFile(m.path("f"), os.O_RDWR|unix.O_DIRECT, 0)
	must(t, err)
	defer f.Close()
	b := aligned(64 << 10)
	if n, err := f.ReadAt(b, 4096); err != nil || !bytes.Equal(b[:n], pattern(1, 300_000)[4096:4096+n]) {
		t.Errorf("direct read: %d %v", n, err)
	}
	copy(b, pattern(9, len(b)))
	if _, err := f.WriteAt(b, 8192); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(m.path("f"))
	must(t, err)
	if !bytes.Equal(got[8192:8192+len(b)], b) {
		t.Error("a buffered read does not see what was written directly")
	}
	write(t, m.path("f"), "now buffered")
	if n, err := f.ReadAt(b, 0); err != io.EOF || string(b[:n]) != "now buffered" {
		t.Errorf("a direct read does not see what was written through the cache: %q %v", b[:n], err)
	}
}

func TestTruncate(t *testing.T) {
	m := mount(t, setup{})
	content := pattern(3, 50_000)
	must(t, os.WriteFile(m.path("f"), content, 0o666))
	check := func(n int, tail []byte) {
		t.Helper()
		m.InvalidateAll()
		got, err := os.ReadFile(m.path("f"))
		must(t, err)
		if want := append(append([]byte{}, content[:n]...), tail...); !bytes.Equal(got, want) {
			t.Errorf("%d bytes, want %d; or they differ", len(got), len(want))
		}
	}
	must(t, os.Truncate(m.path("f"), 12_345))
	check(12_345, nil)
	must(t, os.Truncate(m.path("f"), 20_000))
	check(12_345, make([]byte, 20_000-12_345))
	f, err := os.OpenFile(m.path("f"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(100))
	check(100, nil)
	if _, err := os.OpenFile(m.path("f"), os.O_RDONLY|os.O_TRUNC, 0); err != nil {
		t.Error(err)
	}
	check(0, nil)
	wantErrno(t, "truncate of a directory", os.Truncate(m.dir, 0), unix.EISDIR)
}

func TestFallocate(t *testing.T) {
	m := mount(t, setup{})
	f := create(t, m.path("f"), string(pattern(5, 40_000)))
	fd := int(f.Fd())
	must(t, unix.Fallocate(fd, 0, 0, 100_000))
	if n := size(t, m.path("f")); n != 100_000 {
		t.Errorf("size %d after fallocate", n)
	}
	must(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 200_000))
	if n := size(t, m.path("f")); n != 100_000 {
		t.Errorf("size %d after fallocate with KEEP_SIZE", n)
	}
	must(t, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1000, 5000))
	must(t, unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 30_000, 100_000))
	must(t, unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, 20_000, 10))
	want := append(pattern(5, 40_000), make([]byte, 90_000)...)
	clear(want[1000:6000])
	clear(want[20_000:20_010])
	clear(want[30_000:])
	for range 2 {
		got, err := os.ReadFile(m.path("f"))
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes, want %d; or they differ", len(got), len(want))
		}
		m.InvalidateAll()
	}
	for _, mode := range []uint32{unix.FALLOC_FL_COLLAPSE_RANGE, unix.FALLOC_FL_INSERT_RANGE, unix.FALLOC_FL_UNSHARE_RANGE} {
		wantErrno(t, fmt.Sprintf("fallocate mode %#x", mode), unix.Fallocate(fd, mode, 0, 4096), unix.EOPNOTSUPP)
	}
	wantErrno(t, "more than there is", unix.Fallocate(fd, 0, 0, 1<<30), unix.ENOSPC)
}

func TestSeekDataHole(t *testing.T) {
	m := mount(t, setup{})
	f := create(t, m.path("f"), "")
	must(t, f.Truncate(10_000))
	for range 2 { // the first asks us, the kernel knows from then on
		for _, c := range []struct {
			off    int64
			whence int
			want   int64
			errno  syscall.Errno
		}{
			{0, unix.SEEK_DATA, 0, 0},
			{9_999, unix.SEEK_DATA, 9_999, 0},
			{0, unix.SEEK_HOLE, 10_000, 0},
			{9_999, unix.SEEK_HOLE, 10_000, 0},
			{10_000, unix.SEEK_DATA, 0, unix.ENXIO},
			{10_000, unix.SEEK_HOLE, 0, unix.ENXIO},
			{20_000, unix.SEEK_DATA, 0, unix.ENXIO},
		} {
			got, err := unix.Seek(int(f.Fd()), c.off, c.whence)
			wantErrno(t, fmt.Sprintf("seek %d whence %d", c.off, c.whence), err, c.errno)
			if err == nil && got != c.want {
				t.Errorf("seek %d whence %d: %d, want %d", c.off, c.whence, got, c.want)
			}
		}
	}
}

func TestCopyFileRange(t *testing.T) {
	for _, wb := range []bool{false, true} {
		t.Run(fmt.Sprintf("write-back %v", wb), func(t *testing.T) {
			m := mount(t, setup{size: 100 << 20, fs: Options{Writeback: wb}})
			content := pattern(2, 3<<20+123)
			src := create(t, m.path("src"), string(content))
			dst := create(t, m.path("dst"), "head")
			if b, err := os.ReadFile(m.path("dst")); err != nil || string(b) != "head" {
				t.Fatalf("%q %v", b, err)
			}
			// Both sides have changes that may be in the kernel only.
			_, err := src.WriteAt([]byte("fresh"), 1<<20)
			must(t, err)
			copy(content[1<<20:], "fresh")
			in, out := int64(0), int64(2)
			for left := len(content); left > 0; {
				n, err := unix.CopyFileRange(int(src.Fd()), &in, int(dst.Fd()), &out, left, 0)
				must(t, err)
				if n == 0 {
					t.Fatal("nothing copied")
				}
				left -= n
			}
			got, err := os.ReadFile(m.path("dst"))
			must(t, err)
			if !bytes.Equal(got, append([]byte("he"), content...)) {
				t.Errorf("the copy differs (%d bytes)", len(got))
			}
			in = 1 << 30
			if n, err := unix.CopyFileRange(int(src.Fd()), &in, int(dst.Fd()), &out, 100, 0); n != 0 || err != nil {
				t.Errorf("copy from beyond the end: %d %v", n, err)
			}
		})
	}
}

func TestSyncs(t *testing.T) {
	m := mount(t, setup{})
	f := create(t, m.path("f"), "data")
	must(t, f.Sync())
	must(t, unix.Fdatasync(int(f.Fd())))
	d, err := os.Open(m.dir)
	must(t, err)
	defer d.Close()
	must(t, d.Sync())
	must(t, unix.Syncfs(int(d.Fd())))
}

// Locks are the kernel's own, and as good as on any file system.
func TestLocks(t *testing.T) {
	m := mount(t, setup{})
	a := create(t, m.path("f"), "x")
	b, err := os.OpenFile(m.path("F"), os.O_RDWR, 0) // by another spelling it is the same file
	must(t, err)
	defer b.Close()
	must(t, unix.Flock(int(a.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	wantErrno(t, "second flock", unix.Flock(int(b.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EAGAIN)
	must(t, unix.Flock(int(a.Fd()), unix.LOCK_UN))
	must(t, unix.Flock(int(b.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	must(t, unix.FcntlFlock(a.Fd(), unix.F_OFD_SETLK, &lock))
	wantErrno(t, "second fcntl lock", unix.FcntlFlock(b.Fd(), unix.F_OFD_SETLK, &lock), unix.EAGAIN)
}
