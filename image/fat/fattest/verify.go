package fattest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// verify compares a volume, as the checker has read it, with the model. No file may be open. Every
// finding is an error: a volume that was closed has no leftovers.
func (m *Model) verify(r *Report) error {
	if err := r.Err(); err != nil {
		return err
	}
	if r.Dirty {
		return errors.New("the volume is marked dirty after it was closed")
	}
	onDisk := map[*node]*File{}
	for _, f := range r.Files {
		n, err := m.fileOf(f)
		if err != nil {
			return err
		}
		onDisk[n] = f
	}
	counted := uint32(0)
	for _, n := range m.nodes()[1:] {
		f := onDisk[n]
		if f == nil {
			return fmt.Errorf("%q is not on the volume", n.path())
		}
		counted += uint32(f.Chain)
		if err := m.verifyNode(n, f); err != nil {
			return fmt.Errorf("%q: %w", n.path(), err)
		}
	}
	// On FAT32 the root directory has clusters of its own.
	if r.Used < counted || m.RootEntries > 0 && r.Used != counted {
		return fmt.Errorf("%d clusters used, %d by files and directories", r.Used, counted)
	}
	return nil
}

// fileOf finds the node of an entry by its path, spelling included.
func (m *Model) fileOf(f *File) (*node, error) {
	n := m.root
	for _, name := range strings.Split(f.Path, "/") {
		k := n.kids[Fold(name)]
		if k == nil || !k.shows(name) {
			return nil, fmt.Errorf("%q is on the volume, want %q", f.Path, n.names())
		}
		n = k
	}
	return n, nil
}

func (m *Model) verifyNode(n *node, f *File) error {
	if f.IsDir != n.dir {
		return fmt.Errorf("directory on the volume: %v, want %v", f.IsDir, n.dir)
	}
	if (f.Attr^n.attr)&n.attrMask&^(attrVolume|attrDir) != 0 {
		return fmt.Errorf("attributes %#x on the volume, want %#x (of %#x)", f.Attr, n.attr, n.attrMask)
	}
	if t := stamp(f.AccessDate, 0); !n.accessed.IsZero() && !t.Equal(n.accessed) {
		return fmt.Errorf("access date %v on the volume, want %v", t, n.accessed)
	}
	if n.dir {
		return nil
	}
	if f.Size != n.size {
		return fmt.Errorf("size %d on the volume, want %d", f.Size, n.size)
	}
	if t := stamp(f.ModifyDate, f.ModifyTime); t.Before(n.mlo) || t.After(n.mhi) {
		return fmt.Errorf("modification time %v on the volume, want %v to %v", t, n.mlo, n.mhi)
	}
	return verifyData(n, f)
}

// maxSample bounds how much of the places where a file holds nothing but zeros is read.
const maxSample = 256

// compare compares what was read at an offset with what should be there.
func (n *node) compare(got []byte, off int64) error {
	want := make([]byte, len(got))
	n.data.read(want, off)
	if bytes.Equal(got, want) {
		return nil
	}
	if len(n.unsure.pages) > 0 {
		mask := make([]byte, len(got))
		n.unsure.read(mask, off)
		masked := bytes.Clone(got)
		for i, m := range mask {
			if m != 0 {
				masked[i] = want[i]
			}
		}
		if got = masked; bytes.Equal(got, want) {
			return nil
		}
	}
	return fmt.Errorf("wrong bytes at offset %d: %s", off, firstDifference(got, want))
}

// verifyData compares all that was ever written to a file, and of the rest a sample.
func verifyData(n *node, f *File) error {
	got := make([]byte, sparsePage)
	page := func(no int64) error {
		size := min(sparsePage, n.size-no*sparsePage)
		if size <= 0 {
			return nil
		}
		if _, err := f.ReadAt(got[:size], no*sparsePage); err != nil && err != io.EOF {
			return err
		}
		return n.compare(got[:size], no*sparsePage)
	}
	for no := range n.data.pages {
		// The neighbours too: what is next to data is where stale bytes show.
		for k := max(0, no-1); k <= no+1; k++ {
			if err := page(k); err != nil {
				return err
			}
		}
	}
	total := ceilDiv(n.size, sparsePage)
	for no := int64(0); no < total; no += max(1, total/maxSample) {
		if err := page(no); err != nil {
			return err
		}
	}
	return nil
}

// stamp decodes a date and a time of a directory entry as UTC.
func stamp(date, clock uint16) time.Time {
	return time.Date(1980+int(date>>9), time.Month(date>>5&15), int(date&31),
		int(clock>>11), int(clock>>5&63), int(clock&31)*2, 0, time.UTC)
}
