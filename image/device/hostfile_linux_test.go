package device_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
)

func needRoot(t *testing.T, tools ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// loopOf attaches a loop device to path.
func loopOf(t *testing.T, path string, args ...string) string {
	t.Helper()
	needRoot(t, "losetup")
	dev := run(t, "losetup", append(args, "--find", "--show", path)...)
	t.Cleanup(func() { run(t, "losetup", "--detach", dev) })
	return dev
}

func mountTemp(t *testing.T, fstype, source, options string) string {
	t.Helper()
	needRoot(t, "mount")
	dir := t.TempDir()
	run(t, "mount", "-t", fstype, "-o", options, source, dir)
	t.Cleanup(func() { run(t, "umount", dir) })
	return dir
}

func TestHostBlockDevice(t *testing.T) {
	const size = 1 << 20
	for _, sector := range []string{"512", "4096"} {
		t.Run(sector, func(t *testing.T) {
			path := newFile(t, size)
			h := openHost(t, loopOf(t, path, "--sector-size", sector), true)
			if h.Size() != size || !h.IsDisk() || sector != map[int]string{512: "512", 4096: "4096"}[h.SectorSize()] {
				t.Fatalf("size %d, disk %v, sectors of %d", h.Size(), h.IsDisk(), h.SectorSize())
			}
			checkModel(t, h, make([]byte, size), rand.New(rand.NewPCG(3, 4)), 150)
		})
	}
}

// TestHostBlockDeviceClaim checks that a disk that is mounted is not opened for writing.
func TestHostBlockDeviceClaim(t *testing.T) {
	needRoot(t, "mkfs.ext4")
	path := newFile(t, 4<<20)
	run(t, "mkfs.ext4", "-q", path)
	dev := loopOf(t, path)
	mountTemp(t, "ext4", dev, "defaults")
	if h, err := device.OpenHost(dev, true); !errors.Is(err, unix.EBUSY) {
		if err == nil {
			h.Close()
		}
		t.Errorf("open for writing while mounted: %v", err)
	}
	openHost(t, dev, false)
}

func TestHostWriteProtected(t *testing.T) {
	dir := mountTemp(t, "tmpfs", "none", "size=1m")
	path := filepath.Join(dir, "image")
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-o", "remount,ro", dir)
	if _, err := device.OpenHost(path, true); !device.IsWriteProtected(err) || !errors.Is(err, unix.EROFS) {
		t.Errorf("open for writing: %v, want EROFS", err)
	}
	openHost(t, path, false).Close()
	dev := loopOf(t, newFile(t, 1<<20), "--read-only")
	if _, err := device.OpenHost(dev, true); !errors.Is(err, unix.EROFS) {
		t.Errorf("open a write-protected disk for writing: %v, want EROFS", err)
	}
	openHost(t, dev, false)
}

// TestHostWithoutRanges runs on hosts that can do less and less: tmpfs can punch holes only, ramfs
// nothing at all.
func TestHostWithoutRanges(t *testing.T) {
	const size = 1 << 20
	for fstype, discards := range map[string]bool{"tmpfs": true, "ramfs": false} {
		t.Run(fstype, func(t *testing.T) {
			path := filepath.Join(mountTemp(t, fstype, "none", "mode=0700"), "image")
			if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
			h := openHost(t, path, true)
			for range 2 { // the second time it is known what the host refuses
				if _, err := h.WriteAt(bytes.Repeat([]byte{7}, size), 0); err != nil {
					t.Fatal(err)
				}
				if err := h.ZeroAt(1, size-2); err != nil {
					t.Fatal(err)
				}
				got, _ := os.ReadFile(path)
				if got[0] != 7 || got[size-1] != 7 || len(bytes.Trim(got[1:size-1], "\x00")) != 0 {
					t.Error("not zeroed, or too much")
				}
				err := h.DiscardAt(0, size)
				if discards && err != nil || !discards && !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("DiscardAt: %v", err)
				}
			}
		})
	}
}

func allocated(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// TestHostBlocks looks at the blocks of the host: zeroing keeps them, discarding gives them back.
func TestHostBlocks(t *testing.T) {
	dir := mountExt4(t)
	path := filepath.Join(dir, "image")
	const size = 4 << 20
	if err := os.WriteFile(path, bytes.Repeat([]byte{1}, size), 0o600); err != nil {
		t.Fatal(err)
	}
	h := openHost(t, path, true)
	if err := h.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := h.ZeroAt(0, size); err != nil {
		t.Fatal(err)
	}
	if n := allocated(t, path); n < size {
		t.Errorf("%d of %d bytes allocated after zeroing", n, size)
	}
	if err := h.DiscardAt(0, size); err != nil {
		t.Fatal(err)
	}
	if n := allocated(t, path); n > 64<<10 {
		t.Errorf("%d bytes allocated after discarding everything", n)
	}
}

// TestHostZeroWithoutSpace zeros a hole of a host that is full: there is room for zeros all the same.
func TestHostZeroWithoutSpace(t *testing.T) {
	dir := mountExt4(t)
	path := filepath.Join(dir, "image")
	const size = 4 << 20
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 64<<20), 0o600)
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the host is not full: %v", err)
	}
	h := openHost(t, path, true)
	if err := h.ZeroAt(0, size); err != nil {
		t.Errorf("ZeroAt: %v", err)
	}
	_, werr := h.WriteAt(bytes.Repeat([]byte{1}, size), 0)
	if !errors.Is(werr, unix.ENOSPC) || !strings.Contains(werr.Error(), path) || !strings.Contains(werr.Error(), "offset 0") {
		t.Errorf("write to a full host: %v", werr)
	}
}

func mountExt4(t *testing.T) string {
	t.Helper()
	needRoot(t, "mkfs.ext4", "losetup")
	fs := newFile(t, 24<<20)
	run(t, "mkfs.ext4", "-q", fs)
	return mountTemp(t, "ext4", loopOf(t, fs), "defaults")
}
