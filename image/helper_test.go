package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fatvol/image/device"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// needTools skips a test that runs other programs which are not there.
func needTools(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// run runs a program, and fails the test when it fails.
func run(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	needTools(t, name)
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// newFile makes a sparse file.
func newFile(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// mkfs formats size bytes at offset of a file.
func mkfs(t testing.TB, path string, offset, size int64, args ...string) {
	t.Helper()
	args = append(args, "--mbr=n", "--offset", strconv.FormatInt(offset/512, 10), path, strconv.FormatInt(size/kib, 10))
	run(t, "", "mkfs.fat", args...)
}

var volumes = struct {
	sync.Mutex
	m map[string]*device.Mem
}{m: make(map[string]*device.Mem)}

// fatVolume is a formatted volume in memory.
func fatVolume(t testing.TB, size int64, args ...string) *device.Mem {
	t.Helper()
	volumes.Lock()
	defer volumes.Unlock()
	key := fmt.Sprint(size, args)
	if volumes.m[key] == nil {
		path := newFile(t, size)
		mkfs(t, path, 0, size, args...)
		m, err := device.ReadMem(path)
		if err != nil {
			t.Fatal(err)
		}
		volumes.m[key] = m
	}
	return volumes.m[key].Clone()
}

// put copies a volume into a disk.
func put(t testing.TB, disk device.Device, off int64, volume *device.Mem) {
	t.Helper()
	buf, zero := make([]byte, mib), make([]byte, mib)
	for at := int64(0); at < volume.Size(); at += mib {
		n := min(mib, volume.Size()-at)
		if _, err := volume.ReadAt(buf[:n], at); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(buf[:n], zero[:n]) {
			write(t, disk, off+at, buf[:n])
		}
	}
}

func write(t testing.TB, d device.Device, off int64, p []byte) {
	t.Helper()
	if _, err := d.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, d device.Device, off, n int64) []byte {
	t.Helper()
	p := make([]byte, n)
	if _, err := d.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	return p
}

// entry is a partition for putTable, in sectors.
type entry struct {
	flag, typ    byte
	start, count uint32
}

// putTable writes a partition table into the sector at off, and leaves the code before it alone.
func putTable(t testing.TB, d device.Device, off int64, entries ...entry) {
	t.Helper()
	p := make([]byte, 66)
	for i, e := range entries {
		p[i*16], p[i*16+4] = e.flag, e.typ
		binary.LittleEndian.PutUint32(p[i*16+8:], e.start)
		binary.LittleEndian.PutUint32(p[i*16+12:], e.count)
	}
	p[64], p[65] = 0x55, 0xaa
	write(t, d, off+mbrEntries, p)
}

func scan(t testing.TB, d device.Device) *Layout {
	t.Helper()
	l, err := Scan(d)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// kinds sums a layout up: "1:FAT16 5:FAT12".
func kinds(l *Layout) string {
	var list []string
	for _, p := range l.Partitions {
		list = append(list, strconv.Itoa(p.Number)+":"+p.Content.Kind)
	}
	return strings.Join(list, " ")
}
