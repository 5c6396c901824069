package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func fsInfoSector(free, next uint32) []byte {
	b := bytes.Repeat([]byte{0xa5}, 4096)
	le := binary.LittleEndian
	le.PutUint32(b[0:], 0x41615252)
	le.PutUint32(b[484:], 0x61417272)
	le.PutUint32(b[488:], free)
	le.PutUint32(b[492:], next)
	le.PutUint16(b[510:], 0xaa55)
	return b
}

func TestParseFSInfo(t *testing.T) {
	const unknown = FSInfoUnknown
	tests := []struct{ clusters, free, next, wantFree, wantNext uint32 }{
		{1000, 10, 20, 10, 20},
		{1000, 0, 2, 0, 2},
		{1000, 1000, 1001, 1000, 1001},
		{1000, 1001, 1002, unknown, unknown},
		{1000, unknown, unknown, unknown, unknown},
		{1000, 5, 0, 5, unknown},
		{1000, 5, 1, 5, unknown},
		{0x0ffffff5, 0x0ffffff5, 0x0ffffff6, 0x0ffffff5, 0x0ffffff6},
		{0xffffffff, 3, 0xfffffffe, 3, 0xfffffffe},
	}
	for _, tt := range tests {
		got, err := ParseFSInfo(fsInfoSector(tt.free, tt.next), tt.clusters)
		if err != nil || got != (FSInfo{tt.wantFree, tt.wantNext}) {
			t.Errorf("%+v: got %+v, %v", tt, got, err)
		}
	}
}

func TestParseFSInfoSignatures(t *testing.T) {
	for off, field := range map[int]string{0: "FSI_LeadSig", 486: "FSI_StrucSig", 511: "FSI_TrailSig"} {
		b := fsInfoSector(1, 2)
		b[off] ^= 0x80
		_, err := ParseFSInfo(b, 100)
		var e *BPBError
		if !errors.As(err, &e) || e.Field != field || !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d: %v", off, err)
		}
	}
	if _, err := ParseFSInfo(fsInfoSector(1, 2)[:511], 100); !errors.Is(err, ErrCorrupt) {
		t.Errorf("511 bytes: %v", err)
	}
}

func TestFSInfoPutKeepsOtherBytes(t *testing.T) {
	b := fsInfoSector(1, 2)
	want := fsInfoSector(77, FSInfoUnknown)
	FSInfo{Free: 77, Next: FSInfoUnknown}.Put(b)
	if !bytes.Equal(b, want) {
		t.Error("other bytes changed, or the two numbers did not")
	}
	if got, err := ParseFSInfo(b, 100); err != nil || got != (FSInfo{77, FSInfoUnknown}) {
		t.Errorf("read back as %+v, %v", got, err)
	}
}
