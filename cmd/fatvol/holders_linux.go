package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A holder is a process that uses a mount.
type holder struct {
	pid  int
	name string // as ps shows it
	what string // what of the mount it uses: "working directory /mnt/a"
}

func (h holder) String() string {
	return fmt.Sprintf("PID %d (%s): %s", h.pid, h.name, h.what)
}

// holders lists the processes that use the mount at dir with the given device number, by what
// /proc tells this user. It never touches the mount, which may hang.
func holders(dir, device string) []holder {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []holder
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if what := usesMount(filepath.Join("/proc", e.Name()), dir, device); what != "" {
			comm, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "comm"))
			name := strings.TrimSpace(string(comm))
			// The umount(8) that has called us inherits files, and ends with us.
			if pid != os.Getppid() || name != "umount" {
				found = append(found, holder{pid, name, what})
			}
		}
	}
	slices.SortFunc(found, func(a, b holder) int { return cmp.Compare(a.pid, b.pid) })
	return found
}

// usesMount says what the process whose /proc directory is given uses of the mount, or nothing.
func usesMount(proc, dir, device string) string {
	for _, link := range []struct{ name, what string }{
		{"cwd", "working directory"}, {"root", "root directory"}, {"exe", "program"},
	} {
		if path, err := os.Readlink(filepath.Join(proc, link.name)); err == nil && within(path, dir) {
			return link.what + " " + path
		}
	}
	fds := filepath.Join(proc, "fd")
	entries, _ := os.ReadDir(fds) // another user's cannot be read
	for _, e := range entries {
		if path, err := os.Readlink(filepath.Join(fds, e.Name())); err == nil && within(path, dir) {
			return "open file " + path
		}
	}
	return mapsMount(filepath.Join(proc, "maps"), device)
}

// mapsMount looks for a mapping of a file of the device; maps writes the numbers in hexadecimal.
func mapsMount(maps, device string) string {
	major, minor, ok := strings.Cut(device, ":")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	f, err := os.Open(maps)
	if err != nil {
		return ""
	}
	defer f.Close()
	if !ok || errA != nil || errB != nil {
		return ""
	}
	want := fmt.Sprintf("%02x:%02x", a, b)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		// Anonymous memory has the device number 0:0.
		if len(fields) >= 6 && fields[3] == want && strings.HasPrefix(fields[5], "/") {
			return "mapping of " + strings.Join(fields[5:], " ")
		}
	}
	return ""
}

// within reports whether path, as /proc writes it, is dir or below it.
func within(path, dir string) bool {
	path = strings.TrimSuffix(path, " (deleted)")
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
