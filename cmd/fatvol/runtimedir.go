package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// runtimeDirs are the directories in which a process of the user may keep its records, the best
// one first.
func runtimeDirs(uid int, environment string) []string {
	var dirs []string
	if uid == 0 {
		if runtime.GOOS == "linux" {
			dirs = append(dirs, "/run/fatvol")
		} else {
			dirs = append(dirs, "/var/run/fatvol")
		}
	}
	if filepath.IsAbs(environment) {
		dirs = append(dirs, filepath.Join(environment, "fatvol"))
	}
	id := strconv.Itoa(uid)
	if uid != 0 && runtime.GOOS == "linux" {
		dirs = append(dirs, filepath.Join("/run/user", id, "fatvol"))
	}
	// In a name space of users, 0 may be anybody: each of them gets a directory.
	uidMap, _ := os.ReadFile("/proc/self/uid_map") // none: no name spaces
	if outer := outerID(string(uidMap), uid); outer != uid {
		id += "-of-" + strconv.Itoa(outer)
	}
	return append(dirs, filepath.Join(os.TempDir(), "fatvol-"+id))
}

// outerID is who a user is outside of the name space whose uid_map is given (user_namespaces(7)), or uid itself
// where it does not say.
func outerID(uidMap string, uid int) int {
	for line := range strings.Lines(uidMap) {
		var inner, outer, n int64
		if _, err := fmt.Sscan(line, &inner, &outer, &n); err == nil && int64(uid) >= inner && int64(uid)-inner < n {
			return int(outer + int64(uid) - inner)
		}
	}
	return uid
}

// createRuntimeDir makes the first directory that can be had for this process's records.
func createRuntimeDir() (string, error) {
	uid := os.Geteuid()
	var all []error
	for _, dir := range runtimeDirs(uid, os.Getenv("XDG_RUNTIME_DIR")) {
		err := os.Mkdir(dir, 0o700)
		if err == nil || errors.Is(err, os.ErrExist) {
			err = checkOwner(dir, uid)
		}
		if err == nil && unix.Access(dir, unix.W_OK) == nil {
			// Whatever its mode was: what is in there is nobody else's business.
			return dir, os.Chmod(dir, 0o700)
		}
		if err == nil {
			err = fmt.Errorf("%s: not writable", dir)
		}
		all = append(all, err)
	}
	return "", errors.Join(all...)
}

// firstTime reports whether this user is to be told something that is worth telling once, not at
// each mount: the name is that of a mark which lasts as long as the runtime directory does.
func firstTime(name string) bool {
	dir, err := createRuntimeDir()
	if err != nil {
		return true
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return !errors.Is(err, os.ErrExist)
	}
	f.Close()
	return true
}

// checkOwner refuses a runtime directory that another user made, perhaps to mislead us: some of
// them lie where everybody may create files.
func checkOwner(dir string, uid int) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != uid || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s: not a directory that only the user with the number %d may write to", dir, uid)
	}
	return nil
}

// recordsOf opens all records of a user's mounts that this process can read.
func recordsOf(uid int) []*recordView {
	var found []*recordView
	for _, dir := range runtimeDirs(uid, os.Getenv("XDG_RUNTIME_DIR")) {
		if checkOwner(dir, uid) != nil {
			continue
		}
		// The pattern is fixed and cannot be malformed.
		paths, _ := filepath.Glob(filepath.Join(dir, "mount-*.json"))
		for _, path := range paths {
			if v, err := openRecord(path); err == nil {
				found = append(found, v)
			}
		}
	}
	return found
}

// removeStaleRecords removes the records in dir whose process is dead, but for those of mounts
// that are still there and dead: they say why.
func removeStaleRecords(dir string) {
	paths, _ := filepath.Glob(filepath.Join(dir, "mount-*.json"))
	if len(paths) == 0 {
		return
	}
	there := map[string]bool{}
	infos, err := mountinfo.GetMounts(nil)
	if err != nil {
		return
	}
	for _, m := range infos {
		there[deviceNumber(m)] = true
	}
	for _, path := range paths {
		v, err := openRecord(path)
		if err != nil {
			removeIfDead(path)
			continue
		}
		if !v.alive() && !there[v.Device] {
			os.Remove(path)
			os.Remove(controlPath(path))
		}
		v.close()
	}
}

// removeIfDead removes a record that cannot be read unless some process has just begun it.
func removeIfDead(path string) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		os.Remove(path)
	}
}

// deviceNumber is a mount's st_dev as mountinfo writes it.
func deviceNumber(m *mountinfo.Info) string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }
