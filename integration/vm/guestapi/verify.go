package guestapi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// VerifyArgs ask whether the files of a worker hold what its ledger says.
type VerifyArgs struct {
	Work   Work
	Ledger Ledger
	Dir    string // where the worker's Dir is mounted now; "": where it was
	// SyncedOnly asks for what an fsync covered only; later versions are then welcome too.
	SyncedOnly bool
}

// maxFindings bounds what Verify says about one worker.
const maxFindings = 20

// Verify compares the files of a writer or a creator with its ledger. It returns one line for each
// block or file that is lost, torn or mixed up with another.
func Verify(a VerifyArgs) (findings []string) {
	w := a.Work
	if a.Dir != "" {
		w.Dir = a.Dir
	}
	switch w.Kind {
	case Writer:
		findings = verifyBlocks(w, a)
	case Creator:
		findings = verifyNames(w, a)
	case Appender:
		findings = verifyAppended(w, a)
	default:
		findings = verifyUnchanged(w)
	}
	if len(findings) > maxFindings {
		findings = append(findings[:maxFindings], fmt.Sprintf("and %d more", len(findings)-maxFindings))
	}
	return findings
}

func verifyBlocks(w Work, a VerifyArgs) (findings []string) {
	f, err := os.Open(w.Path())
	if err != nil {
		return []string{err.Error()}
	}
	defer f.Close()
	buf := make([]byte, w.Block)
	for slot, want := range a.Ledger {
		if _, err := f.ReadAt(buf, int64(slot)*int64(w.Block)); err != nil {
			findings = append(findings, fmt.Sprintf("%s slot %d: %v", w.Path(), slot, err))
			continue
		}
		version, err := CheckBlock(buf, w.File, uint64(slot))
		if err != nil {
			findings = append(findings, fmt.Sprintf("%s: %v", w.Path(), err))
		} else if !acceptable(want, version, a.SyncedOnly) {
			findings = append(findings, fmt.Sprintf("%s slot %d: version %d, want %+v", w.Path(), slot, version, want))
		}
	}
	return findings
}

func acceptable(want LedgerSlot, version uint64, syncedOnly bool) bool {
	if syncedOnly {
		return version >= want.Synced && version <= max(want.Acked, want.Tried)
	}
	return want.Allows(version)
}

func verifyNames(w Work, a VerifyArgs) (findings []string) {
	for slot, want := range a.Ledger {
		path := w.FilePath(slot)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			if !mayBeAbsent(w, want, a.SyncedOnly) {
				findings = append(findings, fmt.Sprintf("%s is not there, want %+v", path, want))
			}
			continue
		}
		if err != nil {
			findings = append(findings, err.Error())
			continue
		}
		if len(data) != w.Block {
			findings = append(findings, fmt.Sprintf("%s has %d bytes, want %d", path, len(data), w.Block))
			continue
		}
		version, err := CheckBlock(data, w.File, uint64(slot))
		if err != nil {
			findings = append(findings, fmt.Sprintf("%s: %v", path, err))
		} else if !acceptable(want, version, a.SyncedOnly) {
			findings = append(findings, fmt.Sprintf("%s: version %d, want %+v", path, version, want))
		}
	}
	return findings
}

func verifyAppended(w Work, a VerifyArgs) (findings []string) {
	for slot, want := range a.Ledger {
		path := w.FilePath(slot)
		data, err := os.ReadFile(path)
		if err != nil {
			findings = append(findings, err.Error())
			continue
		}
		version := uint64(len(data) / w.Block)
		if !acceptable(want, version, a.SyncedOnly) {
			findings = append(findings, fmt.Sprintf("%s: %d bytes, want %+v blocks of %d", path, len(data), want, w.Block))
			continue
		}
		if err := checkAppended(data, w, slot, version); err != nil {
			findings = append(findings, fmt.Sprintf("%s: %v", path, err))
		} else if rest := len(data) % w.Block; rest > 0 && !a.SyncedOnly {
			findings = append(findings, fmt.Sprintf("%s: %d bytes of a block", path, rest))
		}
	}
	return findings
}

// checkAppended checks all blocks of an appender's file. A block that was not synced may be there in part.
func checkAppended(data []byte, w Work, slot int, version uint64) error {
	block := make([]byte, w.Block)
	for i := uint64(0); len(data) > 0; i++ {
		n := min(len(data), w.Block)
		FillBlock(block, w.File, uint64(slot), i+1)
		if at := mismatch(data[:n], block[:n]); at >= 0 {
			return fmt.Errorf("%w: block %d of %d is wrong from byte %d of %d on", ErrBlock, i+1, version, at, n)
		}
		data = data[n:]
	}
	return nil
}

func mayBeAbsent(w Work, want LedgerSlot, syncedOnly bool) bool {
	if syncedOnly {
		for v := want.Synced; v <= max(want.Acked, want.Tried); v++ {
			if w.Removed(v) {
				return true
			}
		}
		return false
	}
	return w.Removed(want.Acked) || want.Tried != 0 && w.Removed(want.Tried)
}

// verifyUnchanged checks that the files of a worker that does not write are as Prepare made them.
func verifyUnchanged(w Work) (findings []string) {
	buf := make([]byte, w.Block)
	check := func(path string, slot int, read func() error) {
		if err := read(); err != nil {
			findings = append(findings, fmt.Sprintf("%s slot %d: %v", path, slot, err))
		} else if version, err := CheckBlock(buf, w.File, uint64(slot)); err != nil || version != 1 {
			findings = append(findings, fmt.Sprintf("%s slot %d: version %d, want 1 (%v)", path, slot, version, err))
		}
	}
	if w.Kind == Reader || w.Kind == MmapReader {
		f, err := os.Open(w.Path())
		if err != nil {
			return []string{err.Error()}
		}
		defer f.Close()
		for slot := range w.Slots {
			check(w.Path(), slot, func() error { _, err := f.ReadAt(buf, int64(slot)*int64(w.Block)); return err })
		}
		return findings
	}
	for slot := range w.Slots {
		path := filepath.Join(w.Dir, w.Name(slot))
		check(path, slot, func() error {
			data, err := os.ReadFile(path)
			if err == nil && len(data) != w.Block {
				return fmt.Errorf("%d bytes, want %d", len(data), w.Block)
			}
			copy(buf, data)
			return err
		})
	}
	return findings
}

// Prepare makes the files that a worker needs, each block in version 1, and calls fsync.
func Prepare(w Work) error {
	if w.Block < MinBlock || w.Block%8 != 0 || w.Slots < 1 {
		return fmt.Errorf("%d slots of %d bytes: at least 1 of at least %d, in steps of 8", w.Slots, w.Block, MinBlock)
	}
	if err := os.MkdirAll(w.Dir, 0o777); err != nil {
		return err
	}
	block := func(slot int) []byte {
		p := make([]byte, w.Block)
		FillBlock(p, w.File, uint64(slot), 1)
		return p
	}
	if w.Kind == Reader || w.Kind == MmapReader || w.Kind == Writer {
		var data []byte
		for slot := range w.Slots {
			data = append(data, block(slot)...)
		}
		return writeSynced(w.Path(), data, 0o666)
	}
	for slot := range w.Slots {
		write := os.WriteFile
		if slot == w.Slots-1 {
			write = writeSynced // on FAT, that takes all of them along
		}
		path := w.FilePath(slot)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := write(path, block(slot), 0o666); err != nil {
			return err
		}
	}
	return nil
}

func writeSynced(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
