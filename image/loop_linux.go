package image

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
)

// loopDevice returns the loop device that is backed by the file of h and could get into its way:
// any when h is open for writing, one that can be written to otherwise. Empty: there is none.
func loopDevice(h *device.Host) string {
	st, err := h.Stat()
	if err != nil {
		return ""
	}
	dirs, _ := filepath.Glob("/sys/block/loop*")
	for _, dir := range dirs {
		name := filepath.Base(dir)
		if !h.Writable() && sysString(filepath.Join("/sys/block", name, "ro")) == "1" {
			continue
		}
		backing, err := os.ReadFile(filepath.Join(dir, "loop", "backing_file"))
		if err != nil {
			continue // not set up
		}
		if loopBacks(name, strings.TrimSuffix(string(backing), "\n"), st) {
			return "/dev/" + name
		}
	}
	return ""
}

// loopBacks reports whether a loop device is backed by the file that st describes. The device
// itself knows for sure. Where it may not be asked, the path counts, which may be of another mount
// namespace or on a host that hangs.
func loopBacks(name, path string, st os.FileInfo) bool {
	if dev, ino, ok := loopStatus("/dev/" + name); ok {
		sys, isStat := st.Sys().(*syscall.Stat_t)
		return isStat && dev == uint64(sys.Dev) && ino == sys.Ino
	}
	return within(holderTime, func() bool {
		other, err := os.Stat(path)
		return err == nil && os.SameFile(st, other)
	})
}

// loopStatus asks a loop device for device and inode of its backing file.
func loopStatus(path string) (dev, ino uint64, ok bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, 0, false
	}
	defer f.Close()
	rc, err := f.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	var info *unix.LoopInfo64
	if cerr := rc.Control(func(fd uintptr) { info, err = unix.IoctlLoopGetStatus64(int(fd)) }); cerr != nil || err != nil {
		return 0, 0, false
	}
	return info.Device, info.Inode, true
}
