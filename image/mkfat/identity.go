package mkfat

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/google/uuid"
)

// identify gives the image its numbers: the volume's serial number, the disk's and the partition's.
func (p *Plan) identify() {
	source := io.Reader(rand.Reader)
	if p.opt.Reproducible {
		source = &drawn{seed: p.digest()}
	}
	var b [4 + 4 + 16 + 16]byte
	_, _ = io.ReadFull(source, b[:]) // neither source fails
	p.Serial = binary.LittleEndian.Uint32(b[:])
	if p.opt.Serial != nil {
		p.Serial = *p.opt.Serial
	}
	start, length := partitionRange(p.opt.Partition, p.Size, p.Shape.SectorSize)
	p.table = table{
		scheme: p.opt.Partition, esp: p.opt.ESP, sector: p.Shape.SectorSize,
		size: p.Size, start: start, length: length, width: p.Shape.Width, name: p.partitionName(),
		mbrID: binary.LittleEndian.Uint32(b[4:]), disk: randomUUID(b[8:24]), part: randomUUID(b[24:]),
	}
}

func (p *Plan) partitionName() string {
	switch {
	case p.opt.ESP:
		return "EFI system partition"
	case p.opt.Label != "":
		return p.opt.Label
	}
	return "Basic data partition"
}

// randomUUID is 16 random bytes in the form of version 4.
func randomUUID(b []byte) uuid.UUID {
	u := uuid.UUID(b)
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// digest is a sum of all that makes the image, but for the contents of files: they have not been read.
func (p *Plan) digest() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%+v %d %d %v %q %d\n", p.Shape, p.Size, p.opt.Partition, p.opt.ESP, p.opt.Label, p.opt.Now.Unix())
	for _, d := range p.dirs {
		for _, n := range d.Children {
			fmt.Fprintf(h, "%q %v %d %d %v\n", n.path(), n.Dir, n.Size, n.ModTime.Unix(), n.ReadOnly)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// drawn is an endless row of bytes that follow from a seed.
type drawn struct {
	seed [sha256.Size]byte
	left []byte
}

func (d *drawn) Read(p []byte) (int, error) {
	for n := range p {
		if len(d.left) == 0 {
			d.seed = sha256.Sum256(d.seed[:])
			d.left = d.seed[:]
		}
		p[n], d.left = d.left[0], d.left[1:]
	}
	return len(p), nil
}
