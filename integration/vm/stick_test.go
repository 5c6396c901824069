//go:build linux

package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fatvol/integration/vm/guestapi"
)

// Stick is a USB stick. Its content is a file on this side, which belongs to the guest while the
// stick is plugged in.
type Stick struct {
	Path string
	// FS is the file system in its only partition: "ext4" or "vfat", or "" where the whole stick is
	// the content, without a partition table.
	FS         string
	SectorSize int  // in bytes
	ReadOnly   bool // its switch is on
	Speed      int  // in bytes per second; 0 is as fast as it can
	Port       int  // of the machine that it is plugged into; 0 is 1

	// Log is an empty file that records what the stick is given to write, as a writeLog; "" is none.
	Log string

	id     string // in QEMU; "" while it is not plugged in
	serial string
}

const (
	partitionStart = 1 << 20
	stickSize      = 160 << 20
	// imageName is the name of the image on a stick with a file system.
	imageName = "volume.img"
)

// NewStick makes a stick with a partition of the given file system, and a copy of the image in it.
// Its sectors have 512 or 4096 bytes.
func NewStick(t testing.TB, fsType, image string, sectorSize int) *Stick {
	t.Helper()
	s := &Stick{Path: filepath.Join(t.TempDir(), "stick"), FS: fsType, SectorSize: sectorSize, serial: "FATVOL1"}
	table := make([]byte, 512)
	entry := table[446:]
	entry[4] = map[string]byte{"ext4": 0x83, "vfat": 0x0c}[fsType]
	binary.LittleEndian.PutUint32(entry[8:], partitionStart/512)
	binary.LittleEndian.PutUint32(entry[12:], (stickSize-partitionStart)/512)
	table[510], table[511] = 0x55, 0xaa
	if err := os.WriteFile(s.Path, table, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.Path, stickSize); err != nil {
		t.Fatal(err)
	}
	switch fsType {
	case "ext4":
		host(t, "mkfs.ext4", "-q", "-F", "-b", "4096", "-E", fmt.Sprintf("offset=%d,nodiscard", partitionStart),
			s.Path, fmt.Sprintf("%dk", (stickSize-partitionStart)>>10))
	case "vfat":
		width := map[int]string{512: "32", 4096: "16"}[sectorSize] // as many clusters as these have sectors
		// mkfs.fat counts the offset in the sectors of -S.
		host(t, "mkfs.fat", "-F", width, "-s", "1", "-S", fmt.Sprint(sectorSize), "--offset", fmt.Sprint(partitionStart/sectorSize),
			s.Path, fmt.Sprint((stickSize-partitionStart)>>10))
	default:
		t.Fatalf("no such file system for a stick: %q", fsType)
	}
	s.SetImage(t, image)
	return s
}

// RawStick is a stick without a partition table, whose content is the given file itself.
func RawStick(path string) *Stick { return &Stick{Path: path, SectorSize: 512, serial: "FATVOLRAW"} }

// Clone makes another stick with the same content.
func (s *Stick) Clone(t testing.TB) *Stick {
	t.Helper()
	clone := &Stick{Path: filepath.Join(t.TempDir(), "clone"), FS: s.FS, SectorSize: s.SectorSize, Speed: s.Speed, serial: "FATVOL2"}
	host(t, "cp", "--sparse=always", s.Path, clone.Path)
	return clone
}

// Image copies the image out of a stick that is not plugged in, as another computer would see it:
// the journal of its file system is replayed before.
func (s *Stick) Image(t testing.TB) (path string) {
	t.Helper()
	s.mustBeOut(t)
	path = filepath.Join(t.TempDir(), imageName)
	switch s.FS {
	case "ext4":
		s.recover(t)
		host(t, "debugfs", "-R", "dump /"+imageName+" "+path, s.partition())
	case "vfat":
		host(t, "mcopy", "-n", "-i", s.partition(), "::"+imageName, path)
	default:
		host(t, "cp", "--sparse=always", s.Path, path)
	}
	return path
}

// SetImage replaces the image in a stick that is not plugged in.
func (s *Stick) SetImage(t testing.TB, image string) {
	t.Helper()
	s.mustBeOut(t)
	switch s.FS {
	case "ext4":
		s.recover(t)
		// debugfs does not tell by its exit code whether it worked, and there may be nothing to remove.
		host(t, "debugfs", "-w", "-R", "rm /"+imageName, s.partition())
		host(t, "debugfs", "-w", "-R", "write "+image+" "+imageName, s.partition())
		info, err := os.Stat(image)
		if err != nil {
			t.Fatal(err)
		}
		if out := host(t, "debugfs", "-R", "stat /"+imageName, s.partition()); !strings.Contains(out, fmt.Sprintf("Size: %d\n", info.Size())) {
			t.Fatalf("the image is not on the stick:\n%s", out)
		}
	case "vfat":
		host(t, "mcopy", "-o", "-i", s.partition(), image, "::"+imageName)
	default:
		host(t, "cp", "--sparse=always", image, s.Path)
	}
}

// Edit changes the image in a stick that is not plugged in.
func (s *Stick) Edit(t testing.TB, change func(image string)) {
	t.Helper()
	image := s.Image(t)
	change(image)
	s.SetImage(t, image)
}

// recover replays the journal of the stick's ext4, as a computer does when it mounts it. e2fsck
// cannot do that in the middle of a file.
func (s *Stick) recover(t testing.TB) {
	t.Helper()
	part := filepath.Join(t.TempDir(), "partition")
	skip := fmt.Sprint(partitionStart >> 20)
	host(t, "dd", "bs=1M", "conv=sparse", "skip="+skip, "if="+s.Path, "of="+part)
	out, err := exec.Command("e2fsck", "-fy", part).CombinedOutput()
	var exit *exec.ExitError
	// 1 is: errors were corrected.
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		t.Fatalf("e2fsck of the stick: %v\n%s", err, out)
	}
	// What dd does not write must not be what was there before.
	if err := errors.Join(os.Truncate(s.Path, partitionStart), os.Truncate(s.Path, stickSize)); err != nil {
		t.Fatal(err)
	}
	host(t, "dd", "bs=1M", "conv=sparse,notrunc", "seek="+skip, "if="+part, "of="+s.Path)
}

func (s *Stick) mustBeOut(t testing.TB) {
	t.Helper()
	if s.id != "" {
		t.Fatal("the stick is plugged in: it belongs to the guest")
	}
}

// partition is the stick's file system in the syntax of the tools for it.
func (s *Stick) partition() string {
	if s.FS == "vfat" {
		return fmt.Sprintf("%s@@%d", s.Path, partitionStart)
	}
	return fmt.Sprintf("%s?offset=%d", s.Path, partitionStart)
}

// host runs a program of this machine, which must succeed, and returns what it prints.
func host(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null", "TZ=UTC", "LC_ALL=C.UTF-8")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out.Bytes())
	}
	return out.String()
}

// newImage makes an image of size bytes with a volume in it; the arguments are those of mkfs.fat.
// No part of it is a hole, as in images that were written with dd.
func newImage(t testing.TB, size int64, args ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "new.img")
	if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	host(t, "mkfs.fat", append(args, path)...)
	return path
}

// write makes a file with the content.
func write(t testing.TB, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// fileSum is the digest of a file.
func fileSum(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return guestapi.SHA256(data)
}
