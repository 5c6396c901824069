package fat

import "encoding/binary"

// Byte offsets in the FSInfo sector (FAT specification section 5).
const (
	offLeadSig   = 0
	offStrucSig  = 484
	offFreeCount = 488
	offNextFree  = 492
	offTrailSig  = 510 // upper half of FSI_TrailSig; the lower half is not checked by anybody

	fsiLeadSig  = 0x41615252
	fsiStrucSig = 0x61417272
	fsiTrailSig = 0xaa55
)

// FSInfoUnknown stands for a count or hint that is not known.
const FSInfoUnknown uint32 = 0xffffffff

// FSInfo is the hint that a FAT32 volume keeps about its free clusters. Neither number can be
// relied on unless the volume was cleanly unmounted.
type FSInfo struct {
	Free uint32 // free clusters, 0..Clusters, or FSInfoUnknown
	Next uint32 // where to look for a free cluster, 2..Clusters+1, or FSInfoUnknown
}

// ParseFSInfo reads an FSInfo sector of at least 512 bytes. Numbers out of range for clusters data
// clusters become FSInfoUnknown; a missing signature is a *BPBError that wraps ErrCorrupt.
func ParseFSInfo(sector []byte, clusters uint32) (FSInfo, error) {
	le := binary.LittleEndian
	if len(sector) < bootLen {
		return FSInfo{}, &BPBError{Field: "FSInfo sector size", Value: uint64(len(sector)), Want: "at least 512", Err: ErrCorrupt}
	}
	if v := le.Uint32(sector[offLeadSig:]); v != fsiLeadSig {
		return FSInfo{}, &BPBError{Field: "FSI_LeadSig", Offset: offLeadSig, Value: uint64(v), Want: "0x41615252", Err: ErrCorrupt}
	}
	if v := le.Uint32(sector[offStrucSig:]); v != fsiStrucSig {
		return FSInfo{}, &BPBError{Field: "FSI_StrucSig", Offset: offStrucSig, Value: uint64(v), Want: "0x61417272", Err: ErrCorrupt}
	}
	if v := le.Uint16(sector[offTrailSig:]); v != fsiTrailSig {
		return FSInfo{}, &BPBError{Field: "FSI_TrailSig", Offset: offTrailSig, Value: uint64(v), Want: "0xaa55", Err: ErrCorrupt}
	}
	f := FSInfo{Free: le.Uint32(sector[offFreeCount:]), Next: le.Uint32(sector[offNextFree:])}
	if f.Free > clusters {
		f.Free = FSInfoUnknown
	}
	if f.Next < 2 || uint64(f.Next) > uint64(clusters)+1 {
		f.Next = FSInfoUnknown
	}
	return f, nil
}

// Put writes the two numbers into an FSInfo sector that ParseFSInfo accepted, and keeps every
// other byte of it.
func (f FSInfo) Put(sector []byte) {
	binary.LittleEndian.PutUint32(sector[offFreeCount:], f.Free)
	binary.LittleEndian.PutUint32(sector[offNextFree:], f.Next)
}
