package guestapi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// A block is what writers write and readers check: a header that says which file, which slot of it
// and which write of that slot this is, and a body that follows from the header. A block put
// together from two writes, or found in another place, is therefore recognised.
//
//	0  magic "fatvolBK"
//	8  file    uint64
//	16 slot    uint64
//	24 version uint64, from 1
//	32 body
const blockHeader = 32

var blockMagic = []byte("fatvolBK")

// MinBlock is the least size of a block.
const MinBlock = 64

// ErrBlock is returned for a block that nobody wrote like this.
var ErrBlock = errors.New("not a block as it was written")

// FillBlock makes p the given version of a slot. len(p) must be a multiple of 8 and at least MinBlock.
func FillBlock(p []byte, file, slot, version uint64) {
	copy(p, blockMagic)
	binary.LittleEndian.PutUint64(p[8:], file)
	binary.LittleEndian.PutUint64(p[16:], slot)
	binary.LittleEndian.PutUint64(p[24:], version)
	x := file*0x9e3779b97f4a7c15 ^ slot<<32 ^ version
	for i := blockHeader; i+8 <= len(p); i += 8 {
		x = next(x)
		binary.LittleEndian.PutUint64(p[i:], x)
	}
}

// CheckBlock returns the version of the block in p, which must be of the given file and slot. A
// block of zeros, which was never written, is version 0. The error is ErrBlock, with details.
func CheckBlock(p []byte, file, slot uint64) (version uint64, err error) {
	if !bytes.Equal(p[:len(blockMagic)], blockMagic) {
		if isZero(p) {
			return 0, nil
		}
		return 0, fmt.Errorf("%w: file %d slot %d begins with %x", ErrBlock, file, slot, p[:len(blockMagic)])
	}
	f, s := binary.LittleEndian.Uint64(p[8:]), binary.LittleEndian.Uint64(p[16:])
	version = binary.LittleEndian.Uint64(p[24:])
	if f != file || s != slot {
		return 0, fmt.Errorf("%w: file %d slot %d holds file %d slot %d version %d", ErrBlock, file, slot, f, s, version)
	}
	want := make([]byte, len(p))
	FillBlock(want, file, slot, version)
	if i := mismatch(p, want); i >= 0 {
		return 0, fmt.Errorf("%w: file %d slot %d version %d is torn at byte %d of %d", ErrBlock, file, slot, version, i, len(p))
	}
	return version, nil
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

func mismatch(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// next is one step of splitmix64.
func next(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
