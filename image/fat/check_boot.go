package fat

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// bootFault looks at fields of FAT32's boot sector that no volume needs to be read: where FSInfo is, and the extended BPB,
// with serial number, label and state. The backup, where it is one, has them still.
func (c *checker) bootFault() (*fault, error) {
	v := c.v
	if v.geo.Width != FAT32 {
		return nil, nil
	}
	boot := make([]byte, atom)
	if _, err := v.dev.ReadAt(boot, 0); err != nil {
		return nil, fmt.Errorf("read boot sector: %w", err)
	}
	want := bytes.Clone(boot)
	place, err := c.placeForBackup(boot)
	if err != nil {
		return nil, err
	}
	backup, err := c.backupOf(boot, decodeBPB(boot).bkBoot)
	if err != nil {
		return nil, err
	}
	f := &fault{problem: problem{kind: BadBoot}, stage: stageState}
	if p := decodeBPB(boot); p.fsInfo != 0 {
		isInfo, err := c.holdsInfo(p.fsInfo)
		if err != nil {
			return nil, err
		}
		// A sector of its own that lost what it had to say gets it anew.
		if !isInfo && (!inReserved(p.fsInfo, p.rsvdSec) || p.fsInfo == p.bkBoot) {
			at, err := c.findInfo(&p)
			if err != nil {
				return nil, err
			}
			binary.LittleEndian.PutUint16(want[offFSInfo:], at)
			f.text, f.action = fmt.Sprintf("FSInfo in sector %d", p.fsInfo), fmt.Sprintf("it is in sector %d", at)
			if at == 0 {
				f.action = "there is none"
			}
		}
	}
	if v.geo.StateOffset == 0 && backup != nil && backup[offExt32+extSig] == bootSigFull {
		copy(want[offExt32:], backup[offExt32:offExt32+extType+8])
		want[offExt32+extState] &^= stateDirty
		f.text, f.action = "no serial number, label and state", "those of the backup are copied"
	}
	if place != 0 {
		binary.LittleEndian.PutUint16(want[offBkBoot:], place)
		f.text, f.action = "no backup", fmt.Sprintf("it is in sector %d", place)
	}
	if bytes.Equal(want, boot) {
		return nil, nil
	}
	f.fix = func() error { return v.replaceBoot(want) }
	return f, nil
}

// placeForBackup is the sector for the backup of a boot sector that says there is none, 0 where there is one, or where
// something else may be in its place.
func (c *checker) placeForBackup(boot []byte) (uint16, error) {
	const usual = 6 // FAT specification section 3.3, BPB_BkBootSec
	if p := decodeBPB(boot); p.bkBoot != 0 || p.fsInfo == usual || !inReserved(usual, p.rsvdSec) {
		return 0, nil
	}
	there := make([]byte, atom)
	if _, err := c.v.dev.ReadAt(there, usual*int64(c.v.geo.SectorSize)); err != nil {
		return 0, fmt.Errorf("read backup of the boot sector: %w", err)
	}
	if backup, err := c.backupOf(boot, usual); backup == nil && !allZero(there) || err != nil {
		return 0, err
	}
	return usual, nil
}

// backupOf returns the backup of the boot sector in a sector, and nil where there is none that describes the same volume.
func (c *checker) backupOf(boot []byte, sector uint16) ([]byte, error) {
	if !inReserved(sector, decodeBPB(boot).rsvdSec) {
		return nil, nil
	}
	backup := make([]byte, atom)
	if _, err := c.v.dev.ReadAt(backup, int64(sector)*int64(c.v.geo.SectorSize)); err != nil {
		return nil, fmt.Errorf("read backup of the boot sector: %w", err)
	}
	if !bytes.Equal(backup[offBytsSec:offHidden], boot[offBytsSec:offHidden]) || !bytes.Equal(backup[offTotSec32:offFSInfo], boot[offTotSec32:offFSInfo]) ||
		!bytes.Equal(backup[offSig55AA:], []byte{0x55, 0xaa}) {
		return nil, nil
	}
	return backup, nil
}

// holdsInfo reports whether a sector of the reserved area is one of FSInfo.
func (c *checker) holdsInfo(sector uint16) (bool, error) {
	at := int64(sector) * int64(c.v.geo.SectorSize)
	if at+atom > c.v.geo.FATStart {
		return false, nil
	}
	data := make([]byte, atom)
	if _, err := c.v.dev.ReadAt(data, at); err != nil {
		return false, fmt.Errorf("read FSInfo: %w", err)
	}
	_, err := ParseFSInfo(data, c.v.geo.Clusters)
	return err == nil, nil
}

// findInfo looks for the FSInfo sector: 0 for none.
func (c *checker) findInfo(p *bpb) (uint16, error) {
	for n := uint16(1); n < p.rsvdSec; n++ {
		if n == p.bkBoot {
			continue
		}
		if is, err := c.holdsInfo(n); is || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// replaceBoot writes a boot sector that describes the same volume, and has the volume go on with it.
func (v *Volume) replaceBoot(boot []byte) error {
	geo, err := ParseGeometry(boot, v.geo.Size, v.opt.Geometry)
	if err != nil {
		return err
	}
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	if err := v.write(boot, 0); err != nil {
		return err
	}
	v.meta.Lock()
	defer v.meta.Unlock()
	copy(v.boot, boot)
	v.geo.FSInfo, v.geo.StateOffset, v.geo.SerialOffset, v.geo.LabelOffset = geo.FSInfo, geo.StateOffset, geo.SerialOffset, geo.LabelOffset
	v.geo.BackupBoot, v.geo.Serial, v.geo.Label, v.info = geo.BackupBoot, geo.Serial, geo.Label, nil
	return nil
}
