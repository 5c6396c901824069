package watch

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeSys builds a part of sysfs: directories, files and links, as path and contents or target.
func fakeSys(t *testing.T, dirs []string, links, files map[string]string) string {
	t.Helper()
	sys, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mk := func(path string) string {
		full := filepath.Join(sys, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		return full
	}
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Join(sys, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, target := range links {
		if err := os.Symlink(filepath.Join(sys, target), mk(path)); err != nil {
			t.Fatal(err)
		}
	}
	for path, contents := range files {
		if err := os.WriteFile(mk(path), []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

func TestDevicesUnder(t *testing.T) {
	const sda, sdb, dm, md = "/devices/usb/block/sda", "/devices/ata/block/sdb", "/devices/virtual/block/dm-0", "/devices/virtual/block/md0"
	sys := fakeSys(t,
		[]string{sda + "/sda1", sdb, dm, md},
		map[string]string{
			"dev/block/8:0": sda, "dev/block/8:1": sda + "/sda1", "dev/block/8:16": sdb, "dev/block/253:0": dm, "dev/block/9:0": md,
			dm + "/slaves/sda1": sda + "/sda1",
			md + "/slaves/sda":  sda, md + "/slaves/sdb": sdb,
			sdb + "/slaves/dm-0": dm, // a loop, which there cannot be
		},
		map[string]string{sda + "/sda1/partition": "1\n"})
	for name, c := range map[string]struct {
		place Place
		want  devices
	}{
		"partition":      {Place{Dev: unix.Mkdev(8, 1)}, devices{{sda + "/sda1", true}, {sda, true}}},
		"encrypted":      {Place{Dev: unix.Mkdev(253, 0)}, devices{{dm, true}, {sda + "/sda1", true}, {sda, true}}},
		"image is disk":  {Place{Dev: unix.Mkdev(0, 6), Rdev: unix.Mkdev(8, 0)}, devices{{sda, true}}},
		"mirror, looped": {Place{Dev: unix.Mkdev(9, 0)}, devices{{md, true}, {sda, false}, {sdb, false}, {dm, false}, {sda + "/sda1", false}}},
	} {
		got, err := devicesUnder(sys, c.place)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
	if d, err := devicesUnder(sys, Place{Dev: unix.Mkdev(0, 40)}); !errors.Is(err, errNoDevice) {
		t.Errorf("no device: %v, %v", d, err)
	}
}

func TestLoopDeviceLeadsToItsFile(t *testing.T) {
	backing := filepath.Join(t.TempDir(), "backing")
	if err := os.WriteFile(backing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(backing, &st); err != nil {
		t.Fatal(err)
	}
	const loop, disk = "/devices/virtual/block/loop0", "/devices/usb/block/sdz"
	link := "dev/block/" + mountNumber(int(unix.Major(st.Dev))) + ":" + mountNumber(int(unix.Minor(st.Dev)))
	sys := fakeSys(t, []string{loop, disk}, map[string]string{"dev/block/7:0": loop, link: disk},
		map[string]string{loop + "/loop/backing_file": backing + "\n"})
	got, err := devicesUnder(sys, Place{Dev: unix.Mkdev(7, 0)})
	if want := (devices{{loop, true}, {disk, true}}); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// rawEvent is one of inotify's.
func rawEvent(mask uint32, name string) []byte {
	b := make([]byte, unix.SizeofInotifyEvent)
	binary.NativeEndian.PutUint32(b[4:], mask)
	if name != "" {
		padded := append([]byte(name), make([]byte, 16-len(name)%16)...)
		binary.NativeEndian.PutUint32(b[12:], uint32(len(padded)))
		b = append(b, padded...)
	}
	return b
}

func TestParseEvents(t *testing.T) {
	for name, c := range map[string]struct {
		events []byte
		want   []Signal
	}{
		"attributes of the image": {rawEvent(unix.IN_ATTRIB, ""), []Signal{Suspect}},
		"image deleted":           {rawEvent(unix.IN_DELETE, "image"), []Signal{Suspect}},
		"image created":           {rawEvent(unix.IN_CREATE, "image"), []Signal{Suspect, MaybeBack}},
		"others":                  {slices.Concat(rawEvent(unix.IN_CREATE, "image2"), rawEvent(unix.IN_DELETE, "im")), nil},
		"several":                 {slices.Concat(rawEvent(unix.IN_DELETE, "x"), rawEvent(unix.IN_MOVED_TO, "image")), []Signal{Suspect, MaybeBack}},
		"overflow":                {rawEvent(unix.IN_Q_OVERFLOW, ""), []Signal{Suspect, MaybeBack}},
		"cut":                     {rawEvent(unix.IN_CREATE, "image")[:20], nil},
		"nothing":                 {nil, nil},
	} {
		if got := parseEvents(c.events, "image"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func FuzzParseEvents(f *testing.F) {
	f.Add(rawEvent(unix.IN_CREATE, "image"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(parseEvents(b, "image")); n > 2*(len(b)/unix.SizeofInotifyEvent) {
			t.Errorf("%d signals of %d bytes", n, len(b))
		}
	})
}
