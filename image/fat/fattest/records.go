package fattest

import (
	"encoding/binary"
	"fmt"
)

// recordSize is the length of a record in bytes: a number of the data that it belongs to, and its offset in
// that. The offset has the highest bit set, which tells a record from zeros.
const (
	recordSize = 8
	recordMark = 1 << 31
)

// Records is size bytes that tell which data they belong to: bytes of something else can be told from them.
// The number must be another one for all other data of a volume.
func Records(number uint32, size int) string {
	b := make([]byte, size+recordSize)
	for i := 0; i < size; i += recordSize {
		binary.LittleEndian.PutUint32(b[i:], number)
		binary.LittleEndian.PutUint32(b[i+4:], uint32(i)|recordMark)
	}
	return string(b[:size])
}

// Unmingled says where bytes of one file are in another: two files that are not one under two names never
// hold records of the same data. Data must not be copied within the volume.
func Unmingled(r *Report) error {
	owner := map[uint32]*File{}
	for _, f := range r.Files {
		if f.Size == 0 || f.IsDir {
			continue
		}
		got, err := f.Contents()
		if err != nil {
			return fmt.Errorf("%q: %w", f.Path, err)
		}
		for i := 0; i+recordSize <= len(got); i += recordSize {
			number, at := binary.LittleEndian.Uint32(got[i:]), binary.LittleEndian.Uint32(got[i+4:])
			if at&recordMark == 0 {
				continue // zeros, or the end of a piece that is no multiple of a record
			}
			o := owner[number]
			if o == nil {
				owner[number] = f
			} else if o != f && o.First != f.First {
				return fmt.Errorf("%q holds bytes of %q", f.Path, o.Path)
			}
		}
	}
	return nil
}
