package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// devNumber is the number of a block device: "8:1".
type devNumber string

// diskNumber is the number of the block device at path, or "".
func diskNumber(path string) devNumber {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return ""
	}
	return devNumber(fmt.Sprintf("%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))))
}

// diskPart is a block device, or one of its partitions as the kernel has them.
type diskPart struct {
	number      devNumber
	sys         string // its directory in sysfs
	start, size int64  // bytes; both 0 for the device itself
}

// diskParts lists the block device at path and its partitions.
func diskParts(path string) []diskPart {
	number := diskNumber(path)
	if number == "" {
		return nil
	}
	sys := "/sys/dev/block/" + string(number)
	parts := []diskPart{{number: number, sys: sys}}
	files, _ := filepath.Glob(filepath.Join(sys, "*", "partition"))
	for _, f := range files {
		dir := filepath.Dir(f)
		// Sectors of 512 bytes, whatever those of the device are.
		parts = append(parts, diskPart{
			number: devNumber(sysString(filepath.Join(dir, "dev"))),
			sys:    dir,
			start:  sysInt(filepath.Join(dir, "start")) * 512,
			size:   sysInt(filepath.Join(dir, "size")) * 512,
		})
	}
	return parts
}

// diskHolder names what keeps the block device at path from being opened alone: a mount of it or
// of one of its partitions, a device that is made of it, swap.
func diskHolder(path string) string {
	parts := diskParts(path)
	for _, p := range parts {
		if mnt := mountOf(p.number, false); mnt != "" {
			return "a mount on " + mnt
		}
	}
	for _, p := range parts {
		if above, _ := os.ReadDir(filepath.Join(p.sys, "holders")); len(above) > 0 {
			return "device " + above[0].Name()
		}
	}
	swaps, _ := os.ReadFile("/proc/swaps")
	for line := range strings.Lines(string(swaps)) {
		f := strings.Fields(line)
		if len(f) == 0 || !strings.HasPrefix(f[0], "/") {
			continue
		}
		number := diskNumber(f[0])
		for _, p := range parts {
			if p.number == number {
				return "swap"
			}
		}
	}
	return ""
}

// writableMount is where part of the block device at path is mounted for writing: all of it, or
// a partition that shares bytes with volume.
func writableMount(path string, volume Partition) string {
	for _, p := range diskParts(path) {
		if p.size > 0 && !volume.overlaps(Partition{Start: p.start, Size: p.size}) {
			continue
		}
		if mnt := mountOf(p.number, true); mnt != "" {
			return mnt
		}
	}
	return ""
}

// mountOf is where the block device of that number is mounted; writable leaves out where it is
// mounted for reading only.
func mountOf(number devNumber, writable bool) string {
	mounts, _ := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		if devNumber(fmt.Sprintf("%d:%d", m.Major, m.Minor)) != number {
			return true, false
		}
		// The options of the superblock count, not those of this mount of it.
		return writable && !strings.HasPrefix(m.VFSOptions+",", "rw,"), false
	})
	if len(mounts) == 0 {
		return ""
	}
	return mounts[0].Mountpoint
}

func sysString(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

func sysInt(path string) int64 {
	n, _ := strconv.ParseInt(sysString(path), 10, 64)
	return n
}
