package fat

import (
	"errors"
	"fmt"
)

// Errors of the codecs: boot sector, names. They reach callers wrapped with the place and the value.
var (
	// ErrNotFAT is returned when the bytes are not a FAT volume at all.
	ErrNotFAT = errors.New("not a FAT volume")
	// ErrCorrupt is returned when the bytes are a FAT volume whose structures contradict the
	// FAT specification, one another or the device.
	ErrCorrupt = errors.New("FAT volume is damaged")
	// ErrTruncated is returned when a volume claims more bytes than its device has. It is a kind
	// of ErrCorrupt.
	ErrTruncated = fmt.Errorf("truncated image: %w", ErrCorrupt)
	// ErrName is returned when a name cannot be stored on a FAT volume: forbidden or control
	// characters, a trailing dot or space, a reserved device name, bytes that are no text.
	ErrName = errors.New("invalid name for FAT")
	// ErrNameTooLong is returned when a name has more than 255 UTF-16 units.
	ErrNameTooLong = errors.New("name too long for FAT")
	// ErrCharset is returned by NewNames for a code page or character set that is not known.
	ErrCharset = errors.New("unknown character set")
)

// BPBError names the boot sector field that keeps a volume from being read.
type BPBError struct {
	Field  string // name in the FAT specification, e.g. "BPB_BytsPerSec"
	Offset int    // byte offset of the field in the boot sector, or in the FSInfo sector for FSI_ fields
	Value  uint64 // what is there
	Want   string // what was expected
	Err    error  // ErrNotFAT, ErrCorrupt or ErrTruncated
}

func (e *BPBError) Error() string {
	return fmt.Sprintf("%v: %s (offset 0x%02x) is %d (0x%x), want %s",
		e.Err, e.Field, e.Offset, e.Value, e.Value, e.Want)
}

// Unwrap makes errors.Is find the sentinel.
func (e *BPBError) Unwrap() error { return e.Err }
