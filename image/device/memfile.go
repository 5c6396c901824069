package device

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// ReadMem returns a device with the contents of the file at path, holes excepted.
func ReadMem(path string) (*Mem, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := NewMem(st.Size())
	buf := make([]byte, 1<<20)
	for off := int64(0); off < m.size; {
		off = nextData(f, off) / memPage * memPage
		n := min(int64(len(buf)), m.size-off)
		if n <= 0 {
			break
		}
		if _, err := f.ReadAt(buf[:n], off); err != nil {
			return nil, fmt.Errorf("%s: read at offset %d: %w", path, off, err)
		}
		for i := int64(0); i < n; i += memPage {
			if chunk := buf[i:min(i+memPage, n)]; !isZero(chunk) {
				m.writeLocked(chunk, off+i)
			}
		}
		off += n
	}
	return m, nil
}

// nextData is where the first byte at or behind off is that does not lie in a hole of the file.
func nextData(f *os.File, off int64) int64 {
	data, err := f.Seek(off, unix.SEEK_DATA)
	switch {
	case err == nil:
		return data
	case errors.Is(err, unix.ENXIO):
		return math.MaxInt64
	}
	return off // the host does not know its holes
}

// WriteFile stores the contents at path, sparsely, for tools that want a file.
func (m *Mem) WriteFile(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if err := f.Truncate(m.size); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, no := range m.pageNumbersLocked() {
		off := no * memPage
		n := min(memPage, m.size-off)
		if _, err := f.WriteAt(m.pages[no].data[:n], off); err != nil {
			return err
		}
	}
	return nil
}
