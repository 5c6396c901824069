package automount

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// sysRoot is where sysfs is.
const sysRoot = "/sys"

// removable says why a mount lies on a medium that can be taken out, or why it does not.
func removable(m *mountinfo.Info) (why, refused string) {
	number := deviceOf(m)
	dir, err := filepath.EvalSymlinks(filepath.Join(sysRoot, "dev/block", number))
	if err != nil {
		// Some file systems have numbers of their own, and say in the mount table where they are.
		var st unix.Stat_t
		if unix.Stat(m.Source, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK {
			number = fmt.Sprintf("%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
			dir, err = filepath.EvalSymlinks(filepath.Join(sysRoot, "dev/block", number))
		}
		if err != nil {
			return "", "on no block device"
		}
	}
	if why := removableDevice(dir, 0); why != "" {
		return why, ""
	}
	return "", filepath.Base(dir) + " is not removable, nor on a bus such as USB"
}

// maxStack bounds a stack of devices.
const maxStack = 16

// removableDevice says why the device with a directory in sysfs can be taken out, or "". One that is made of
// others, as an encrypted stick is, can be if all of those can.
func removableDevice(dir string, depth int) string {
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		dir = filepath.Dir(dir)
	}
	name := filepath.Base(dir)
	if slaves, _ := filepath.Glob(filepath.Join(dir, "slaves", "*")); len(slaves) > 0 && depth < maxStack {
		why := ""
		for _, link := range slaves {
			slave, err := filepath.EvalSymlinks(link)
			if err != nil {
				return ""
			}
			if why = removableDevice(slave, depth+1); why == "" {
				return ""
			}
		}
		return why
	}
	attribute := func(file string) string {
		text, _ := os.ReadFile(filepath.Join(dir, file)) // absent: empty
		return strings.TrimSpace(string(text))
	}
	switch {
	case strings.Contains(dir, "/usb"):
		return "on the USB bus (" + name + ")"
	case strings.Contains(dir, "/fw"):
		return "on the FireWire bus (" + name + ")"
	case attribute("removable") == "1":
		return "that can be taken out (" + name + ")"
	case attribute("device/type") == "SD":
		return "that is an SD card (" + name + ")"
	}
	return ""
}
