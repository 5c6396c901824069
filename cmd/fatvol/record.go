package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A record tells other processes about a mount while it is served, and how it ended. It is a
// small file in a runtime directory with one JSON value per line: a recordStart; a recordMounted;
// and at the end a recordEnd. A crash leaves the runtime's report there instead.
//
// The serving process holds an flock on the file for as long as it lives. That lock, and not a
// process number, says whether it lives: the kernel drops it at death, whatever the death, and a
// number may by then belong to somebody else. A mount that has ended in good order drops it itself.
type record struct {
	f    *os.File
	path string
}

type recordStart struct {
	PID     int       `json:"pid"`
	Image   string    `json:"image"`
	Dir     string    `json:"dir"`
	Started time.Time `json:"started"`
}

type recordMounted struct {
	// Device is the mount's st_dev as mountinfo writes it, "0:53"; empty where there is none.
	Device string `json:"device"`
}

type recordEnd struct {
	Code  int       `json:"code"`            // exit code
	Error string    `json:"error,omitempty"` // what went wrong, empty for nothing
	Kept  string    `json:"kept,omitempty"`  // the replay file with what is not on the medium
	Ended time.Time `json:"ended"`
}

// createRecord makes the record of a mount that is about to be served by this process. It also
// makes the runtime write the report of a crash there.
func createRecord(image, dir string) (*record, error) {
	where, err := createRuntimeDir()
	if err != nil {
		return nil, err
	}
	removeStaleRecords(where)
	return createRecordIn(where, image, dir)
}

func createRecordIn(where, image, dir string) (*record, error) {
	for {
		f, err := os.CreateTemp(where, "mount-*.json")
		if err != nil {
			return nil, err
		}
		// Between its creation and the lock, the record looks stale to others who clean up.
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil || !linked(f) {
			f.Close()
			os.Remove(f.Name())
			if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
			}
			continue
		}
		r := &record{f, f.Name()}
		if err := r.add(recordStart{os.Getpid(), image, dir, time.Now()}); err != nil {
			r.remove()
			return nil, err
		}
		// Errors here only cost the last words of a crash.
		_ = debug.SetCrashOutput(f, debug.CrashOptions{})
		return r, nil
	}
}

// linked reports whether f still has a name.
func linked(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink > 0
}

func (r *record) add(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = r.f.Write(append(line, '\n'))
	return err
}

// mounted notes the device number that the mount has got.
func (r *record) mounted(device string) error { return r.add(recordMounted{device}) }

// finish notes how the mount ended and takes the record's name away. Who waits has it open, and
// reads the end as soon as the lock falls: now, and not at the end of this process, which calls of a
// host that hangs may keep from dying.
func (r *record) finish(end recordEnd) {
	end.Ended = time.Now()
	// Nobody is left to tell about an error here.
	_ = r.add(end)
	os.Remove(r.path)
	unix.Flock(int(r.f.Fd()), unix.LOCK_UN)
}

// remove takes back the record of a mount that did not come about.
func (r *record) remove() {
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	os.Remove(r.path)
	r.f.Close()
}

// maxRecord bounds what is read of a record; it may belong to another, even hostile user.
const maxRecord = 1 << 20

// A recordView is another process's record.
type recordView struct {
	f *os.File
	recordStart
	recordMounted
}

// openRecord opens the record at path and reads its beginning.
func openRecord(path string) (*recordView, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	v := &recordView{f: f}
	lines := bufio.NewScanner(io.NewSectionReader(f, 0, maxRecord))
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &v.recordStart) != nil {
		f.Close()
		return nil, fmt.Errorf("%s: not a record of a mount", path)
	}
	if lines.Scan() {
		// A second line that is something else leaves the device empty.
		_ = json.Unmarshal(lines.Bytes(), &v.recordMounted)
	}
	return v, nil
}

func (v *recordView) close() { v.f.Close() }

// alive reports whether the process that serves the mount lives.
func (v *recordView) alive() bool {
	err := unix.Flock(int(v.f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		unix.Flock(int(v.f.Fd()), unix.LOCK_UN)
	}
	return errors.Is(err, unix.EWOULDBLOCK)
}

// ended returns a channel that is closed once the serving process is dead.
func (v *recordView) ended() <-chan struct{} {
	done := make(chan struct{})
	// A descriptor of its own, because v may be closed while the goroutine still waits.
	fd, err := unix.FcntlInt(v.f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		defer unix.Close(fd)
		for unix.Flock(fd, unix.LOCK_SH) == unix.EINTR {
		}
	}()
	return done
}

// end returns how the mount ended; ok is false when the process died without saying so, and
// lastWords is then the first line of what it left.
func (v *recordView) end() (e recordEnd, lastWords string, ok bool) {
	text, err := io.ReadAll(io.NewSectionReader(v.f, 0, maxRecord))
	if err != nil {
		return e, err.Error(), false
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	for i, line := range lines {
		var got struct {
			Code *int `json:"code"`
			recordEnd
		}
		if json.Unmarshal(line, &got) != nil {
			return e, strings.TrimSpace(string(lines[i])), false
		}
		if got.Code != nil {
			got.recordEnd.Code = *got.Code
			return got.recordEnd, "", true
		}
	}
	return e, "", false
}
