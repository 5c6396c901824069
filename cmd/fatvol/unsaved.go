package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
	"fatvol/image/replay"
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
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = checkOwner(dir, os.Geteuid())
	}
	return dir, err
}

// saveUnsaved puts what could not be written into a replay file, and returns its path.
func (s *served) saveUnsaved() (string, error) {
	dir, err := createStateDir()
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
	name := fmt.Sprintf("%s-%s", info.Serial, now.UTC().Format("20060102T150405.000"))
	path := filepath.Join(dir, name+replaySuffix)
	return path, s.medium.log.Save(path, info)
}

// unsavedFiles are the files with bytes that may not have reached the medium.
func (s *served) unsavedFiles() []replay.File {
	var files []replay.File
	for _, f := range s.volume.Located() {
		r := replay.File{Path: f.Path, Size: f.Size}
		unsynced := false
		for _, p := range f.Pieces {
			off := s.image.Partition.Start + p.Off
			unsynced = unsynced || s.medium.log.Covers(off, p.N)
			r.Pieces = append(r.Pieces, replay.Piece{Off: off, N: p.N})
		}
		if unsynced {
			files = append(files, r)
		}
	}
	return files
}

// savedFor finds the replay files for the volume that is being mounted, the oldest first.
func (s *served) savedFor() (paths []string, err error) {
	dir, err := stateDir()
	if err != nil {
		return nil, nil // then there can be none
	}
	// The serial is hexadecimal: no character of a pattern.
	names, _ := filepath.Glob(filepath.Join(dir, serialText(s.serial)+"-*"+replaySuffix))
	if len(names) == 0 {
		return nil, nil
	}
	return names, checkOwner(dir, os.Geteuid())
}

// applySaved writes what earlier mounts of the volume could not write.
func (s *served) applySaved() error {
	if s.cfg.medium.replay == replayIgnore || s.serial == 0 {
		return nil
	}
	paths, err := s.savedFor()
	if err != nil {
		return err
	}
	for _, path := range paths {
		info, err := replay.LoadInfo(path)
		if err != nil {
			complain("mount %s: WARNING: %v", s.req.image, err)
			continue
		}
		if info.Offset != s.image.Partition.Start || info.Size != s.medium.log.Size() {
			continue // another copy of the volume
		}
		if err := s.applyOne(path, info); err != nil {
			return err
		}
	}
	return nil
}

func (s *served) applyOne(path string, info *replay.Info) error {
	what := fmt.Sprintf("%s of unsaved changes from %s in %s", byteCount(info.Bytes), info.Saved.Local().Format(time.DateTime), path)
	switch {
	case s.cfg.medium.replay == replayAsk:
		return fmt.Errorf("there are %s: 'fatvol replay apply %s' writes them, 'fatvol replay discard %s' forgets them, -o replay=ignore mounts without them", what, path, path)
	case s.image.ReadOnly():
		return fmt.Errorf("there are %s, and the mount is read-only: mount it for writing once, or with -o replay=ignore", what)
	}
	saved, err := replay.Load(path)
	if err != nil {
		return err
	}
	if err := applyTo(s.medium.log, saved); err != nil {
		return fmt.Errorf("there are %s, which cannot be written: %w: 'fatvol replay extract %s DIR' gets files out of them, 'fatvol replay discard %s' forgets them, -o replay=ignore mounts without them", what, err, path, path)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	s.log.Info("unsaved changes of an earlier mount were written", "bytes", info.Bytes, "files", len(info.Files), "saved", info.Saved)
	return nil
}

// applyTo verifies a volume and writes what a replay file holds for it.
func applyTo(dev device.Device, saved *replay.Saved) error {
	if err := saved.Verify(dev); err != nil {
		return err
	}
	return saved.Apply(dev)
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

// finishUnsaved ends a mount whose medium is gone: everything that was acknowledged goes to a replay
// file. The error says so, and what was lost where even that failed.
func (s *served) finishUnsaved(cause error) error {
	s.medium.log.Detach()
	lost := s.volume.Close()
	files := len(s.unsavedFiles())
	if s.medium.log.Unsynced() == 0 && lost == nil {
		return nil // everything had reached the medium before it went
	}
	path, err := s.saveUnsaved()
	var says []string
	if err != nil {
		says = append(says, fmt.Sprintf("%s of changes are LOST: %v", byteCount(s.medium.log.Unsynced()), err))
	} else {
		says = append(says, fmt.Sprintf("%s of changes in %d files are not on the medium; they are kept in %s and will be written when the volume is mounted again",
			byteCount(s.medium.log.Unsynced()), files, path))
	}
	if lost != nil {
		says = append(says, fmt.Sprintf("some changes of names and sizes are lost: %v", lost))
	}
	if errors.Is(cause, unix.EROFS) {
		says = append(says, "the medium is read-only")
	}
	return errors.New(strings.Join(says, "; "))
}
