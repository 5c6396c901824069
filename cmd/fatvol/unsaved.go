package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/image/fat"
	"fatvol/image/replay"
	"fatvol/watch"
)

// replaySuffix is how the names of files with unsaved changes end.
const replaySuffix = ".replay"

// stateDir is the directory for what must outlive a mount: /var/lib/fatvol for root, otherwise fatvol
// in $XDG_STATE_HOME or ~/.local/state.
func stateDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/fatvol", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "fatvol"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no directory for unsaved changes: %w", err)
	}
	return filepath.Join(home, ".local", "state", "fatvol"), nil
}

// createStateDir makes it, for its owner alone.
func createStateDir() (string, error) {
	dir, err := stateDir()
	if err == nil {
		err = makePrivate(dir)
	}
	return dir, err
}

// createSpareDir makes the directory for where the right one cannot be written to. Mounts do not look
// there.
func createSpareDir() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("fatvol-%d", os.Geteuid()))
	return dir, makePrivate(dir)
}

func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := checkOwner(dir, os.Geteuid()); err != nil {
		return err
	}
	// Whatever its mode was: names of files are in there.
	return os.Chmod(dir, 0o700)
}

// saveUnsaved puts what could not be written into a replay file. It returns its path, and whether the
// next mount will find it.
func (s *served) saveUnsaved() (path string, found bool, err error) {
	if path, err = s.saveIn(createStateDir()); err == nil {
		return path, true, nil
	}
	path, spare := s.saveIn(createSpareDir())
	if spare != nil {
		return "", false, errors.Join(err, spare)
	}
	s.log.Warn("what is unsaved cannot be kept where it belongs", "kept", path, "err", err)
	return path, false, nil
}

// saveIn makes a replay file in dir, unless that could not be made.
func (s *served) saveIn(dir string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	now := time.Now()
	info := replay.Info{
		Image:  s.req.image,
		Saved:  now,
		Offset: s.image.Partition.Start,
		Serial: serialText(s.serial),
		Label:  s.label,
		Files:  s.unsavedFiles(),
	}
	name := fmt.Sprintf("%s-%s", info.Serial, now.UTC().Format("20060102T150405.000000"))
	path := filepath.Join(dir, name+replaySuffix)
	return path, s.medium.log.Save(path, info)
}

// unsavedFiles are the files with bytes that may not have reached the medium.
func (s *served) unsavedFiles() []replay.File {
	var files []replay.File
	spans := s.medium.log.Spans()
	if len(spans) == 0 {
		return nil
	}
	for _, f := range s.volume.Located() {
		r := replay.File{Path: f.Path, Size: f.Size}
		unsynced := false
		for _, p := range f.Pieces {
			off := s.image.Partition.Start + p.Off
			unsynced = unsynced || spans.Meet(off, p.N)
			r.Pieces = append(r.Pieces, replay.Piece{Off: off, N: p.N})
		}
		if unsynced {
			files = append(files, r)
		}
	}
	return files
}

// A keptError says that a mount ended with changes that are not on the medium, and where they are.
type keptError struct {
	text string
	path string // of the replay file; "" if even that could not be written
	err  error
}

func (e *keptError) Error() string { return e.text }
func (e *keptError) Unwrap() error { return e.err }

// closeWithout ends a mount whose volume could not be closed for the given reason, because the medium is
// gone or fails: everything that was acknowledged goes to a replay file. The error says so, and what was
// lost where even that failed. It asks a medium that is gone for nothing.
func (s *served) closeWithout(cause error) error {
	why := cause.Error()
	if st := s.mediumStatus(); st.State != watch.Present {
		why = "the medium is gone (" + st.Reason + ")"
		// Should it come back now, that is the next mount's business.
		s.medium.release()
	} else if errors.Is(cause, unix.EROFS) {
		why = "the medium is read-only"
	}
	s.medium.log.Detach()
	s.volume.Orphan()
	lost := s.volume.Close() // what is left in memory goes to the log
	if errors.Is(lost, fat.ErrNotClean) {
		lost = nil // nothing is
	}
	bytes := s.medium.log.Spans().Bytes()
	if bytes == 0 && lost == nil {
		return nil // everything had reached the medium before it went
	}
	path, found, err := s.saveUnsaved()
	if err != nil {
		return &keptError{fmt.Sprintf("%s: %s of changes %s are LOST: %v", why, byteCount(bytes), s.whatUnsaved(), err), "", cause}
	}
	then := "the next mount of the volume writes them"
	if !found {
		then = "'fatvol replay apply " + path + "' writes them"
	}
	text := fmt.Sprintf("%s: %s of changes %s are kept in %s, and %s", why, byteCount(bytes), s.whatUnsaved(), path, then)
	if lost != nil {
		text += fmt.Sprintf("; some changes of names and sizes are LOST: %v", lost)
	}
	return &keptError{text, path, cause}
}

// whatUnsaved says in what there are unsaved changes.
func (s *served) whatUnsaved() string {
	switch n := len(s.unsavedFiles()); n {
	case 0:
		return "of names, sizes and times"
	case 1:
		return "in 1 file"
	default:
		return fmt.Sprintf("in %d files", n)
	}
}

// byteCount is a number of bytes for people.
func byteCount(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
