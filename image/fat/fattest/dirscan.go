package fattest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
)

// Attribute bits of a directory entry (FAT specification section 6).
const (
	attrReadOnly = 0x01
	attrHidden   = 0x02
	attrSystem   = 0x04
	attrVolume   = 0x08
	attrDir      = 0x10
	attrArchive  = 0x20
	attrLong     = 0x0f
	attrMask     = 0x3f
)

const (
	slotEnd     = 0x00
	slotDeleted = 0xe5
	slotLast    = 0x40 // in the ordinal of the first slot on disk, which holds the name's end
)

// slotScanner turns the slots of one directory into entries and findings.
type slotScanner struct {
	r      *Report
	dir    *File // nil for the root
	path   string
	long   []byte // slots of the long name that is being collected, disk order
	ended  bool
	found  []*File
	dots   int // dot entries seen
	dotdot uint32
	labels int
}

func (s *slotScanner) join(name string) string {
	if s.path == "" {
		return name
	}
	return s.path + "/" + name
}

// slot takes the i-th slot of the directory, which lies at off in the volume.
func (s *slotScanner) slot(b []byte, i int, off int64) {
	switch {
	case b[0] == slotEnd:
		s.orphans(i)
		s.ended = true
	case s.ended && b[0] != slotDeleted && b[11]&attrMask == attrLong:
		s.r.add(OrphanSlots, s.path, 0, "slot %d, behind the end", i)
	case s.ended && b[0] != slotDeleted:
		s.r.add(AfterEnd, s.path, 0, "slot %d: % x", i, b)
	case b[0] == slotDeleted:
		s.orphans(i)
	case b[11]&attrMask == attrLong:
		s.longSlot(b, i)
	default:
		s.short(b, i, off)
	}
}

// orphans reports the long-name slots before slot i, which lead to no short entry.
func (s *slotScanner) orphans(i int) {
	if n := len(s.long) / slotSize; n > 0 {
		s.r.add(OrphanSlots, s.path, 0, "%d slots before slot %d", n, i)
		s.long = nil
	}
}

func (s *slotScanner) longSlot(b []byte, i int) {
	if b[0]&slotLast != 0 {
		s.orphans(i)
	} else if prev := len(s.long); prev == 0 || s.long[prev-slotSize]&^slotLast != b[0]+1 {
		s.orphans(i)
		s.r.add(OrphanSlots, s.path, 0, "slot %d: ordinal %#x", i, b[0])
		return
	}
	s.long = append(s.long, b...)
}

func (s *slotScanner) short(b []byte, i int, off int64) {
	le := binary.LittleEndian
	f := &File{
		Attr: b[11], Size: int64(le.Uint32(b[28:])), First: uint32(le.Uint16(b[26:])),
		CreateCentis: b[13], CreateTime: le.Uint16(b[14:]), CreateDate: le.Uint16(b[16:]),
		AccessDate: le.Uint16(b[18:]), ModifyTime: le.Uint16(b[22:]), ModifyDate: le.Uint16(b[24:]),
		Slots: 1, Offset: off, parent: s.dir, vol: s.r.Volume,
	}
	if s.r.Volume.Width == 32 {
		f.First |= uint32(le.Uint16(b[20:])) << 16
	} else if le.Uint16(b[20:]) != 0 {
		s.r.add(BadAttr, s.path, 0, "slot %d: high cluster word %#x", i, le.Uint16(b[20:]))
	}
	f.IsDir = f.Attr&attrDir != 0
	if string(b[:11]) == ".          " || string(b[:11]) == "..         " {
		s.dot(f, b, i)
		return
	}
	if f.Attr&attrVolume != 0 {
		s.label(b, f, i)
		return
	}
	f.Short = shortText(b, 0)
	f.Name = shortText(b, b[12])
	if len(s.long) > 0 {
		s.takeLong(f, b, i)
	}
	f.Path = s.join(f.Name)
	s.checkShort(f, b, i)
	s.found = append(s.found, f)
}

func (s *slotScanner) dot(f *File, b []byte, i int) {
	s.orphans(i)
	switch {
	case s.dir == nil || i > 1 || (b[1] == '.') != (i == 1):
		s.r.add(BadDir, s.path, 0, "%q in slot %d", strings.TrimSpace(string(b[:11])), i)
		return
	case !f.IsDir || f.Size != 0:
		s.r.add(BadDir, s.path, 0, "%q with attributes %#x, size %d", strings.TrimSpace(string(b[:11])), f.Attr, f.Size)
	case i == 0 && f.First != s.dir.First:
		s.r.add(BadDir, s.path, f.First, "\".\" of a directory at cluster %d", s.dir.First)
	}
	s.dots |= 1 << i
	if i == 1 {
		s.dir.dotdot = f.First
	}
}

func (s *slotScanner) label(b []byte, f *File, i int) {
	s.orphans(i)
	s.labels++
	switch {
	case s.dir != nil:
		s.r.add(BadLabel, s.path, 0, "label entry in slot %d of a subdirectory", i)
	case s.labels > 1:
		s.r.add(BadLabel, "", 0, "second label entry in slot %d", i)
	case f.First != 0 || f.Size != 0 || f.IsDir:
		s.r.add(BadLabel, "", f.First, "label entry with size %d, attributes %#x", f.Size, f.Attr)
	default:
		s.r.Label = strings.TrimRight(string(b[:11]), " ")
	}
}

// takeLong joins the collected slots with the short entry that follows them.
func (s *slotScanner) takeLong(f *File, b []byte, i int) {
	slots := s.long
	s.long = nil
	n := len(slots) / slotSize
	if slots[len(slots)-slotSize] & ^byte(slotLast) != 1 || slots[13] != shortSum(b) {
		s.r.add(OrphanSlots, s.path, 0, "%d slots before slot %d, which is another entry's", n, i)
		return
	}
	var units []uint16
	for k := n - 1; k >= 0; k-- {
		p := slots[k*slotSize : (k+1)*slotSize]
		if p[13] != slots[13] || p[12] != 0 || p[26] != 0 || p[27] != 0 || p[11] != attrLong {
			s.r.add(BadLong, s.path, 0, "slot %d: % x", i-n+k, p)
			return
		}
		for _, at := range [13]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
			units = append(units, binary.LittleEndian.Uint16(p[at:]))
		}
	}
	end := len(units)
	for k, u := range units {
		if u == 0 {
			end = k
			break
		}
	}
	for k := end + 1; k < len(units); k++ {
		if units[k] != 0xffff {
			s.r.add(BadLong, s.path, 0, "slot %d: padding %#x", i, units[k])
			return
		}
	}
	units = units[:end]
	f.Name, f.Long, f.Slots = string(utf16.Decode(units)), true, n+1
	if err := checkLong(units, n); err != nil {
		s.r.add(BadName, s.join(f.Name), 0, "%v", err)
	}
}

func checkLong(units []uint16, slots int) error {
	if want := (len(units) + 12) / 13; len(units) == 0 || len(units) > 255 || want != slots {
		return fmt.Errorf("%d characters in %d slots", len(units), slots)
	}
	for _, u := range units {
		if u < 0x20 || u < 0x80 && strings.ContainsRune(`"*/:<>?\|`, rune(u)) {
			return fmt.Errorf("character %#x", u)
		}
	}
	if last := units[len(units)-1]; last == '.' || last == ' ' {
		return fmt.Errorf("ends with %q", rune(last))
	}
	return nil
}

func (s *slotScanner) checkShort(f *File, b []byte, i int) {
	bad := func(k Kind, format string, args ...any) { s.r.add(k, f.Path, f.First, format, args...) }
	if b[0] == ' ' {
		bad(BadName, "short name starts with a space")
	}
	for part, field := range [][]byte{b[:8], b[8:11]} {
		space := false
		for k, c := range field {
			switch {
			case c == ' ':
				space = true
			case space:
				bad(BadName, "short name % x: a space inside", b[:11])
				return
			case c < 0x20 && (c != 5 || part+k != 0), c == 0x7f, 'a' <= c && c <= 'z', strings.IndexByte("\"*+,./:;<=>?[\\]|", c) >= 0:
				bad(BadName, "short name % x: byte %#x", b[:11], c)
				return
			}
		}
	}
	if f.Attr&^attrMask != 0 {
		bad(BadAttr, "%#x", f.Attr)
	}
	if f.IsDir && f.Size != 0 {
		bad(BadDir, "size %d, want 0", f.Size)
		f.Size = 0
	}
	checkDate := func(what string, d uint16, none bool) {
		if m, day := d>>5&15, d&31; (d != 0 || !none) && (m < 1 || m > 12 || day < 1 || day > 31) {
			bad(BadTime, "%s date %#04x", what, d)
		}
	}
	checkTime := func(what string, t uint16) {
		if t>>11 > 23 || t>>5&63 > 59 || t&31 > 29 {
			bad(BadTime, "%s time %#04x", what, t)
		}
	}
	checkDate("modification", f.ModifyDate, false)
	checkDate("creation", f.CreateDate, true)
	checkDate("access", f.AccessDate, true)
	checkTime("modification", f.ModifyTime)
	checkTime("creation", f.CreateTime)
	if f.CreateCentis > 199 {
		bad(BadTime, "creation centiseconds %d", f.CreateCentis)
	}
}

// shortText decodes an 8.3 name by code page 437; bits 3 and 4 of ntCase show the base and the
// extension in lower case.
func shortText(b []byte, ntCase byte) string {
	field := func(p []byte, lower bool) string {
		p = append([]byte(nil), p...)
		if p[0] == 0x05 {
			p[0] = 0xe5
		}
		s, _ := charmap.CodePage437.NewDecoder().Bytes(p)
		t := strings.TrimRight(string(s), " ")
		if lower {
			t = strings.ToLower(t)
		}
		return t
	}
	name := field(b[:8], ntCase&0x08 != 0)
	if ext := field(b[8:11], ntCase&0x10 != 0); ext != "" {
		name += "." + ext
	}
	return name
}

// shortSum is the checksum that ties long-name slots to their short entry (FAT specification
// section 7.2).
func shortSum(short []byte) byte {
	var sum byte
	for _, c := range short[:11] {
		sum = sum<<7 + sum>>1 + c
	}
	return sum
}
