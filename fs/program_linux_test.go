package fs

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"fatvol/image/fat"
)

// Tests with the programs that people use on FAT volumes.

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := tryRun(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func tryRun(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	bin, err := exec.LookPath(name)
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skipf("needs %s, which is not installed", name)
		}
	}
	out, err := exec.Command(bin, args...).CombinedOutput()
	return string(out), err
}

func TestFatattr(t *testing.T) {
	m := mount(t, setup{})
	write(t, m.path("f"), "x")
	must(t, os.Mkdir(m.path("d"), 0o777))
	for _, c := range []struct {
		args []string
		name string
		want fat.Attributes
	}{
		{[]string{"+h"}, "f", fat.AttrHidden | fat.AttrArchive},
		{[]string{"+rs", "-a"}, "f", fat.AttrReadOnly | fat.AttrHidden | fat.AttrSystem},
		{[]string{"-rhs"}, "f", 0},
		{[]string{"+hs"}, "d", fat.AttrDirectory | fat.AttrHidden | fat.AttrSystem},
	} {
		run(t, "fatattr", append(c.args, m.path(c.name))...)
		if got := attributes(t, m, c.name); got != c.want {
			t.Errorf("fatattr %v %s: attributes %#x, want %#x", c.args, c.name, got, c.want)
		}
	}
	if out := run(t, "fatattr", m.path("d")); !strings.Contains(out, "hs") {
		t.Errorf("fatattr says %q", out)
	}
	// The kernel must not go on with the mode that it knows.
	wantPerm(t, m.path("f"), 0o777)
	run(t, "fatattr", "+r", m.path("f"))
	wantPerm(t, m.path("f"), 0o555)
	if out, err := tryRun(t, "fatattr", "+h", m.dir); err == nil {
		t.Errorf("the root has attributes: %s", out)
	}
}

func TestLsattrAndChattr(t *testing.T) {
	m := mount(t, setup{})
	write(t, m.path("f"), "x")
	flags := func(m *mounted, name string) string {
		return strings.Fields(run(t, "lsattr", "-d", m.path(name)))[0]
	}
	for _, name := range []string{"f", "."} {
		if got := flags(m, name); strings.Trim(got, "-") != "" {
			t.Errorf("%s: flags %s", name, got)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("the rest needs root")
	}
	if out, err := tryRun(t, "chattr", "+i", m.path("f")); err == nil {
		t.Errorf("chattr +i without sys_immutable: %s", out)
	}
	m = mount(t, setup{fs: Options{SysImmutable: true}})
	write(t, m.path("f"), "x")
	run(t, "chattr", "+i", m.path("f"))
	if got := flags(m, "f"); !strings.Contains(got, "i") {
		t.Errorf("flags %s after chattr +i", got)
	}
	if a := attributes(t, m, "f"); a&fat.AttrSystem == 0 {
		t.Errorf("attributes %#x after chattr +i", a)
	}
	wantErrno(t, "unlink", unix.Unlink(m.path("f")), unix.EPERM)
	if out, err := tryRun(t, "chattr", "+a", m.path("f")); err == nil {
		t.Errorf("chattr +a: %s", out)
	}
	run(t, "chattr", "-i", m.path("f"))
	must(t, os.Remove(m.path("f")))
}

func TestFstrim(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := mount(t, setup{size: 64 << 20, mkfs: []string{"-F", "32"}})
	must(t, os.WriteFile(m.path("f"), bytes.Repeat([]byte("x"), 20<<20), 0o666))
	must(t, os.Remove(m.path("f")))
	m.forgotten(t)
	must(t, m.vol.Sync())
	before := m.dev.Allocated()
	out := run(t, "fstrim", "-v", m.dir)
	match := regexp.MustCompile(`\((\d+) bytes\) trimmed`).FindStringSubmatch(out)
	if match == nil || len(match[1]) < 8 {
		t.Errorf("fstrim says %q", out)
	}
	if after := m.dev.Allocated(); before-after < 19<<20 {
		t.Errorf("%d bytes were in use, %d are after the trim", before, after)
	}
	write(t, m.path("g"), "still fine")
	wantContent(t, m.path("g"), "still fine")
}

func TestXattrPrograms(t *testing.T) {
	m := mount(t, setup{mkfs: []string{"-F", "16", "-n", "MYLABEL", "-i", "1234ABCD"}, fs: Options{
		State: func() map[string]string { return map[string]string{"state": "present", "generation": "1"} },
	}})
	write(t, m.path("A long name.txt"), "x")
	out := run(t, "getfattr", "--absolute-names", "-d", "-m", "-", m.path("A long name.txt"), m.dir)
	for _, want := range []string{
		`user.fatvol.attributes="A"`,
		`user.fatvol.shortname="ALONGN~1.TXT"`,
		`user.fatvol.label="MYLABEL"`,
		`user.fatvol.serial="1234-ABCD"`,
		`user.fatvol.type="FAT16"`,
		`user.fatvol.state="present"`,
		`user.fatvol.generation="1"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("getfattr does not show %s:\n%s", want, out)
		}
	}
	run(t, "setfattr", "-n", "user.fatvol.attributes", "-v", "RH", m.path("A long name.txt"))
	if a := attributes(t, m, "A long name.txt"); a != fat.AttrReadOnly|fat.AttrHidden {
		t.Errorf("attributes %#x", a)
	}
	wantPerm(t, m.path("A long name.txt"), 0o555)
}

func TestXattrErrors(t *testing.T) {
	m := mount(t, setup{})
	write(t, m.path("f"), "x")
	buf := make([]byte, 100)
	get := func(name, attr string) error {
		_, err := unix.Getxattr(m.path(name), attr, buf)
		return err
	}
	set := func(name, attr, value string, flags int) error {
		return unix.Setxattr(m.path(name), attr, []byte(value), flags)
	}
	wantErrno(t, "get of an unknown one", get("f", "user.mine"), unix.ENODATA)
	wantErrno(t, "get of one that only the root has", get("f", "user.fatvol.label"), unix.ENODATA)
	wantErrno(t, "get of one that only files have", get(".", "user.fatvol.attributes"), unix.ENODATA)
	wantErrno(t, "get of an access control list", get("f", "system.posix_acl_access"), unix.ENOTSUP)
	wantErrno(t, "get of a directory's default one", get(".", "system.posix_acl_default"), unix.ENOTSUP)
	wantErrno(t, "set of a free one", set("f", "user.mine", "x", 0), unix.ENOTSUP)
	wantErrno(t, "set of an unknown one", set("f", "user.fatvol.mine", "x", 0), unix.ENOTSUP)
	wantErrno(t, "set of a fixed one", set("f", "user.fatvol.shortname", "F", 0), unix.EPERM)
	wantErrno(t, "set of nonsense", set("f", "user.fatvol.attributes", "XYZ", 0), unix.EINVAL)
	wantErrno(t, "create of one that is there", set("f", "user.fatvol.attributes", "", unix.XATTR_CREATE), unix.EEXIST)
	must(t, set("f", "user.fatvol.attributes", "h", unix.XATTR_REPLACE))
	wantErrno(t, "removal", unix.Removexattr(m.path("f"), "user.fatvol.attributes"), unix.EPERM)
	wantErrno(t, "removal of an unknown one", unix.Removexattr(m.path("f"), "user.mine"), unix.ENODATA)
	if os.Geteuid() == 0 {
		wantErrno(t, "get of a security one", get("f", "security.capability"), unix.ENOTSUP)
		wantErrno(t, "set of a security one", set("f", "security.x", "x", 0), unix.ENOTSUP)
		wantErrno(t, "get of a trusted one", get("f", "trusted.x"), unix.ENOTSUP)
	}
	n, err := unix.Getxattr(m.path("f"), "user.fatvol.attributes", nil)
	if n != 1 || err != nil {
		t.Errorf("the size of an attribute: %d %v", n, err)
	}
	_, err = unix.Listxattr(m.path("f"), make([]byte, 3))
	wantErrno(t, "list into a short buffer", err, unix.ERANGE)
	if n, err := unix.Listxattr(m.path("f"), nil); n != len("user.fatvol.attributes.user.fatvol.shortname.") || err != nil {
		t.Errorf("the size of the list: %d %v", n, err)
	}
}

// ioctlCall passes a buffer to ioctl(2).
func ioctlCall(fd int, cmd uint32, arg unsafe.Pointer) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(cmd), uintptr(arg))
	runtime.KeepAlive(arg)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func TestIoctls(t *testing.T) {
	m := mount(t, setup{mkfs: []string{"-F", "16", "-i", "CAFEBABE", "-n", "OLD"}})
	f := create(t, m.path("f"), "x")
	fd := int(f.Fd())
	var v uint32
	if _, err := ioctlCall(fd, ioctlGetVolumeID, unsafe.Pointer(&v)); err != nil || v != 0xcafebabe {
		t.Errorf("volume id %#x %v", v, err)
	}
	if _, err := ioctlCall(fd, ioctlGetAttributes, unsafe.Pointer(&v)); err != nil || v != uint32(fat.AttrArchive) {
		t.Errorf("attributes %#x %v", v, err)
	}
	v = 0xffffff00 | uint32(fat.AttrHidden|fat.AttrDirectory|fat.AttrVolumeID)
	if _, err := ioctlCall(fd, ioctlSetAttributes, unsafe.Pointer(&v)); err != nil {
		t.Error(err)
	}
	if a := attributes(t, m, "f"); a != fat.AttrHidden {
		t.Errorf("attributes %#x, want hidden alone", a)
	}
	d, err := unix.Open(m.dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	if _, err := ioctlCall(d, ioctlGetAttributes, unsafe.Pointer(&v)); err != nil || v != uint32(fat.AttrDirectory) {
		t.Errorf("attributes of the root %#x %v", v, err)
	}
	v = uint32(fat.AttrHidden)
	_, err = ioctlCall(d, ioctlSetAttributes, unsafe.Pointer(&v))
	wantErrno(t, "attributes of the root", err, unix.EINVAL)
	_, err = ioctlCall(fd, unix.TCGETS, unsafe.Pointer(&make([]byte, 100)[0]))
	wantErrno(t, "TCGETS", err, unix.ENOTTY)

	label := make([]byte, labelSize)
	if _, err := ioctlCall(d, ioctlGetLabel, unsafe.Pointer(&label[0])); err != nil || cString(label) != "OLD" {
		t.Errorf("label %q %v", cString(label), err)
	}
	clear(label)
	copy(label, "a:b")
	_, err = ioctlCall(d, ioctlSetLabel, unsafe.Pointer(&label[0]))
	wantErrno(t, "a bad label", err, unix.EINVAL)
	clear(label)
	copy(label, "NEW ONE")
	if _, err := ioctlCall(d, ioctlSetLabel, unsafe.Pointer(&label[0])); err != nil {
		t.Error(err)
	}
	must(t, f.Close())
	must(t, unix.Close(d))
	m.unmount(t)
	img := filepath.Join(t.TempDir(), "img")
	must(t, m.dev.WriteFile(img))
	if out := run(t, "mlabel", "-s", "-i", img, "::"); !strings.Contains(out, "NEW ONE") {
		t.Errorf("mlabel says %q", out)
	}
}

func cString(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func TestScan(t *testing.T) {
	m := mount(t, setup{})
	must(t, os.Mkdir(m.path("d"), 0o777))
	write(t, m.path("d/A rather long name.text"), "")
	write(t, m.path("d/SHORT.TXT"), "")
	write(t, m.path("d/lower.txt"), "")
	want := []scanned{
		{short: "."}, {short: ".."},
		{short: "ARATHE~1.TEX", long: "A rather long name.text"},
		{short: "SHORT.TXT"},
		{short: "LOWER.TXT", long: "lower.txt"},
	}
	for _, l := range []scanLayout{scan64, scan32} {
		for _, nr := range []uint32{scanBoth, scanShort} {
			fd := openDir(t, m.path("d"))
			for range 2 { // after the end it starts again
				for i := 0; ; i++ {
					buf := make([]byte, 2*l.size)
					n, err := ioctlCall(fd, l.command(nr), unsafe.Pointer(&buf[0]))
					must(t, err)
					short, long := l.get(buf), l.get(buf[l.size:])
					if n == 0 {
						if i != len(want) || short != "" {
							t.Errorf("%+v: %d entries, want %d; the last %q", l, i, len(want), short)
						}
						break
					}
					if i >= len(want) {
						t.Fatalf("%+v: more than %d entries", l, len(want))
					}
					w := want[i]
					if nr == scanShort {
						w.long = ""
					}
					if short != w.short || long != w.long {
						t.Errorf("%+v: %q %q, want %q %q", l, short, long, w.short, w.long)
					}
				}
			}
		}
	}
	f, err := os.Open(m.path("d/SHORT.TXT"))
	must(t, err)
	defer f.Close()
	buf := make([]byte, 2*scan64.size)
	_, err = ioctlCall(int(f.Fd()), scan64.command(scanBoth), unsafe.Pointer(&buf[0]))
	wantErrno(t, "on a file", err, unix.ENOTDIR)
}

// get gives the name in an encoded dirent, after checking that its length is right.
func (l scanLayout) get(b []byte) string {
	n := binary.NativeEndian.Uint16(b[2*l.word:])
	name := cString(b[2*l.word+2 : 2*l.word+2+scanName])
	if int(n) != len(name) {
		return "wrong length of " + name
	}
	return name
}
