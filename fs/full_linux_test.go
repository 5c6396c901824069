package fs

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fatvol/image/fat"
)

// fillUp takes all space of the volume but for so many clusters, and returns the size of one.
func fillUp(t *testing.T, m *mounted, leave int) (cluster int64) {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(m.dir, &st))
	f := create(t, m.path("filler"), "")
	must(t, unix.Fallocate(int(f.Fd()), 0, 0, (int64(st.Bfree)-int64(leave))*int64(st.Bsize)))
	return int64(st.Bsize)
}

// The kernel makes EIO of a direct write that is cut short, and EIO says that the medium is broken.
func TestDirectWriteThatDoesNotFit(t *testing.T) {
	m := mount(t, setup{})
	cluster := fillUp(t, m, 4)
	f, err := os.OpenFile(m.path("f"), os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o666)
	must(t, err)
	defer f.Close()
	start := bytes.Repeat([]byte{'s'}, int(cluster))
	_, err = f.WriteAt(start, 0)
	must(t, err)
	if n, err := f.WriteAt(make([]byte, 5*cluster), cluster); !errors.Is(err, syscall.ENOSPC) || n != 0 {
		t.Errorf("write of 5 clusters where 3 are free: %d bytes, %v", n, err)
	}
	if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, start) {
		t.Errorf("the file has %d bytes after that, had %d; %v", len(got), cluster, err)
	}
	_, err = f.WriteAt(make([]byte, 3*cluster), cluster)
	must(t, err)
}

func TestDirectWriteAcrossTheLargestSize(t *testing.T) {
	m := mount(t, setup{mkfs: []string{"-F", "32", "-s", "64"}, size: 5 << 30})
	f, err := os.OpenFile(m.path("f"), os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o666)
	must(t, err)
	defer f.Close()
	const most = fat.MaxFileSize
	must(t, f.Truncate(most-100))
	if n, err := f.WriteAt(make([]byte, 512), most-100); !errors.Is(err, syscall.EFBIG) || n != 0 {
		t.Errorf("write across 4 GiB: %d bytes, %v", n, err)
	}
	if s := size(t, f.Name()); s != most-100 {
		t.Errorf("%d bytes after that, want %d", s, int64(most)-100)
	}
	_, err = f.WriteAt(make([]byte, 100), most-100)
	must(t, err)
	must(t, f.Truncate(0)) // fsck.fat takes the clusters of such a file for 0 bytes
}

// What the kernel has acknowledged and cannot get rid of, whoever syncs is told of.
func TestWritebackThatDoesNotFit(t *testing.T) {
	m := mount(t, setup{fs: Options{Writeback: true}})
	cluster := fillUp(t, m, 4)
	f := create(t, m.path("f"), "")
	_, err := f.Write(make([]byte, 6*cluster))
	if err == nil {
		err = f.Sync()
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("6 clusters written back where 4 are free: %v", err)
	}
}
