package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// partitioned makes a file of 64 MiB with two FAT volumes, at 1 and at 32 MiB, and something else.
func partitioned(t testing.TB) string {
	t.Helper()
	path := newFile(t, 64*mib)
	m := device.NewMem(64 * mib)
	putTable(t, m, 0, entry{0, 6, 2048, 32768}, entry{0, 6, 65536, 32768}, entry{0, 0x83, 100_000, 1000})
	put(t, m, mib, fatVolume(t, 16*mib, "-F", "16", "-n", "ONE"))
	put(t, m, 32*mib, fatVolume(t, 16*mib, "-F", "16", "-n", "TWO"))
	if err := m.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen(t *testing.T) {
	path := partitioned(t)
	for _, c := range []struct {
		name        string
		opt         OpenOptions
		start, size int64
		err         error
	}{
		{"no choice", OpenOptions{}, 0, 0, ErrAmbiguous},
		{"number", OpenOptions{Partition: "2"}, 32 * mib, 16 * mib, nil},
		{"label", OpenOptions{Partition: "one", ReadOnly: true}, mib, 16 * mib, nil},
		{"offset", OpenOptions{Offset: mib}, mib, 63 * mib, nil},
		{"offset and limit", OpenOptions{Offset: 32 * mib, SizeLimit: 16 * mib}, 32 * mib, 16 * mib, nil},
		{"limit below the volume", OpenOptions{Offset: 32 * mib, SizeLimit: 8 * mib}, 0, 0, fat.ErrTruncated},
		{"offset of something else", OpenOptions{Offset: 3 * mib}, 0, 0, ErrNoVolume},
		{"offset of nothing", OpenOptions{Offset: 63 * mib}, 0, 0, ErrNoVolume},
		{"no table", OpenOptions{NoTable: true}, 0, 0, ErrNoVolume},
		{"offset at the end", OpenOptions{Offset: 64 * mib}, 0, 0, ErrBeyondEnd},
		{"offset beyond", OpenOptions{Offset: 1 << 62}, 0, 0, ErrBeyondEnd},
		{"limit beyond", OpenOptions{Offset: mib, SizeLimit: 64 * mib}, 0, 0, ErrBeyondEnd},
		{"limit that overflows", OpenOptions{Offset: mib, SizeLimit: 1<<63 - 1}, 0, 0, ErrBeyondEnd},
		{"negative offset", OpenOptions{Offset: -1}, 0, 0, syscall.EINVAL},
		{"negative limit", OpenOptions{SizeLimit: -1}, 0, 0, syscall.EINVAL},
		{"both", OpenOptions{Partition: "1", Offset: mib}, 0, 0, syscall.EINVAL},
		{"odd offset", OpenOptions{Offset: mib + 100}, 0, 0, syscall.EINVAL},
		{"something else", OpenOptions{Partition: "3"}, 0, 0, ErrNoVolume},
		{"no such", OpenOptions{Partition: "4"}, 0, 0, ErrNoPartition},
	} {
		im, err := OpenVolume(path, c.opt)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), path+": ") || strings.Count(err.Error(), path) != 1 {
				t.Errorf("%s: %q does not begin with the path, once", c.name, err)
			}
			continue
		}
		if im.Partition.Start != c.start || im.Device().Size() != c.size || im.ReadOnly() != c.opt.ReadOnly || im.Path() != path {
			t.Errorf("%s: %+v", c.name, im.Partition)
		}
		_, werr := im.Device().WriteAt([]byte{0}, 0)
		if ro := errors.Is(werr, device.ErrReadOnly); ro != c.opt.ReadOnly || !ro && werr != nil {
			t.Errorf("%s: write: %v", c.name, werr)
		} else if !ro {
			write(t, im.Device(), 0, []byte{0xeb})
		}
		if _, err := im.Device().ReadAt(make([]byte, 1), c.size); !errors.Is(err, device.ErrBounds) {
			t.Errorf("%s: read behind the volume: %v", c.name, err)
		}
		if err := im.Close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestOpenWritesNothing checks that opening leaves every byte of the image and its times alone.
func TestOpenWritesNothing(t *testing.T) {
	path := partitioned(t)
	before, err := device.ReadMem(path)
	if err != nil {
		t.Fatal(err)
	}
	st, _ := os.Stat(path)
	for _, opt := range []OpenOptions{{}, {Partition: "1"}, {Offset: mib}, {ReadOnly: true}} {
		if im, err := OpenVolume(path, opt); err == nil {
			im.Close()
		}
	}
	after, err := device.ReadMem(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff, eq := before.Equal(after); !eq {
		t.Errorf("byte %d changed", diff)
	}
	if now, _ := os.Stat(path); !now.ModTime().Equal(st.ModTime()) {
		t.Error("the modification time changed")
	}
}

func TestOpenMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing.img")
	for _, ro := range []bool{false, true} {
		if _, err := OpenVolume(path, OpenOptions{ReadOnly: ro}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	}
	if _, err := OpenVolume(t.TempDir(), OpenOptions{}); !errors.Is(err, device.ErrNotStorage) {
		t.Errorf("a directory: %v", err)
	}
}

// TestOpenWriteProtected opens an image on a host that is read-only.
func TestOpenWriteProtected(t *testing.T) {
	dir := mountOn(t, "tmpfs", "none", "size=80m")
	path := filepath.Join(dir, "disk.img")
	if err := fatVolume(t, 16*mib, "-F", "16").WriteFile(path); err != nil {
		t.Fatal(err)
	}
	run(t, "", "mount", "-o", "remount,ro", dir)
	im, err := OpenVolume(path, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !im.ReadOnly() || len(im.Notes()) != 1 || !strings.Contains(im.Notes()[0], "write-protected") {
		t.Errorf("read-only %v, notes %q", im.ReadOnly(), im.Notes())
	}
	if _, err := im.Device().WriteAt([]byte{0}, 0); !errors.Is(err, device.ErrReadOnly) {
		t.Errorf("write: %v", err)
	}
	im.Close()
	if _, err := OpenVolume(path, OpenOptions{NoFallback: true}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("for writing and nothing else: %v", err)
	}
	im, err = OpenVolume(path, OpenOptions{ReadOnly: true})
	if err != nil || len(im.Notes()) != 0 {
		t.Errorf("for reading: %v", err)
	}
	im.Close()
}

// TestOpenTruncated names both sizes.
func TestOpenTruncated(t *testing.T) {
	path := partitioned(t)
	if err := os.Truncate(path, 40*mib); err != nil {
		t.Fatal(err)
	}
	if im, err := OpenVolume(path, OpenOptions{Partition: "1"}); err != nil {
		t.Errorf("a partition before the cut: %v", err)
	} else {
		im.Close()
	}
	_, err := OpenVolume(path, OpenOptions{Partition: "2"})
	if !errors.Is(err, ErrBeyondEnd) || !strings.Contains(err.Error(), fmt.Sprint(40*mib)) || !strings.Contains(err.Error(), fmt.Sprint(16*mib)) {
		t.Errorf("a partition beyond it: %v", err)
	}
}

func TestOpenOverlap(t *testing.T) {
	path := partitioned(t)
	h, err := device.OpenHost(path, true)
	if err != nil {
		t.Fatal(err)
	}
	putTable(t, h, 0, entry{0, 6, 2048, 32768}, entry{0, 6, 34000, 1000})
	h.Close()
	if _, err := OpenVolume(path, OpenOptions{}); !errors.Is(err, ErrOverlap) {
		t.Errorf("for writing: %v", err)
	}
	im, err := OpenVolume(path, OpenOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	im.Close()
}

// TestOpenBlockDevice opens a partitioned disk.
func TestOpenBlockDevice(t *testing.T) {
	dev := attach(t, partitioned(t))
	im, err := OpenVolume(dev, OpenOptions{Partition: "TWO"})
	if err != nil {
		t.Fatal(err)
	}
	if !im.Host().IsDisk() || im.Partition.Start != 32*mib || im.ReadOnly() {
		t.Errorf("%+v", im.Partition)
	}
	im.Close()
}

// TestOpenReadOnlyDisk opens a disk that is write-protected itself.
func TestOpenReadOnlyDisk(t *testing.T) {
	dev := attach(t, partitioned(t), "--read-only")
	im, err := OpenVolume(dev, OpenOptions{Partition: "ONE"})
	if err != nil {
		t.Fatal(err)
	}
	if !im.ReadOnly() || len(im.Notes()) != 1 {
		t.Errorf("read-only %v, notes %q", im.ReadOnly(), im.Notes())
	}
	im.Close()
}

// TestLocateByNumber has a table count that would not count otherwise, as a number was asked for.
func TestLocateByNumber(t *testing.T) {
	m := fatVolume(t, 64*mib, "-F", "32")
	putTable(t, m, 0, entry{0, 6, 2048, 32768}, entry{0, 6, 100_000, 100_000}) // the second one is beyond the end
	put(t, m, mib, fatVolume(t, 16*mib, "-F", "16"))
	if v, err := Locate(m, OpenOptions{}); err != nil || v.Partition.Number != 0 {
		t.Errorf("no choice: %v", err)
	}
	if v, err := Locate(m, OpenOptions{Partition: "1"}); err != nil || v.Partition.Start != mib || v.Layout.Scheme != MBR {
		t.Errorf("partition 1: %v", err)
	}
	if _, err := Locate(m, OpenOptions{Partition: "2"}); !errors.Is(err, ErrBeyondEnd) {
		t.Errorf("partition 2: %v", err)
	}
	if v, err := Locate(m, OpenOptions{NoTable: true}); err != nil || v.Device().Size() != 64*mib || v.Layout != nil {
		t.Errorf("no table: %v", err)
	}
}

// BenchmarkOpen opens and locks a volume at the beginning of images of different lengths.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int64{64 * mib, 2 << 40} {
		b.Run(formatSize(size), func(b *testing.B) {
			path := newFile(b, size)
			h, err := device.OpenHost(path, true)
			if err != nil {
				b.Fatal(err)
			}
			put(b, h, 0, fatVolume(b, 64*mib, "-F", "32"))
			h.Close()
			for b.Loop() {
				im, err := OpenVolume(path, OpenOptions{})
				if err != nil {
					b.Fatal(err)
				}
				im.Close()
			}
		})
	}
}

// TestLocateOnWrapper locates a volume on a device that is no host file.
func TestLocateOnWrapper(t *testing.T) {
	v, err := Locate(fatVolume(t, 16*mib, "-F", "16"), OpenOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Device().WriteAt([]byte{1}, 0); !errors.Is(err, device.ErrReadOnly) {
		t.Errorf("write: %v", err)
	}
	if _, err := Locate(device.NewMem(0), OpenOptions{}); !errors.Is(err, ErrNoVolume) {
		t.Errorf("no bytes: %v", err)
	}
}
