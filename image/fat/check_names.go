package fat

import (
	"bytes"
	"fmt"
	"hash/maphash"
)

// nameCheck looks at the entries of one directory for what a reader would stumble over.
type nameCheck struct {
	s      *scan
	dir    Cluster
	seen   map[uint64]int32 // keys of names, to the slot that has them
	labels int
}

// noShortName is the case bit with which some Linux drivers say that the short name is none.
const noShortName = 0x20

func newNameCheck(s *scan, dir Cluster) *nameCheck {
	return &nameCheck{s: s, dir: dir, seen: map[uint64]int32{}}
}

// slots looks at what is in no entry: fields of long names that have to be 0, and slots behind the end.
func (c *nameCheck) slots(data []byte) {
	ended := false
	for i := int32(0); int(i) < len(data)/slotSize; i++ {
		s := data[i*slotSize : (i+1)*slotSize]
		switch {
		case s[0] == slotEnd:
			ended = true
		case s[0] == slotDeleted:
		case ended:
			c.s.add(problem{kind: AfterEnd, place: place{c.dir, i}})
			return
		case slotIsLong(s) && (s[offLongCluster] != 0 || s[offLongCluster+1] != 0):
			c.s.add(problem{kind: BadLong, place: place{c.dir, i}})
		case slotIsLong(s) && (s[offLongType] != 0 || s[11] != byte(attrLong)):
			c.s.add(problem{kind: LongType, place: place{c.dir, i}})
		}
	}
}

func (c *nameCheck) add(k ProblemKind, e *rawEntry, format string, args ...any) {
	c.s.add(problem{kind: k, place: place{c.dir, e.slot}, text: fmt.Sprintf(format, args...)})
}

func (c *nameCheck) entry(e *rawEntry) {
	v := c.s.v
	switch {
	case e.raw == nil || e.dot:
		return
	case e.label:
		c.label(e)
		return
	}
	short := shortOf(e.raw)
	if i := badShortByte(short); i >= 0 {
		c.add(BadName, e, "byte %#02x at place %d of the short name", short[i], i)
	}
	if e.raw[11]&0xc0 != 0 || e.units == nil && e.raw[12]&noShortName != 0 {
		c.add(BadName, e, "attributes %#02x, case bits %#02x", e.raw[11], e.raw[12])
	}
	shown, key := v.names.ShowShort(short, 0), v.names.FoldShort(short)
	keys := []string{key}
	if e.units != nil {
		shown = v.names.ShowLong(e.units)
		if long := v.names.FoldUnits(e.units); long != key {
			keys = append(keys, long)
		}
	}
	for _, key := range keys {
		h := maphash.String(v.seed, key)
		if other, ok := c.seen[h]; ok && other != e.slot {
			c.add(SameName, e, "%s", shown)
			return
		}
		c.seen[h] = e.slot
	}
}

// badShortByte is the index of a byte that a short name must not have, or -1.
func badShortByte(short [11]byte) int {
	if short[0] == ' ' {
		return 0
	}
	for part := 0; part <= 8; part += 8 {
		end, space := min(part+8, 11), false
		for i := part; i < end; i++ {
			b := short[i]
			switch {
			case b == ' ':
				space = true
			case space, b < 0x20 && (b != slotKanji || i != 0), b == 0x7f,
				bytes.IndexByte([]byte(`"*+,./:;<=>?[\]|`), b) >= 0:
				return i
			}
		}
	}
	return -1
}

func (c *nameCheck) label(e *rawEntry) {
	d := decodeDirent(e.raw, c.s.v.geo.Width)
	raw := shortOf(e.raw)
	if c.labels++; c.labels == 1 && c.dir == 0 {
		c.s.label = &raw
	}
	switch {
	case c.dir != 0:
		c.add(BadLabel, e, "in a directory below the root")
	case d.attr&AttrDirectory != 0 || d.first != 0 || d.size != 0:
		c.add(BadLabel, e, "with attributes %#02x, cluster %d, size %d", byte(d.attr), d.first, d.size)
	case c.labels > 1:
		c.add(BadLabel, e, "a second one")
	case soundLabel(raw) != raw:
		c.add(LabelBytes, e, "%q", raw[:])
	}
}

// soundLabel is the label that is left of one with bytes that none can have: the bytes become "_", and spaces before it
// go. It is noName where nothing is left.
func soundLabel(raw [11]byte) [11]byte {
	text := bytes.TrimRight(raw[:], "\x00 ")
	text = bytes.TrimLeft(bytes.Clone(text), " ")
	for i, b := range text {
		if b < 0x20 && (b != slotKanji || i > 0) || b == 0x7f || bytes.IndexByte([]byte(`"*+,./:;<=>?[\]|`), b) >= 0 {
			text[i] = '_'
		}
	}
	if len(text) == 0 {
		return [11]byte([]byte(noName))
	}
	out := [11]byte(bytes.Repeat([]byte{' '}, 11))
	copy(out[:], text)
	return out
}

// dots looks whether a directory that an entry of another one leads to begins as directories do. What has
// no dots, nor anything else that could be entries, is none.
func (s *scan) dots(at place, first Cluster) (isDir bool, err error) {
	p := problem{kind: BadDots, place: at, first: first, isDir: true}
	head := make([]byte, 2*slotSize)
	if _, err := s.v.dev.ReadAt(head, s.v.clusterOffset(first)); err != nil {
		return false, fmt.Errorf("read directory at cluster %d: %w", first, err)
	}
	if !slotIsDot(head) && !slotIsDot(head[slotSize:]) {
		if likely, err := s.v.likelyEntries(first); err != nil || !likely {
			return false, err
		}
	}
	for i, name := range []string{".          ", "..         "} {
		e := head[i*slotSize : (i+1)*slotSize]
		d := decodeDirent(e, s.v.geo.Width)
		want := first
		if i == 1 {
			want = at.dir
		}
		switch {
		case string(e[:11]) != name || d.attr&(AttrDirectory|AttrVolumeID) != AttrDirectory:
			p.text = "slot " + fmt.Sprint(i) + " is another entry"
		case d.first != want && (i == 0 || want != 0 || d.first != Cluster(s.v.geo.RootCluster)):
			p.text = fmt.Sprintf("%q names cluster %d, expected %d", bytes.TrimRight(e[:11], " "), d.first, want)
		case d.size != 0:
			p.text = fmt.Sprintf("%q has a size", bytes.TrimRight(e[:11], " "))
		case d.ntCase&noShortName != 0:
			p.text = fmt.Sprintf("%q has case bits %#02x", bytes.TrimRight(e[:11], " "), d.ntCase)
		default:
			continue
		}
		s.add(p)
		break
	}
	return true, nil
}

// likelyEntries reports whether a cluster may hold entries of a directory: whether most of what is there, up to the end,
// could be. A sector that is overwritten makes no data of a directory, with which all that it leads to would go.
func (v *Volume) likelyEntries(c Cluster) (bool, error) {
	buf := make([]byte, min(v.geo.ClusterSize, 4096))
	if _, err := v.dev.ReadAt(buf, v.clusterOffset(c)); err != nil {
		return false, fmt.Errorf("read cluster %d: %w", c, err)
	}
	could, cannot := 0, 0
	for i := 0; i < len(buf) && (i == 0 || buf[i] != slotEnd); i += slotSize {
		s := buf[i : i+slotSize]
		switch {
		case slotIsFree(s):
		case slotIsLong(s) && s[offLongType] == 0, slotIsDot(s):
			could++
		case s[11]&0xc0 != 0 || badShortByte(shortOf(s)) >= 0:
			cannot++
		default:
			could++
		}
	}
	return cannot == 0 || could > cannot, nil
}
