package image

import (
	"errors"
	"fmt"
	"slices"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// ScanOptions tell Scan what to make of doubtful cases.
type ScanOptions struct {
	// Geometry says what to take for a FAT volume.
	Geometry fat.GeometryOptions
	// Table has what may be a partition table count as one, whatever else the first sector is.
	Table bool
}

// Scan finds out how an image is divided and what its parts hold. It fails only when the device
// does: an image of which nothing can be made has one part, of an unknown kind.
//
// Where the first sector can be read both as a boot sector and as a partition table:
//
//   - a GPT announced by the table counts, since its checksums leave no doubt;
//   - else a FAT volume counts, because any bytes may stand where its table would be; unless the
//     table is evident (each entry blank or flawless, none at sector 0) and leads to at least
//     one thing that is recognised. That is a disk that was formatted once and partitioned later:
//     partitioning tools and boot loaders keep the BPB in the first sector;
//   - else another file system counts, unless the table leads to a FAT volume: images of CDs
//     that also boot from sticks have both;
//   - else the table counts, with odd flags and all, if any of it lies in the image.
func Scan(dev device.Device) (*Layout, error) { return ScanWith(dev, ScanOptions{}) }

// ScanWith is Scan with options.
func ScanWith(dev device.Device, opt ScanOptions) (*Layout, error) {
	s := scanner{dev: dev, opt: opt.Geometry, table: opt.Table}
	return s.scan()
}

// sectorSizer is implemented by devices that know their sector size.
type sectorSizer interface{ SectorSize() int }

type scanner struct {
	dev   device.Device
	opt   fat.GeometryOptions
	table bool
}

func (s *scanner) scan() (*Layout, error) {
	sector, err := window{s.dev, 0, s.dev.Size()}.read(0, mbrSize)
	if err != nil {
		return nil, fmt.Errorf("first sector: %w", err)
	}
	whole, err := s.whole()
	if err != nil {
		return nil, err
	}
	t := parseMBR(sector)
	if t == nil || t.empty() {
		return s.untabled(whole)
	}
	if t.protective() {
		return s.protected(t, whole)
	}
	l, err := s.mbr(t)
	if err != nil {
		return nil, err
	}
	if !s.tableCounts(t, l, whole.Partitions[0].Content) {
		return whole, nil
	}
	return l, nil
}

// whole is the layout of an image that is not divided.
func (s *scanner) whole() (*Layout, error) {
	p := Partition{Size: s.dev.Size()}
	if p.Size == 0 {
		p.Content.Kind = "empty"
	} else {
		c, err := probe(window{s.dev, 0, p.Size}, s.opt)
		if err != nil {
			return nil, err
		}
		p.Content = c
	}
	return &Layout{Size: p.Size, Scheme: Whole, Partitions: []Partition{p}}, nil
}

// untabled is the layout where no MBR announces anything. A GPT can be all the same, if the first
// sector was overwritten; but the first sector of something else is no such case.
func (s *scanner) untabled(whole *Layout) (*Layout, error) {
	if k := whole.Partitions[0].Content.Kind; k != "empty" && k != "unknown" {
		return whole, nil
	}
	l, err := readGPT(s.dev, s.sectorSizes())
	if errors.Is(err, errNoGPT) || errors.Is(err, ErrTable) {
		return whole, nil
	}
	if err != nil {
		return nil, err
	}
	l.Notes = append(l.Notes, "the first sector does not announce the GPT")
	s.probeAll(l)
	return l, nil
}

// protected is the layout where the MBR announces a GPT.
func (s *scanner) protected(t *mbrTable, whole *Layout) (*Layout, error) {
	l, err := readGPT(s.dev, s.sectorSizes())
	switch {
	case err == nil:
	case whole.Partitions[0].Content.IsFAT():
		return whole, nil
	case errors.Is(err, errNoGPT), errors.Is(err, ErrTable):
		whole.Scheme = GPT
		whole.Partitions = nil
		whole.Damage = fmt.Errorf("the MBR announces a GPT, and there is none: %w", ErrTable)
		if !errors.Is(err, errNoGPT) {
			whole.Damage = err
		}
		return whole, nil
	default:
		return nil, err
	}
	s.noteHybrid(t, l)
	s.probeAll(l)
	return l, nil
}

// noteHybrid compares the MBR of a disk that has a GPT with the latter, which counts.
func (s *scanner) noteHybrid(t *mbrTable, l *Layout) {
	for i, e := range t.entries {
		if !e.used() || e.typ == typeProtective {
			continue
		}
		l.Scheme = Hybrid
		start, size := e.start*int64(l.SectorSize), e.count*int64(l.SectorSize)
		if !slices.ContainsFunc(l.Partitions, func(p Partition) bool { return p.Start == start && p.Size == size }) {
			l.Notes = append(l.Notes, fmt.Sprintf("entry %d of the hybrid MBR (type %02x, sectors %d to %d) is no partition of the GPT, and is left out",
				i+1, e.typ, e.start, e.start+e.count-1))
		}
	}
}

// mbr lists the partitions of a table and what they hold. A file does not say how long the
// sectors of the disk were that it is an image of: where 512 bytes lead to nothing, and 4096 to a
// FAT volume, it was those.
func (s *scanner) mbr(t *mbrTable) (*Layout, error) {
	var first *Layout
	for _, ss := range s.sectorSizes() {
		l, err := readMBR(s.dev, t, ss)
		if err != nil {
			return nil, err
		}
		s.probeAll(l)
		if first == nil {
			if first = l; l.anyRecognised() {
				break
			}
		} else if l.anyFAT() {
			l.Notes = append(l.Notes, fmt.Sprintf("the partition table counts in sectors of %d bytes", ss))
			return l, nil
		}
	}
	return first, nil
}

// sectorSizes are the sector sizes that the table may count in, the likeliest one first.
func (s *scanner) sectorSizes() []int64 {
	if d, ok := s.dev.(sectorSizer); ok && slices.Contains(gptSectorSizes, int64(d.SectorSize())) {
		return []int64{int64(d.SectorSize())}
	}
	return gptSectorSizes
}

func (s *scanner) probeAll(l *Layout) {
	for i := range l.Partitions {
		probePartition(s.dev, &l.Partitions[i], s.opt)
	}
}

// tableCounts decides between the table in the first sector and what the sector is otherwise.
func (s *scanner) tableCounts(t *mbrTable, l *Layout, whole Content) bool {
	switch {
	case s.table, whole.Kind == "empty", whole.Kind == "unknown":
		return slices.ContainsFunc(l.Partitions, func(p Partition) bool {
			return p.Start > 0 && p.Start < l.Size && p.Type != "00"
		})
	case whole.IsFAT(), whole.Err != nil:
		return t.evident(int64(l.SectorSize), l.Size) && l.anyRecognised()
	}
	return l.anyFAT()
}

// anyFAT reports whether there is a FAT volume in a part that does not begin at the image's
// start: what begins there is the image itself.
func (l *Layout) anyFAT() bool {
	return slices.ContainsFunc(l.Partitions, func(p Partition) bool { return p.Start > 0 && p.Content.IsFAT() })
}

// anyRecognised reports whether any part holds something that has a name.
func (l *Layout) anyRecognised() bool {
	return slices.ContainsFunc(l.Partitions, func(p Partition) bool {
		switch p.Content.Kind {
		case "empty", "unknown", "extended":
			return false
		}
		return p.Start > 0
	})
}
