package image

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
	"fatvol/image/fat/fattest"
)

// lockEnv makes the test binary open an image, say so, and keep it until its input ends.
const lockEnv = "FATVOL_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(lockEnv); path != "" {
		os.Exit(hold(path))
	}
	os.Exit(m.Run())
}

func hold(path string) int {
	im, err := OpenVolume(path, OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("open")
	bufio.NewReader(os.Stdin).ReadString('\n')
	im.Close()
	return 0
}

// holder is another process which has an image open for writing.
type holder struct {
	cmd *exec.Cmd
	in  interface{ Close() error }
}

func startHolder(t *testing.T, path string) *holder {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lockEnv+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the other process says %q", line)
	}
	return &holder{cmd, in}
}

func volumeFile(t *testing.T) string {
	t.Helper()
	path := newFile(t, 16*mib)
	if err := fatVolume(t, 16*mib, "-F", "16").WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// tryOpen opens and closes an image.
func tryOpen(path string, opt OpenOptions) error {
	im, err := OpenVolume(path, opt)
	if err != nil {
		return err
	}
	return im.Close()
}

// TestLock goes through all pairs of openings, and through other names of the file.
func TestLock(t *testing.T) {
	path := volumeFile(t)
	dir := filepath.Dir(path)
	names := map[string]string{"same": path, "hard link": filepath.Join(dir, "hard"), "symlink": filepath.Join(dir, "soft")}
	if err := os.Link(path, names["hard link"]); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, names["symlink"]); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		bind := t.TempDir()
		run(t, "", "mount", "--bind", dir, bind)
		t.Cleanup(func() { run(t, "", "umount", bind) })
		names["bind mount"] = filepath.Join(bind, filepath.Base(path))
	}
	for name, other := range names {
		for _, c := range []struct{ first, second, conflict bool }{ // read-only?
			{false, false, true}, {false, true, true}, {true, false, true}, {true, true, false},
		} {
			im, err := OpenVolume(path, OpenOptions{ReadOnly: c.first})
			if err != nil {
				t.Fatal(err)
			}
			err = tryOpen(other, OpenOptions{ReadOnly: c.second})
			if c.conflict != errors.Is(err, ErrLocked) || !c.conflict && err != nil {
				t.Errorf("%s, first read-only %v, second %v: %v", name, c.first, c.second, err)
			}
			if err := tryOpen(other, OpenOptions{ReadOnly: c.second, NoLock: true}); err != nil {
				t.Errorf("%s, without a lock: %v", name, err)
			}
			im.Close()
			if err := tryOpen(other, OpenOptions{}); err != nil {
				t.Errorf("%s, after the first is closed: %v", name, err)
			}
		}
	}
}

// TestLockHolder names the process that has the image, and has the lock end with it.
func TestLockHolder(t *testing.T) {
	path := volumeFile(t)
	h := startHolder(t, path)
	for _, ro := range []bool{false, true} {
		err := tryOpen(path, OpenOptions{ReadOnly: ro})
		var locked *LockedError
		if !errors.As(err, &locked) || locked.Path != path || locked.Write == ro {
			t.Fatalf("%v", err)
		}
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", h.cmd.Process.Pid))
		want := fmt.Sprintf("process %d (%s)", h.cmd.Process.Pid, strings.TrimSpace(string(comm)))
		if locked.Holder != want || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "unmount") {
			t.Errorf("%v; want %s", err, want)
		}
	}
	h.cmd.Process.Kill()
	h.cmd.Wait()
	if err := tryOpen(path, OpenOptions{}); err != nil {
		t.Errorf("the holder was killed: %v", err)
	}
}

// TestLockHolderMount says where the image is mounted.
func TestLockHolderMount(t *testing.T) {
	needRoot(t)
	path := volumeFile(t)
	held, err := OpenVolume(path, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	// A mount that nobody serves is enough to be listed.
	dir := t.TempDir()
	conn, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer conn.Close()
	if err := unix.Mount(path, dir, "fuse.fatvol", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", conn.Fd())); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	link := path + " hard"
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		if err := tryOpen(name, OpenOptions{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "mounted on "+dir) {
			t.Errorf("%v", err)
		}
	}
}

// TestLockReaderHolder: somebody reads, and is not said to write.
func TestLockReaderHolder(t *testing.T) {
	path := volumeFile(t)
	im, err := OpenVolume(path, OpenOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	err = tryOpen(path, OpenOptions{})
	if !errors.Is(err, ErrLocked) || strings.Contains(err.Error(), "for writing") || !strings.Contains(err.Error(), fmt.Sprintf("process %d (", os.Getpid())) {
		t.Errorf("%v", err)
	}
}

// TestLockPOSIX meets a lock of the other sort.
func TestLockPOSIX(t *testing.T) {
	path := volumeFile(t)
	needTools(t, "python3")
	cmd := exec.Command("python3", "-c", "import fcntl,sys\nf=open(sys.argv[1],'r+b')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('locked',flush=True)\nsys.stdin.read()", path)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	bufio.NewReader(out).ReadString('\n')
	if err := tryOpen(path, OpenOptions{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (python3", cmd.Process.Pid)) {
		t.Errorf("%v", err)
	}
}

// TestLockKeepsOnClose: closing another descriptor of the file does not end the lock, as it would
// end a POSIX lock.
func TestLockKeepsOnClose(t *testing.T) {
	path := volumeFile(t)
	im, err := OpenVolume(path, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	if _, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if err := tryOpen(path, OpenOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
}

// TestLockLoop refuses what a loop device has.
func TestLockLoop(t *testing.T) {
	for _, c := range []struct {
		args   []string
		rw, ro bool // refused
	}{
		{nil, true, true},
		{[]string{"--read-only"}, true, false},
		{[]string{"--offset", "512"}, true, true},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			path := volumeFile(t)
			link := path + ".link"
			if err := os.Link(path, link); err != nil {
				t.Fatal(err)
			}
			dev := attach(t, link, c.args...)
			for ro, refused := range map[bool]bool{false: c.rw, true: c.ro} {
				err := tryOpen(path, OpenOptions{ReadOnly: ro})
				if errors.Is(err, ErrLocked) != refused || !refused && err != nil {
					t.Errorf("read-only %v: %v", ro, err)
				} else if refused && !strings.Contains(err.Error(), dev) {
					t.Errorf("%v does not name %s", err, dev)
				}
			}
		})
	}
	// Another file of the same name as the backing one is no matter.
	path := volumeFile(t)
	attach(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := fatVolume(t, 16*mib, "-F", "16").WriteFile(path); err != nil {
		t.Fatal(err)
	}
	if err := tryOpen(path, OpenOptions{}); err != nil {
		t.Errorf("the loop device has another file: %v", err)
	}
}

// TestLockMountedDisk refuses a block device that is mounted, and says where.
func TestLockMountedDisk(t *testing.T) {
	path := newFile(t, 8*mib)
	run(t, "", "mkfs.ext4", "-q", path)
	dev := attach(t, path)
	dir := mountOn(t, "ext4", dev, "rw")
	if err := tryOpen(dev, OpenOptions{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "a mount on "+dir) {
		t.Errorf("for writing: %v", err)
	}
	h, err := device.OpenHost(dev, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	v := &Volume{Partition: Partition{Size: h.Size()}}
	if err := checkMounts(h, v); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "a mount on "+dir) {
		t.Errorf("for reading: %v", err)
	}
	run(t, "", "mount", "-o", "remount,ro", dir)
	if err := checkMounts(h, v); err != nil {
		t.Errorf("for reading, mounted for reading: %v", err)
	}
	if err := tryOpen(dev, OpenOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("for writing, mounted for reading: %v", err)
	}
}

// TestLockMountedPartition has one partition of a disk mounted: the disk cannot be written to,
// and the others can be read.
func TestLockMountedPartition(t *testing.T) {
	needTools(t, "addpart", "delpart")
	dev := attach(t, partitioned(t))
	run(t, "", "addpart", dev, "3", "100000", "20000")
	t.Cleanup(func() { run(t, "", "delpart", dev, "3") })
	run(t, "", "mkfs.ext4", "-q", dev+"p3")
	dir := mountOn(t, "ext4", dev+"p3", "rw")
	if err := tryOpen(dev, OpenOptions{Partition: "1"}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("for writing: %v", err)
	}
	if err := tryOpen(dev, OpenOptions{Partition: "1", ReadOnly: true}); err != nil {
		t.Errorf("for reading: %v", err)
	}
	h, err := device.OpenHost(dev, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	v := &Volume{Partition: Partition{Start: 110_000 * 512, Size: 512}}
	if err := checkMounts(h, v); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("reading what is mounted: %v", err)
	}
}

// TestDiskHolder names the device that is made of a disk.
func TestDiskHolder(t *testing.T) {
	needTools(t, "mkswap", "swapon")
	needRoot(t)
	path := newFile(t, 8*mib)
	dev := attach(t, path)
	run(t, "", "mkswap", dev)
	if out, err := exec.Command("swapon", dev).CombinedOutput(); err != nil {
		t.Skipf("swapon: %s", out)
	}
	defer run(t, "", "swapoff", dev)
	if err := tryOpen(dev, OpenOptions{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "by swap") {
		t.Errorf("%v", err)
	}
}

// TestLockID checks the name of a file in the kernel's lists of locks against those lists.
func TestLockID(t *testing.T) {
	dirs := []string{t.TempDir(), "/dev/shm"}
	for _, dir := range dirs {
		f, err := os.CreateTemp(dir, "fatvol-lock")
		if err != nil {
			t.Skip(err)
		}
		defer os.Remove(f.Name())
		f.Close()
		h, err := device.OpenHost(f.Name(), true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock(h); err != nil {
			t.Fatal(err)
		}
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		if id := lockID(h); !strings.Contains(string(locks), " "+id+" ") {
			t.Errorf("%s: %s is not in\n%s", dir, id, locks)
		}
		h.Close()
	}
}

// TestWithin gives up on a search that hangs.
func TestWithin(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	if got := within(1, func() string { <-hang; return "late" }); got != "" {
		t.Errorf("%q", got)
	}
	if got := within(holderTime, func() string { return "soon" }); got != "soon" {
		t.Errorf("%q", got)
	}
}

// TestOpenLeaksNothing opens in all the ways that fail: no descriptor and no goroutine is left.
func TestOpenLeaksNothing(t *testing.T) {
	path := partitioned(t)
	held, err := OpenVolume(path, OpenOptions{Partition: "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	fattest.Contained(t, 64<<20, func() {
		for _, opt := range []OpenOptions{{}, {ReadOnly: true}, {NoLock: true}, {NoLock: true, Partition: "9"}, {NoLock: true, Offset: 512}} {
			if err := tryOpen(path, opt); err == nil {
				t.Errorf("%+v succeeded", opt)
			}
		}
	})
	rc, _ := held.Host().SyscallConn()
	rc.Control(func(fd uintptr) {
		if flags, _ := unix.FcntlInt(fd, unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Error("the descriptor is inherited by other programs")
		}
	})
}

// TestLockQEMU: qemu takes open file description locks on single bytes from 100 on, of images that it
// writes to. Each keeps the other away.
func TestLockQEMU(t *testing.T) {
	const qemuByte = 201 // RAW_LOCK_SHARED_BASE + BLK_PERM_WRITE, as of its block/file-posix.c
	path := volumeFile(t)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lock := func(kind int16) error {
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Start: qemuByte, Len: 1})
	}
	im, err := OpenVolume(path, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(unix.F_RDLCK); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("qemu's lock on an image that is open: %v", err)
	}
	im.Close()
	if err := lock(unix.F_RDLCK); err != nil {
		t.Fatal(err)
	}
	if im, err := OpenVolume(path, OpenOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("an image that qemu has: %v", err)
		if err == nil {
			im.Close()
		}
	}
}
