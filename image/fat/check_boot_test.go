package fat_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestCheckBoot: where the boot sector of FAT32 lost what only its backup has still, that is not what gets lost next.
func TestCheckBoot(t *testing.T) {
	le := binary.LittleEndian
	for name, spoil := range map[string]func(boot []byte){
		"FSInfo in the backup":          func(boot []byte) { copy(boot[48:50], boot[50:52]) },
		"FSInfo in the FAT":             func(boot []byte) { le.PutUint16(boot[48:], le.Uint16(boot[14:])+32) },
		"FSInfo in the data":            func(boot []byte) { le.PutUint16(boot[48:], 0xffff) },
		"no backup":                     func(boot []byte) { le.PutUint16(boot[50:], 0) },
		"no extended BPB":               func(boot []byte) { clear(boot[64:90]) },
		"no serial number and no label": func(boot []byte) { boot[66] = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			m := damageable(t, repairLayouts[2])
			e := fattest.NewEditor(t, m)
			v := e.Report().Volume
			was, backup, fats := e.Bytes(0, 512), e.Bytes(v.Backup, 512), e.Bytes(v.FATStart, 64<<10)
			boot := bytes.Clone(was)
			spoil(boot)
			e.Write(boot, 0)
			before := readable(t, m)
			if found := inspect(t, m, before); len(found) == 0 {
				t.Error("nothing is found")
			}
			for name, c := range map[string]struct {
				at   int64
				want []byte
			}{"boot sector": {0, was}, "backup": {v.Backup, backup}, "FAT": {v.FATStart, fats}} {
				if got := e.Bytes(c.at, len(c.want)); !bytes.Equal(got, c.want) {
					t.Errorf("%s is another one", name)
				}
			}
			if said, code, _ := fsckFat(t, m, "-n"); code != 0 {
				t.Errorf("after the repair, fsck.fat finds:\n%s", said)
			}
		})
	}
}

// TestCheckMirror: where one FAT counts alone, which Linux and fsck.fat do not look at, both are alike after the repair.
func TestCheckMirror(t *testing.T) {
	for active := range 2 {
		m := damageable(t, repairLayouts[2])
		e := fattest.NewEditor(t, m)
		v := e.Report().Volume
		for _, at := range []int64{0, v.Backup} {
			e.Write([]byte{0x80 | byte(active)}, at+40)
		}
		e.Write(make([]byte, 64), v.FATStart+int64(1-active)*v.FATBytes+16)
		if found := inspect(t, m, readable(t, m)); len(found) != 1 || found[0].Kind != fat.NotMirrored {
			t.Errorf("FAT %d: %+v", active, found)
		}
		if flags := e.Bytes(40, 1)[0]; flags != 0 {
			t.Errorf("FAT %d: flags %#x", active, flags)
		}
		if said, code, _ := fsckFat(t, m, "-n"); code != 0 {
			t.Errorf("FAT %d: after the repair, fsck.fat finds:\n%s", active, said)
		}
	}
}
