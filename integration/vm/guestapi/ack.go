package guestapi

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// An acknowledgement says which version of each slot of a worker an fsync has covered. The worker writes it to
// the stick itself, past all file systems, when the fsync has returned: in what the stick was given to
// write, it then stands behind everything that was promised.
//
//	0  magic "fatvolAK"
//	8  file     uint64
//	16 versions uint64 of each slot
const (
	AckSize  = 512 // one sector
	MaxAcked = (AckSize - ackHeader) / 8
	// AckOffset is where on a stick the acknowledgements are: each worker has the sector that its File is the
	// number of, before the first partition.
	AckOffset = 512 << 10

	ackHeader = 16
)

var ackMagic = []byte("fatvolAK")

// FillAck makes p, of AckSize bytes, the acknowledgement of a ledger with at most MaxAcked slots.
func FillAck(p []byte, file uint64, l Ledger) {
	clear(p)
	copy(p, ackMagic)
	binary.LittleEndian.PutUint64(p[8:], file)
	for slot, s := range l {
		binary.LittleEndian.PutUint64(p[ackHeader+8*slot:], s.Synced)
	}
}

// ReadAck returns the version of each of a worker's slots that an acknowledgement names. One that was never
// written acknowledges what Prepare made.
func ReadAck(p []byte, file uint64, slots int) (versions []uint64, err error) {
	versions = make([]uint64, slots)
	if isZero(p) {
		for slot := range versions {
			versions[slot] = 1
		}
		return versions, nil
	}
	if f := binary.LittleEndian.Uint64(p[8:]); !bytes.Equal(p[:len(ackMagic)], ackMagic) || f != file {
		return nil, fmt.Errorf("no acknowledgement of file %d: % x", file, p[:ackHeader])
	}
	for slot := range versions {
		versions[slot] = binary.LittleEndian.Uint64(p[ackHeader+8*slot:])
	}
	return versions, nil
}
