package fat

import "encoding/binary"

// A long name lies in slots before its short entry, 13 units in each, the last part first (FAT
// specification section 7). The name ends at U+0000, and 0xffff fills the rest; when it fills its
// last slot there is neither.
const (
	slotUnits    = 13
	maxLongSlots = (maxUnits + slotUnits - 1) / slotUnits

	offLongOrdinal  = 0  // number of the slot, counted from 1 at the name's beginning
	offLongType     = 12 // 0
	offLongChecksum = 13 // of the short name
	offLongCluster  = 26 // 0
	lastLongSlot    = 0x40
)

// longOffsets are the places of a slot's units.
var longOffsets = [slotUnits]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// LongSlots is the number of slots of a long name, without the short entry. units has 1 to 255.
func LongSlots(units []uint16) int { return (len(units) + slotUnits - 1) / slotUnits }

// EncodeLong fills the LongSlots(units)*32 bytes of dst with the slots of a long name in the order
// in which they are on the disk; sum is the ShortChecksum of the entry behind them.
func EncodeLong(dst []byte, units []uint16, sum byte) {
	slots := LongSlots(units)
	for i := range slots {
		ordinal := slots - i
		s := dst[i*slotSize : (i+1)*slotSize]
		s[offLongOrdinal] = byte(ordinal)
		if i == 0 {
			s[offLongOrdinal] |= lastLongSlot
		}
		s[11] = byte(attrLong)
		s[offLongType] = 0
		s[offLongChecksum] = sum
		binary.LittleEndian.PutUint16(s[offLongCluster:], 0)
		for j, off := range longOffsets {
			u := uint16(0xffff)
			switch at := (ordinal-1)*slotUnits + j; {
			case at < len(units):
				u = units[at]
			case at == len(units):
				u = 0
			}
			binary.LittleEndian.PutUint16(s[off:], u)
		}
	}
}

// LongParser puts long names together from their slots. Feed it the slots in the order in which
// they are on the disk, call Take at each short entry and Reset at each free slot. The zero value
// is ready for use.
//
// Slots that do not continue the name begun before them, by number or by checksum, end it: it then
// belongs to no entry. One that begins a name begins a new one.
type LongParser struct {
	units [maxLongSlots * slotUnits]uint16
	total int // slots of the name; 0 while there is none
	next  int // number of the slot that must come next; 0 when the short entry must
	sum   byte
}

// Slot takes the 32 bytes of a slot whose attribute says long name.
func (p *LongParser) Slot(s []byte) {
	ordinal := int(s[offLongOrdinal])
	if ordinal&lastLongSlot != 0 {
		ordinal &^= lastLongSlot
		p.total, p.next, p.sum = ordinal, ordinal, s[offLongChecksum]
	}
	if p.total == 0 || ordinal == 0 || ordinal > maxLongSlots || ordinal != p.next || s[offLongChecksum] != p.sum {
		p.Reset()
		return
	}
	p.next--
	at := p.next * slotUnits
	for j, off := range longOffsets {
		p.units[at+j] = binary.LittleEndian.Uint16(s[off:])
	}
}

// Reset forgets the slots so far.
func (p *LongParser) Reset() { p.total, p.next = 0, 0 }

// Take returns the name that the slots since the last Take or Reset make, if it is whole and
// belongs to the short entry, and the number of its slots; then it forgets them. The units are good
// until the next Slot.
func (p *LongParser) Take(short [11]byte) (units []uint16, slots int, ok bool) {
	slots = p.total
	whole := slots != 0 && p.next == 0 && p.sum == ShortChecksum(short)
	p.Reset()
	if !whole {
		return nil, 0, false
	}
	n := 0
	for n < slots*slotUnits && p.units[n] != 0 {
		n++
	}
	if n == 0 || n > maxUnits {
		return nil, 0, false
	}
	return p.units[:n:n], slots, true
}
