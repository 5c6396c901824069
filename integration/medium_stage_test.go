package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A stage is an image on something that can vanish.
type stage struct {
	img string
	// snapshot remembers what is on the medium now: with that it comes back.
	snapshot func()
	// away takes the medium away; back brings it back. Either may be called again.
	away, back func()
}

// copyFile copies a file, holes included.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	run(t, "cp", "--sparse=always", from, to)
}

// fileStage is an image in a directory; away is what is done to it.
func fileStage(t testing.TB, away func(t testing.TB, img string)) *stage {
	img := mkfsFAT(t, 40<<20, "-F", "32", "-s", "1", "-n", "STICK")
	saved := filepath.Join(t.TempDir(), "saved.img")
	return &stage{
		img:      img,
		snapshot: func() { copyFile(t, img, saved) },
		away:     func() { away(t, img) },
		back: func() {
			copyFile(t, saved, img+".new")
			if err := os.Rename(img+".new", img); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// A loopStick is an ext4 file system on a loop device, with an image on it.
type loopStick struct {
	t                 testing.TB
	flash, loop, host string
}

func newLoopStick(t testing.TB) (s *loopStick, img string) {
	needRoot(t)
	need(t, "losetup", "mkfs.ext4")
	dir := t.TempDir()
	s = &loopStick{t: t, flash: filepath.Join(dir, "flash"), host: filepath.Join(dir, "host")}
	if err := os.Mkdir(s.host, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "truncate", "-s", "96M", s.flash)
	run(t, "mkfs.ext4", "-q", "-m", "0", s.flash)
	s.plug()
	t.Cleanup(s.unplug)
	img = filepath.Join(s.host, "volume.img")
	run(t, "truncate", "-s", "40M", img)
	run(t, "mkfs.fat", "-F", "32", "-s", "1", "-n", "STICK", img)
	run(t, "sync", "-f", img)
	return s, img
}

func (s *loopStick) plug() {
	s.t.Helper()
	s.loop = strings.TrimSpace(run(s.t, "losetup", "--find", "--show", s.flash))
	run(s.t, "mount", s.loop, s.host)
}

func (s *loopStick) unplug() {
	runCode(s.t, "umount", "-l", s.host)
	runCode(s.t, "losetup", "-d", s.loop)
}

// kill leaves a device of no bytes under the mounted host: all that is asked of it fails.
func (s *loopStick) kill() {
	s.t.Helper()
	if err := os.Truncate(s.flash, 0); err != nil {
		s.t.Fatal(err)
	}
	f, err := os.Open(s.loop)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	// At once: until then, it takes writes.
	const loopSetCapacity = 0x4c07 // LOOP_SET_CAPACITY of linux/loop.h
	if err := unix.IoctlSetInt(int(f.Fd()), loopSetCapacity, 0); err != nil {
		s.t.Fatal(err)
	}
}

// dyingStage is a stick whose device dies under the host.
func dyingStage(t testing.TB) *stage {
	s, img := newLoopStick(t)
	return &stage{
		img:      img,
		snapshot: func() { copyFile(t, s.flash, s.flash+".saved") },
		away:     s.kill,
		back: func() {
			s.unplug()
			copyFile(t, s.flash+".saved", s.flash)
			s.plug()
		},
	}
}

// lazyStage is a stick whose host is unmounted lazily.
func lazyStage(t testing.TB) *stage {
	s, img := newLoopStick(t)
	return &stage{img: img, snapshot: func() {}, away: s.unplug, back: s.plug}
}
