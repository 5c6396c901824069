package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// window is a part of a device as a table describes it: it may end beyond the device, and then
// only what is there can be looked at.
type window struct {
	dev         device.Device
	start, size int64
}

// read returns the n bytes at off, or as many of them as there are.
func (w window) read(off, n int64) ([]byte, error) {
	end := min(w.size, w.dev.Size()-w.start)
	if n = min(n, end-off); n <= 0 {
		return nil, nil
	}
	p := make([]byte, n)
	if _, err := w.dev.ReadAt(p, w.start+off); err != nil {
		return nil, err
	}
	return p, nil
}

// probe recognises what a window holds. An error means that the device failed.
func probe(w window, opt fat.GeometryOptions) (Content, error) {
	boot, err := w.read(0, fat.BootSize)
	if err != nil {
		return Content{}, err
	}
	// These have a BPB, or half of one, but are not FAT.
	if kind := bpbLookalike(boot); kind != "" {
		return Content{Kind: kind}, nil
	}
	g, err := fat.ParseGeometry(boot, w.size, opt)
	if err == nil {
		return probeFAT(w, boot, g)
	}
	kind, kerr := foreign(w, boot)
	if kerr != nil {
		return Content{}, kerr
	}
	c := Content{Kind: kind}
	if !errors.Is(err, fat.ErrNotFAT) && (kind == "unknown" || kind == "empty") {
		c.Kind, c.Err = "damaged FAT", err
	}
	return c, nil
}

// probeFAT is probe where the boot sector is one of FAT. Other file systems leave the first
// sectors alone, so that a boot sector may outlive its volume: where the first FAT does not begin
// as one, and something else is there, the boot sector is such a remainder.
func probeFAT(w window, boot []byte, g *fat.Geometry) (Content, error) {
	fits, err := mediaFits(w, g)
	if err != nil {
		return Content{}, err
	}
	if !fits {
		if kind, err := foreign(w, boot); err != nil || kind != "unknown" {
			return Content{Kind: kind}, err
		}
	}
	label, err := volumeLabel(w, g)
	if err != nil {
		return Content{}, err
	}
	return Content{Kind: g.Width.String(), Label: label, Geometry: g}, nil
}

// mediaFits reports whether the first entry of the FAT is the media byte with all other bits set
// (FAT specification, section 4).
func mediaFits(w window, g *fat.Geometry) (bool, error) {
	p, err := w.read(g.FATStart, 4)
	if err != nil || len(p) < 4 {
		return false, err
	}
	return p[0] == g.Media && p[1] == 0xff, nil
}

// bpbLookalike names what has a boot sector like that of FAT but is not FAT.
func bpbLookalike(boot []byte) string {
	for _, m := range []struct {
		off         int
		magic, kind string
	}{
		{3, "EXFAT   ", "exFAT"},
		{3, "NTFS    ", "NTFS"},
		{3, "-FVE-FS-", "BitLocker"},
		{3, "ReFS\x00\x00\x00\x00", "ReFS"},
		// BitLocker To Go: a FAT32 volume by its BPB; its identifier comes later.
		{424, "\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01", "BitLocker"},
		// OS/2 writes a BPB into these.
		{54, "JFS     ", "JFS"},
		{54, "HPFS    ", "HPFS"},
	} {
		if hasAt(boot, m.off, m.magic) {
			return m.kind
		}
	}
	return ""
}

// foreign names what is there if it is no FAT volume: a file system or container, or "empty" or
// "unknown".
func foreign(w window, boot []byte) (string, error) {
	if kind := magicKind(0, boot); kind != "" {
		return kind, nil
	}
	blank := isBlank(boot)
	for _, at := range []int64{32 << 10, 64 << 10} {
		p, err := w.read(at, 4096)
		if err != nil {
			return "", err
		}
		if kind := magicKind(at, p); kind != "" {
			return kind, nil
		}
		blank = blank && isBlank(p)
	}
	if blank {
		return "empty", nil
	}
	return "unknown", nil
}

// magicKind looks for magic numbers in the bytes p that begin at offset at.
func magicKind(at int64, p []byte) string {
	for _, m := range []struct {
		off         int64
		magic, kind string
	}{
		{0, "XFSB", "XFS"},
		{0, "LUKS\xba\xbe", "LUKS"},
		{0, "hsqs", "SquashFS"},
		{1024, "\xe2\xe1\xf5\xe0", "EROFS"},
		{1024, "\x10\x20\xf5\xf2", "F2FS"},
		{1024, "H+\x00\x04", "HFS+"},
		{1024, "HX\x00\x05", "HFSX"},
		{32, "NXSB", "APFS"},
		{512, "LABELONE", "LVM"},
		{4096 - 10, "SWAPSPACE2", "swap"},
		{4096 - 10, "SWAP-SPACE", "swap"},
		{32768 + 1, "CD001", "ISO 9660"},
		{32768 + 1, "BEA01", "UDF"},
		{32768, "JFS1", "JFS"},
		{65536 + 64, "_BHRfS_M", "Btrfs"},
		{65536 + 52, "ReIsEr", "ReiserFS"},
		{0, "conectix", "a VHD image"},
		{0, "QFI\xfb", "a QCOW2 image"},
		{0, "KDMV", "a VMDK image"},
		{0, "vhdxfile", "a VHDX image"},
		{0x40, "\x7f\x10\xda\xbe", "a VDI image"},
		{0, "PK\x03\x04", "a ZIP archive"},
		{0, "\x1f\x8b\x08", "gzip data"},
		{0, "\xfd7zXZ\x00", "xz data"},
		{0, "\x28\xb5\x2f\xfd", "zstd data"},
		{0, "BZh", "bzip2 data"},
	} {
		if m.off >= at && hasAt(p, int(m.off-at), m.magic) {
			return m.kind
		}
	}
	if at == 0 && hasAt(p, 1024+56, "\x53\xef") {
		return extKind(p[1024:])
	}
	return ""
}

// extKind tells the generations of ext apart as blkid does, by their feature words.
func extKind(super []byte) string {
	if len(super) < 108 {
		return "ext"
	}
	compat := binary.LittleEndian.Uint32(super[92:])
	incompat := binary.LittleEndian.Uint32(super[96:])
	roCompat := binary.LittleEndian.Uint32(super[100:])
	switch {
	case incompat&^uint32(0x16) != 0 || roCompat&^uint32(0x7) != 0:
		return "ext4"
	case compat&0x4 != 0:
		return "ext3"
	}
	return "ext2"
}

func hasAt(p []byte, off int, magic string) bool {
	return off+len(magic) <= len(p) && string(p[off:off+len(magic)]) == magic
}

func isBlank(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }

// probePartition fills in what p holds, and why it cannot be used.
func probePartition(dev device.Device, p *Partition, opt fat.GeometryOptions) {
	if p.Extended {
		p.Content.Kind = "extended"
		return
	}
	if p.Start < 0 || p.Size <= 0 || p.Start >= dev.Size() || p.Size > dev.Size()-p.Start {
		if p.Err == nil {
			p.Err = fmt.Errorf("%s has %d bytes at offset %d, and the image ends at %d: %w",
				p.describe(), p.Size, p.Start, dev.Size(), ErrBeyondEnd)
		}
		if p.Start < 0 || p.Size <= 0 || p.Start >= dev.Size() {
			p.Content.Kind = "unknown"
			return
		}
	}
	c, err := probe(window{dev, p.Start, p.Size}, opt)
	if err != nil {
		c.Kind = "unknown"
		if p.Err == nil {
			p.Err = fmt.Errorf("%s: %w", p.describe(), err)
		}
	}
	p.Content = c
}
