package fat

import "fmt"

// dos1xFloppy is a format that DOS 1.x knew by heart and therefore wrote nowhere on the disk.
type dos1xFloppy struct {
	kib         int64
	secPerClus  uint8
	rootEntries uint16
	media       uint8
	fatSectors  uint16
}

var dos1xFloppies = [...]dos1xFloppy{
	{kib: 160, secPerClus: 1, rootEntries: 64, media: 0xfe, fatSectors: 1},
	{kib: 180, secPerClus: 1, rootEntries: 64, media: 0xfc, fatSectors: 2},
	{kib: 320, secPerClus: 2, rootEntries: 112, media: 0xff, fatSectors: 1},
	{kib: 360, secPerClus: 2, rootEntries: 112, media: 0xfd, fatSectors: 2},
}

// parseDOS1x reads a floppy without a BPB. The size names the format and the first FAT entry has
// to confirm it: its low byte is the media byte, and the other bits of it and all bits of the
// second entry are set. PC DOS 1.0 keeps boot code and a date where the BPB is now, so what is
// there does not matter. cause is why there is no BPB.
func parseDOS1x(boot []byte, deviceSize int64, p bpb, opt GeometryOptions, cause error) (*Geometry, error) {
	for _, f := range dos1xFloppies {
		if deviceSize != f.kib<<10 {
			continue
		}
		if len(boot) < bootLen+3 || boot[bootLen] != f.media || boot[bootLen+1] != 0xff || boot[bootLen+2] != 0xff {
			got := uint64(0)
			if len(boot) > bootLen {
				got = uint64(boot[bootLen])
			}
			return nil, &BPBError{Field: "media byte in FAT[0]", Offset: bootLen, Value: got,
				Want: fmt.Sprintf("0x%02x ff ff on a floppy of %d KiB without a BPB", f.media, f.kib), Err: ErrNotFAT}
		}
		d := bpb{
			bytsPerSec: 512, secPerClus: f.secPerClus, rsvdSec: 1, numFATs: 2,
			rootEnts: f.rootEntries, totSec16: uint16(f.kib * 2), media: f.media, fatSz16: f.fatSectors,
			oem: p.oem, jump: true,
		}
		// There is no extended BPB either: whatever is at its place is boot code.
		return d.geometry(make([]byte, bootLen), deviceSize, opt)
	}
	return nil, cause
}
