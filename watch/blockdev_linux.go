package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errNoDevice is returned for an image whose host is on no block device: memory, network, FUSE.
var errNoDevice = errors.New("the host is on no block device")

// maxDevices bounds a stack of devices: sysfs has no loops, but backing files are paths of users.
const maxDevices = 64

// A blockTree finds the devices under a file. It may block as the hosts do that hold the backing files
// of loop devices.
type blockTree struct {
	sys   string // "/sys"
	found devices
	seen  map[string]bool
}

// devicesUnder returns the paths of the devices under the place of an image.
func devicesUnder(sys string, p Place) (devices, error) {
	t := &blockTree{sys: sys, seen: make(map[string]bool)}
	number := p.Dev
	if p.Rdev != 0 {
		number = p.Rdev
	}
	if err := t.add(number, true); err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		// Some file systems have device numbers of their own, and say in the mount table where they are.
		if err := t.addSource(p); err != nil {
			return nil, err
		}
	}
	return t.found, nil
}

// add adds the device with a number, and those under it.
func (t *blockTree) add(number uint64, sole bool) error {
	link := fmt.Sprintf("%s/dev/block/%d:%d", t.sys, unix.Major(number), unix.Minor(number))
	dir, err := filepath.EvalSymlinks(link)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoDevice, err)
	}
	return t.addDir(dir, sole)
}

// addDir adds the device whose directory in sysfs is dir, and those under it.
func (t *blockTree) addDir(dir string, sole bool) error {
	if t.seen[dir] || len(t.seen) >= maxDevices {
		return nil
	}
	t.seen[dir] = true
	t.found = append(t.found, blockDevice{strings.TrimPrefix(dir, t.sys), sole})
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		return t.addDir(filepath.Dir(dir), sole)
	}
	slaves, _ := filepath.Glob(filepath.Join(dir, "slaves", "*"))
	for _, link := range slaves {
		if slave, err := filepath.EvalSymlinks(link); err == nil {
			if err := t.addDir(slave, sole && len(slaves) == 1); err != nil {
				return err
			}
		}
	}
	if backing, err := os.ReadFile(filepath.Join(dir, "loop", "backing_file")); err == nil {
		var st unix.Stat_t
		if unix.Stat(strings.TrimSuffix(string(backing), "\n"), &st) == nil {
			_ = t.add(st.Dev, sole) // it may well be on memory
		}
	}
	return nil
}

// addSource adds the device that the mount table names, and for btrfs the others of its file system.
func (t *blockTree) addSource(p Place) error {
	table, err := readMounts()
	if err != nil {
		return err
	}
	m := table[p.Mount]
	if m == nil || !strings.HasPrefix(m.Source, "/dev/") {
		return errNoDevice
	}
	var st unix.Stat_t
	if err := unix.Stat(m.Source, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return errNoDevice
	}
	others := t.btrfsDevices(filepath.Base(m.Source), st.Rdev)
	if err := t.add(st.Rdev, len(others) < 2); err != nil {
		return err
	}
	for _, dir := range others {
		if err := t.addDir(dir, false); err != nil {
			return err
		}
	}
	return nil
}

// btrfsDevices returns the directories of all devices of the btrfs that has this one.
func (t *blockTree) btrfsDevices(name string, number uint64) (dirs []string) {
	// The source may be a name that udev gave.
	if dir, err := filepath.EvalSymlinks(fmt.Sprintf("%s/dev/block/%d:%d", t.sys, unix.Major(number), unix.Minor(number))); err == nil {
		name = filepath.Base(dir)
	}
	own, _ := filepath.Glob(filepath.Join(t.sys, "fs", "btrfs", "*", "devices", name))
	for _, link := range own {
		all, _ := filepath.Glob(filepath.Join(filepath.Dir(link), "*"))
		for _, l := range all {
			if dir, err := filepath.EvalSymlinks(l); err == nil {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// mountNumber turns the number of a mount into the name that Place has for it.
func mountNumber(id int) string { return strconv.Itoa(id) }
