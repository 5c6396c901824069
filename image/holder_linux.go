package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"fatvol/image/device"
)

// lockHolder names who has a lock on the file of h, or returns "". The kernel does not say whom
// an open file description lock belongs to, as it may be several processes; but each one's fdinfo
// lists the locks of its descriptors. Those of other users can only be read by root.
func lockHolder(h *device.Host) string {
	id := lockID(h)
	st, err := h.Stat()
	if id == "" || err != nil {
		return ""
	}
	holder := within(holderTime, func() string {
		deadline := time.Now().Add(holderTime)
		if pid := posixHolder(id); pid > 0 {
			return processName(pid)
		}
		if pid := fdinfoHolder(id, deadline); pid > 0 {
			return processName(pid)
		}
		return ""
	})
	if mnt := within(holderTime, func() string { return fatvolMount(st) }); mnt != "" {
		if holder == "" {
			holder = "fatvol"
		}
		holder += ", mounted on " + mnt
	}
	return holder
}

// lockID is how the kernel names the file of h in lists of locks: "fe:00:1234", device in hex and
// inode. The device is that of the mount, which on some file systems is not the one that stat returns.
func lockID(h *device.Host) string {
	rc, err := h.SyscallConn()
	if err != nil {
		return ""
	}
	var st unix.Stat_t
	var info []byte
	if cerr := rc.Control(func(fd uintptr) {
		if err = unix.Fstat(int(fd), &st); err == nil {
			info, _ = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		}
	}); cerr != nil || err != nil {
		return ""
	}
	major, minor := unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev))
	if mnt, err := strconv.Atoi(infoField(info, "mnt_id:")); err == nil {
		mounts, _ := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.ID != mnt, m.ID == mnt })
		if len(mounts) == 1 {
			major, minor = uint32(mounts[0].Major), uint32(mounts[0].Minor)
		}
	}
	return fmt.Sprintf("%02x:%02x:%d", major, minor, st.Ino)
}

// infoField is the value of a line "name: value".
func infoField(info []byte, name string) string {
	for line := range strings.Lines(string(info)) {
		if v, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// posixHolder is the process that has a POSIX lock on the file, which conflicts with ours.
func posixHolder(id string) int {
	locks, _ := os.ReadFile("/proc/locks")
	for line := range strings.Lines(string(locks)) {
		// "1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 0 EOF"
		f := strings.Fields(line)
		if len(f) >= 6 && f[1] == "POSIX" && f[5] == id {
			if pid, err := strconv.Atoi(f[4]); err == nil {
				return pid
			}
		}
	}
	return 0
}

// fdinfoHolder is a process that has a descriptor with a lock on the file.
func fdinfoHolder(id string, deadline time.Time) int {
	procs, _ := os.ReadDir("/proc")
	for _, proc := range procs {
		pid, err := strconv.Atoi(proc.Name())
		if err != nil {
			continue
		}
		fds, _ := os.ReadDir(filepath.Join("/proc", proc.Name(), "fd"))
		for _, fd := range fds {
			if time.Now().After(deadline) {
				return 0
			}
			// Sockets and pipes are most of what there is, and have no path.
			if to, _ := os.Readlink(filepath.Join("/proc", proc.Name(), "fd", fd.Name())); !strings.HasPrefix(to, "/") {
				continue
			}
			info, _ := os.ReadFile(filepath.Join("/proc", proc.Name(), "fdinfo", fd.Name()))
			for line := range strings.Lines(string(info)) {
				// "lock:	1: OFDLCK  ADVISORY  WRITE -1 fe:00:1234 0 EOF"
				if f := strings.Fields(line); len(f) >= 7 && f[0] == "lock:" && f[2] != "FLOCK" && f[6] == id {
					return pid
				}
			}
		}
	}
	return 0
}

func processName(pid int) string {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(comm)))
}

// fatvolMount is where fatvol has mounted the file that st describes.
func fatvolMount(st os.FileInfo) string {
	mounts, _ := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != "fuse.fatvol" && m.FSType != "fatvol", false
	})
	for _, m := range mounts {
		if other, err := os.Stat(m.Source); err == nil && os.SameFile(st, other) {
			return m.Mountpoint
		}
	}
	return ""
}
