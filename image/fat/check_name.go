package fat

import "fmt"

// rename gives an entry a short name that its directory does not have. Its long name stays, unless
// dropLong.
func (x *fixer) rename(at place, dropLong bool) error {
	dir, err := x.fixed(at.dir)
	if err != nil {
		return err
	}
	dir.names()
	longs := dir.longs[at.slot]
	var name [11]byte
	for {
		n := x.names[at.dir]
		if n > 9999 {
			return fmt.Errorf("all names to FSCK9999.REC are taken: %w", ErrNoSpace)
		}
		x.names[at.dir]++
		if name = [11]byte([]byte(fmt.Sprintf("FSCK%04dREC", n))); !dir.taken[name] {
			break
		}
	}
	for i := at.slot - longs; i < at.slot; i++ {
		err := x.change(place{at.dir, i}, func(s []byte) {
			if s[offLongChecksum] = ShortChecksum(name); dropLong {
				s[0] = slotDeleted
			}
		})
		if err != nil {
			return err
		}
	}
	return x.change(at, func(s []byte) {
		copy(s, name[:])
		s[11] &^= 0xc0
		s[12] = 0
	})
}

// dots puts "." and ".." of a directory right. Entries in their places move to free ones.
func (x *fixer) dots(p *problem) error {
	v := x.v
	dir, err := x.fixed(p.first)
	if err != nil {
		return err
	}
	data := dir.data
	var move []int32
	for i := int32(0); i < 2; i++ {
		s := data[i*slotSize : (i+1)*slotSize]
		switch {
		case slotIsFree(s), slotIsDot(s):
		case slotIsLong(s):
			// The long name that it is a part of cannot be moved in parts: its entry keeps the short one.
		default:
			move = append(move, i)
		}
	}
	to := int32(2)
	// A dot whose first byte was lost is no end.
	ended := data[0] == slotEnd && (string(data[1:11]) != "          " || data[11] != byte(AttrDirectory))
	for _, i := range move {
		for ; ; to++ {
			if int(to) >= len(data)/slotSize {
				return nil // no room: it stays, and is told as left
			}
			s := data[to*slotSize : (to+1)*slotSize]
			if s[0] == slotEnd || s[0] == slotDeleted {
				break
			}
		}
		if err := x.change(place{p.first, to}, func(s []byte) { copy(s, data[i*slotSize:(i+1)*slotSize]) }); err != nil {
			return err
		}
		to++
	}
	now := v.stamp()
	for i, name := range []string{".          ", "..         "} {
		first := p.first
		if i == 1 {
			first = p.dir
		}
		err := x.change(place{p.first, int32(i)}, func(s []byte) {
			d := dirent{attr: AttrDirectory, modifyDate: now.date, modifyTime: now.time}
			if slotIsDot(s) {
				d = decodeDirent(s, v.geo.Width)
			} else {
				clear(s)
			}
			d.attr, d.ntCase, d.first, d.size = AttrDirectory, 0, first, 0
			copy(s, name)
			d.encode(s, v.geo.Width)
		})
		if err != nil {
			return err
		}
	}
	if ended && len(data) > 2*slotSize {
		// What is behind the former end would come to light.
		return x.change(place{p.first, 2}, func(s []byte) { clear(s) })
	}
	return nil
}

// behindEnd clears up behind the end of a directory. Some readers stop at the first slot that begins with
// 0, and others do not: files that are there, with clusters that nobody else has, come to light.
func (x *fixer) behindEnd(dir Cluster, s *scan) error {
	fixed, err := x.fixed(dir)
	if err != nil {
		return err
	}
	data := fixed.data
	slots := int32(len(data) / slotSize)
	end, last := slots, int32(-1)
	for i := range slots {
		if data[i*slotSize] == slotEnd {
			end = i
			break
		}
	}
	keep := map[int32]bool{}
	for i := end; i < slots; i++ {
		slot := data[i*slotSize : (i+1)*slotSize]
		if slotIsFree(slot) || slotIsLong(slot) || slotIsDot(slot) {
			continue
		}
		d := decodeDirent(slot, x.v.geo.Width)
		if slot[11]&0xc0 != 0 || d.attr&AttrVolumeID != 0 || badShortByte(shortOf(slot)) >= 0 || !x.v.tab.contains(d.first) || s.reached.has(d.first) {
			continue
		}
		_, _, kind, _, err := x.v.tab.probe(d.first, 1)
		if err != nil {
			return err
		}
		if kind == entryNext || kind == entryEnd {
			keep[i], last = true, i
		}
	}
	for i := end; i < slots; i++ {
		slot := data[i*slotSize : (i+1)*slotSize]
		switch {
		case keep[i], i < last && (slot[0] == slotDeleted || slotIsLong(slot) && slot[0] != slotEnd):
		case i < last:
			err = x.setFirstByte(place{dir, i}, slotDeleted)
		case slot[0] != slotEnd:
			err = x.change(place{dir, i}, func(s []byte) { clear(s) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}
