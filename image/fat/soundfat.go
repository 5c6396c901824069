package fat

import (
	"fmt"

	"fatvol/image/device"
)

// chooseFAT makes the FAT that is read the first one that begins as a FAT does, with the media byte and
// ones (FAT specification section 4, FAT[0]). A stick that lost the beginning of its first FAT, where the
// oldest files have their chains, has them all in the second one still. Where no FAT begins so, it is the
// first; where they are not mirrored, the boot sector says which.
func (g *Geometry) chooseFAT(dev device.Device) error {
	if !g.Mirrored {
		return nil
	}
	head := make([]byte, atom)
	for k := range g.FATs {
		if _, err := dev.ReadAt(head, g.FATStart+int64(k)*g.FATBytes); err != nil {
			if k > 0 {
				return nil // nobody needs it but for this
			}
			return fmt.Errorf("read FAT: %w", err)
		}
		if g.soundHead(head) {
			g.ActiveFAT = k
			return nil
		}
	}
	return nil
}

// soundHead reports whether a FAT may begin so. Any media byte of a disk will do: formatters do not always
// repeat that of the boot sector.
func (g *Geometry) soundHead(head []byte) bool {
	w := widths[g.Width]
	e0 := w.get(head, 0)
	return e0|0xff == w.mask && (byte(e0) == g.Media || byte(e0) >= 0xf8)
}

// activeFAT is where the FAT that is read begins.
func (g *Geometry) activeFAT() int64 { return g.FATStart + int64(g.ActiveFAT)*g.FATBytes }

// firstUnsound reports whether chooseFAT had to pass over the first FAT.
func (g *Geometry) firstUnsound() bool { return g.Mirrored && g.ActiveFAT > 0 }

// protectFATs refuses changes where the first FAT is not sound: everybody else reads that one, and the first
// change would make it look sound. A check copies the sound one over it before anything else.
func (v *Volume) protectFATs() {
	if v.geo.firstUnsound() && !v.opt.check {
		v.readOnly.Store(true)
		v.opt.Log.Error(fmt.Sprintf("volume is damaged, and read-only: the beginning of the first FAT is not one; FAT %d is read instead, which 'fatvol check --repair' copies over it", v.geo.ActiveFAT+1))
	}
}
