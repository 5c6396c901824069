package watch

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// What becomes of the image: IN_ATTRIB is sent when it loses a name. fsnotify would ask for
	// IN_MODIFY too, and so make every write of ours an event: that trebles what a write costs.
	imageEvents = unix.IN_ATTRIB | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF
	dirEvents   = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
		unix.IN_MOVE_SELF | unix.IN_DELETE_SELF | unix.IN_ONLYDIR
)

// present watches the image and its directory until the place changes.
func (f Files) present(ctx context.Context, s *Scene, p Place, changed <-chan struct{}) error {
	w, err := askFor(ctx, s, "watch the image", func() (*os.File, error) { return watchImage(p.path()) })
	if err != nil {
		return err
	}
	s.Blind("")
	s.Report(Report{Signal: Suspect}) // what happened before it was watched
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		readEvents(w, filepath.Base(p.path()), func(sig Signal) { s.Report(Report{Signal: sig}) })
	}()
	select {
	case <-ctx.Done():
	case <-changed:
	}
	w.Close()
	<-ended
	return nil
}

// watchImage returns an inotify instance for the file at path and its directory.
func watchImage(path string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	_, err = unix.InotifyAddWatch(fd, filepath.Dir(path), dirEvents)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, path, imageEvents)
	}
	// The image may be gone from there already; its directory tells when it is back.
	if err != nil && err != unix.ENOENT {
		unix.Close(fd)
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}

// readEvents reports what happens to the image until w is closed. name is that of the image.
func readEvents(w *os.File, name string, report func(Signal)) {
	buf := make([]byte, 16<<10)
	for {
		n, err := w.Read(buf)
		if err != nil {
			return
		}
		for _, sig := range parseEvents(buf[:n], name) {
			report(sig)
		}
	}
}

// parseEvents says what inotify's events mean to an image.
func parseEvents(b []byte, name string) (list []Signal) {
	for len(b) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(b[4:])
		size := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if size < 0 || size > len(b) {
			return list
		}
		of := unix.ByteSliceToString(b[:size])
		b = b[size:]
		if size > 0 && of != name {
			continue // another file of the directory
		}
		list = append(list, Suspect)
		if mask&(unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_Q_OVERFLOW) != 0 {
			list = append(list, MaybeBack)
		}
	}
	return list
}
