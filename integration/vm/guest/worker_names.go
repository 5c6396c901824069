//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"fatvol/integration/vm/guestapi"
)

// list lists the directory and looks for every name that Prepare made.
func list(r *recorder) {
	w := r.work
	r.do(guestapi.OpReaddir, 0, func() error {
		entries, err := os.ReadDir(w.Dir)
		if err != nil {
			return err
		}
		found := make(map[string]bool, len(entries))
		for _, e := range entries {
			found[e.Name()] = true
		}
		for slot := range w.Slots {
			if !found[w.Name(slot)] {
				return fmt.Errorf("%w: %q is missing from %d entries", errShort, w.Name(slot), len(entries))
			}
		}
		return nil
	})
}

func startStatter(r *recorder) (round func(int), end func(), err error) {
	w := r.work
	f, err := os.Open(filepath.Join(w.Dir, w.Name(0)))
	if err != nil {
		return nil, nil, err
	}
	right := func(st *unix.Stat_t, err error) error {
		if err == nil && st.Size != int64(w.Block) {
			return fmt.Errorf("%w: size %d, want %d", errWrong, st.Size, w.Block)
		}
		return err
	}
	return func(n int) {
		slot := n % w.Slots
		var st unix.Stat_t
		r.do(guestapi.OpStat, slot, func() error {
			return right(&st, unix.Stat(filepath.Join(w.Dir, w.Name(slot)), &st))
		})
		r.do(guestapi.OpFstat, 0, func() error { return right(&st, unix.Fstat(int(f.Fd()), &st)) })
		r.do(guestapi.OpAbsent, slot, func() error {
			err := unix.Stat(filepath.Join(w.Dir, w.Absent(slot)), &st)
			switch {
			case err == nil:
				return fmt.Errorf("%w: the name is there", errWrong)
			case errors.Is(err, unix.ENOENT):
				return nil
			}
			return err
		})
		r.do(guestapi.OpStatfs, 0, func() error {
			var sf unix.Statfs_t
			err := unix.Statfs(w.Dir, &sf)
			if err == nil && sf.Blocks == 0 {
				return fmt.Errorf("%w: no blocks", errWrong)
			}
			return err
		})
	}, func() { f.Close() }, nil
}

func open(r *recorder, n int) {
	w := r.work
	slot := n % w.Slots
	var f *os.File
	ok := r.do(guestapi.OpOpen, slot, func() (err error) {
		f, err = os.OpenFile(filepath.Join(w.Dir, w.Name(slot)), os.O_RDONLY|directFlag(w), 0)
		return err
	})
	if !ok {
		return
	}
	dropCached(f, w)
	r.do(guestapi.OpRead, slot, func() error {
		return readUnchanged(f, alignedBuffer(w.Block), w, slot, 0)
	})
	r.do(guestapi.OpClose, slot, f.Close)
}

func startCreator(r *recorder) (round func(int), end func(), err error) {
	w := r.work
	dir, acks, err := openAcked(w, func() (*os.File, error) { return os.Open(w.Dir) })
	if err != nil {
		return nil, nil, err
	}
	r.ledger = make(guestapi.Ledger, w.Slots)
	for slot := range r.ledger {
		r.ledger[slot] = guestapi.LedgerSlot{Acked: 1, Synced: 1}
	}
	c := &creator{recorder: r, dir: dir, acks: acks}
	return c.round, func() { dir.Close(); acks.close() }, nil
}

type creator struct {
	*recorder
	dir  *os.File
	acks *acks
}

// round makes the next version of a name.
func (c *creator) round(n int) {
	slot := n % c.work.Slots
	at := &c.ledger[slot]
	version := at.Acked + 1
	synced := c.work.FsyncEvery > 0 && n%c.work.FsyncEvery == c.work.FsyncEvery-1
	if !c.next(slot, version, synced) {
		at.Tried = version
		return
	}
	at.Acked, at.Tried = version, 0
	if synced && c.do(guestapi.OpFsync, slot, c.dir.Sync) {
		at.Synced = version
		c.acks.write(c.work, c.ledger)
	}
}

// next tells whether the version is what the directory holds now.
func (c *creator) next(slot int, version uint64, synced bool) bool {
	path := c.work.FilePath(slot)
	if c.work.Removed(version) {
		ok := c.do(guestapi.OpUnlink, slot, func() error {
			err := os.Remove(path)
			if c.ledger[slot].Tried == version && errors.Is(err, syscall.ENOENT) {
				return nil // the try before, whose result was an error, has done it
			}
			return err
		})
		return ok && (!c.work.Nested || c.do(guestapi.OpUnlink, slot, func() error { return os.Remove(filepath.Dir(path)) }))
	}
	if c.work.Nested && !c.do(guestapi.OpCreate, slot, func() error { return os.MkdirAll(filepath.Dir(path), 0o777) }) {
		return false
	}
	temporary := path + "~"
	var f *os.File
	ok := c.do(guestapi.OpCreate, slot, func() (err error) {
		f, err = os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
		return err
	})
	if !ok {
		return false
	}
	buf := make([]byte, c.work.Block)
	guestapi.FillBlock(buf, c.work.File, uint64(slot), version)
	ok = c.do(guestapi.OpWrite, slot, func() error {
		n, err := pwrite(f, buf, 0)
		return full(n, len(buf), err)
	})
	if ok && synced {
		ok = c.do(guestapi.OpFsync, slot, f.Sync)
	}
	// A pending error may be reported here; the file is then not renamed, as editors do.
	ok = c.do(guestapi.OpClose, slot, f.Close) && ok
	return ok && c.do(guestapi.OpRename, slot, func() error { return os.Rename(temporary, path) })
}
