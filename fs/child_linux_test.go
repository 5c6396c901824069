package fs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// Some things need a process of their own: to be another user, and to wait for the server in a page
// fault, which stops Go's scheduler. The test binary runs itself for that.
const childEnv = "FATVOL_FS_TEST_CHILD"

var children = map[string]func(args []string) error{
	"mmap":         childMmap,
	"unprivileged": childUnprivileged,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := children[name](os.Args[1:]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if left := leftovers(); len(left) > 0 {
		fmt.Printf("FAIL: left over: %q\n", left)
		code = 1
	}
	os.Exit(code)
}

// leftovers are connections to the kernel that no test closed.
func leftovers() (left []string) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		name := "/proc/self/fd/" + fd.Name()
		if to, err := os.Readlink(name); err == nil && to == devFuse {
			left = append(left, name+" to "+to)
		}
	}
	return left
}

// child runs one of the children, as the given user if that is not nil.
func child(t *testing.T, who *syscall.Credential, name string, args ...string) {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	if who != nil {
		dir := t.TempDir()
		reachable(t, dir)
		b, err := os.ReadFile(exe)
		must(t, err)
		exe = filepath.Join(dir, "child")
		must(t, os.WriteFile(exe, b, 0o755))
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Dir = "/"
	if who != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

func TestMmap(t *testing.T) {
	for _, wb := range []bool{false, true} {
		m := mount(t, setup{fs: Options{Writeback: wb}})
		must(t, os.WriteFile(m.path("f"), pattern(1, 100_000), 0o666))
		child(t, nil, "mmap", m.path("f"))
		m.InvalidateAll()
		got, err := os.ReadFile(m.path("f"))
		must(t, err)
		want := pattern(1, 100_000)
		copy(want[5000:], "through the map")
		copy(want[99_990:], "the end")
		copy(want[70_000:], "after close")
		if !bytes.Equal(got, want) {
			t.Errorf("write-back %v: %d bytes, want %d; or they differ", wb, len(got), len(want))
		}
	}
}

// childMmap reads and writes a file through maps.
func childMmap(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	size := int(fi.Size())
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if want := pattern(1, size); !bytes.Equal(mem, want) {
		return errors.New("the map shows other contents")
	}
	copy(mem[5000:], "through the map")
	copy(mem[size-10:], "the end")
	if err := unix.Msync(mem, unix.MS_SYNC); err != nil {
		return err
	}
	b := make([]byte, 15)
	if _, err := f.ReadAt(b, 5000); err != nil || string(b) != "through the map" {
		return fmt.Errorf("read after a change of the map: %q %v", b, err)
	}
	if _, err := f.WriteAt([]byte("written"), 20_000); err != nil {
		return err
	}
	if string(mem[20_000:20_007]) != "written" {
		return errors.New("the map does not show what was written")
	}
	if _, err := f.WriteAt(pattern(1, size)[20_000:20_007], 20_000); err != nil {
		return err
	}
	// The map outlives the descriptor.
	if err := f.Close(); err != nil {
		return err
	}
	copy(mem[70_000:], "after close")
	if err := unix.Msync(mem, unix.MS_SYNC); err != nil {
		return err
	}
	return unix.Munmap(mem)
}

func TestUnprivileged(t *testing.T) {
	var who *syscall.Credential
	if os.Geteuid() == 0 {
		who = &syscall.Credential{Uid: 65534, Gid: 65534} // fusermount3 wants a user with a name: nobody
	}
	if _, err := exec.LookPath(fusermount); err != nil {
		t.Skip("needs fusermount3 (fuse3)")
	}
	if fi, err := os.Stat("/dev/fuse"); err != nil || fi.Mode().Perm()&0o006 != 0o006 {
		t.Skip("needs /dev/fuse for everybody")
	}
	base := t.TempDir()
	reachable(t, base)
	img := filepath.Join(base, "img")
	must(t, newDevice(t, 4<<20, "-F", "12").WriteFile(img))
	dir := filepath.Join(base, "a, b and \\c")
	must(t, os.Mkdir(dir, 0o777))
	if who != nil {
		must(t, os.Chown(dir, int(who.Uid), int(who.Gid)))
		must(t, os.Chmod(img, 0o666))
	}
	child(t, who, "unprivileged", img, dir)
}

// childUnprivileged mounts an image without being root.
func childUnprivileged(args []string) error {
	img, dir := args[0], args[1]
	dev, err := device.ReadMem(img)
	if err != nil {
		return err
	}
	vol, err := fat.Open(dev, fat.Options{})
	if err != nil {
		return err
	}
	defer vol.Close()
	opt := Options{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), DefaultPermissions: true, FSName: img + `,\x`, NoAtime: true, StrictAtime: true}

	// allow_other is root's to allow.
	if conf, err := os.ReadFile("/etc/fuse.conf"); err == nil && !bytes.Contains(conf, []byte("\nuser_allow_other")) {
		other := opt
		other.AllowOther = true
		s, err := Mount(vol, dir, other)
		if err == nil {
			s.Unmount()
			return errors.New("allow_other was allowed")
		}
		if !errors.Is(err, ErrNotPermitted) || !strings.Contains(err.Error(), "user_allow_other") || strings.Contains(err.Error(), "\n") {
			return fmt.Errorf("allow_other: %w", err)
		}
	}
	if s, err := Mount(vol, "/proc", opt); !errors.Is(err, ErrNotPermitted) {
		if err == nil {
			s.Unmount()
		}
		return fmt.Errorf("mount on /proc: %w", err)
	}

	s, err := Mount(vol, dir, opt)
	if err != nil {
		return err
	}
	err = useUnprivileged(dir)
	if i, e := topMount(dir); e != nil || i == nil {
		err = errors.Join(err, fmt.Errorf("mount table: %v %w", i, e))
	} else if i.Source != opt.FSName || i.FSType != "fuse.fatvol" || !strings.Contains(i.Options, "nosuid,nodev,noatime") {
		err = errors.Join(err, fmt.Errorf("mounted from %q as %q with %q", i.Source, i.FSType, i.Options))
	}
	f, e := os.Open(dir)
	if e != nil {
		return errors.Join(err, e)
	}
	if e := s.Unmount(); !errors.Is(e, syscall.EBUSY) {
		err = errors.Join(err, fmt.Errorf("unmount while busy: %w", e))
	}
	f.Close()
	if e := s.Unmount(); e != nil {
		return errors.Join(err, e)
	}
	s.Wait()
	return err
}

func useUnprivileged(dir string) error {
	name := filepath.Join(dir, "file")
	fd, err := unix.Open(name, unix.O_CREAT|unix.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte("hello")); err != nil {
		return err
	}
	b := make([]byte, 10)
	n, err := unix.Pread(fd, b, 0)
	if err != nil && err != io.EOF || string(b[:n]) != "hello" {
		return fmt.Errorf("read %q %w", b[:n], err)
	}
	return nil
}
