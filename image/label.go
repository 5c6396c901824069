package image

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/text/encoding/charmap"

	"fatvol/image/fat"
)

// labelSearch bounds how much of a root directory is searched for the label, in bytes. Formatting
// tools write it first; a directory that was labelled later has it in the first free slot.
const labelSearch = 64 << 10

const (
	direntSize     = 32
	attrVolume     = 0x08
	attrDirectory  = 0x10
	attrMask       = 0x3f
	attrLongName   = 0x0f
	direntEnd      = 0x00
	direntFree     = 0xe5
	direntKanjiE5  = 0x05 // stands for a first byte 0xe5
	fat32EntryMask = 0x0fffffff
)

// volumeLabel returns the label in the root directory, which is the one that people see and
// change; where there is none, that of the boot sector.
func volumeLabel(w window, g *fat.Geometry) (string, error) {
	label, err := rootLabel(w, g)
	if err != nil {
		return "", err
	}
	if label == nil {
		label = g.Label[:]
		if g.LabelOffset == 0 || bytes.Equal(label, []byte("NO NAME    ")) {
			return "", nil
		}
	}
	return labelText(label), nil
}

// rootLabel searches the root directory for a volume label, and returns nil if there is none in
// the part of it that is searched.
func rootLabel(w window, g *fat.Geometry) ([]byte, error) {
	if g.Width != fat.FAT32 {
		label, _, err := labelIn(w, g.RootStart, min(labelSearch, int64(g.RootEntries)*direntSize))
		return label, err
	}
	cluster := g.RootCluster
	for searched := int64(0); searched < labelSearch; searched += int64(g.ClusterSize) {
		if cluster < 2 || cluster-2 >= g.Clusters {
			return nil, nil
		}
		at := g.DataStart + int64(cluster-2)*int64(g.ClusterSize)
		label, end, err := labelIn(w, at, min(labelSearch, int64(g.ClusterSize)))
		if label != nil || end || err != nil {
			return label, err
		}
		p, err := w.read(g.FATStart+int64(g.ActiveFAT)*g.FATBytes+int64(cluster)*4, 4)
		if err != nil || len(p) < 4 {
			return nil, err
		}
		cluster = binary.LittleEndian.Uint32(p) & fat32EntryMask
	}
	return nil, nil
}

// labelIn searches n bytes of directory at off. end is set when the directory ends there.
func labelIn(w window, off, n int64) (label []byte, end bool, err error) {
	p, err := w.read(off, n)
	if err != nil {
		return nil, true, err
	}
	for ; len(p) >= direntSize; p = p[direntSize:] {
		attr := p[11]
		switch {
		case p[0] == direntEnd:
			return nil, true, nil
		case p[0] == direntFree, attr&attrMask == attrLongName:
		case attr&(attrVolume|attrDirectory) == attrVolume:
			label := bytes.Clone(p[:11])
			if label[0] == direntKanjiE5 {
				label[0] = direntFree
			}
			return label, true, nil
		}
	}
	return nil, false, nil
}

// labelText decodes a label. The code page that it was written in is not recorded anywhere; 437
// is what formatting tools use by default, and all agree in ASCII.
func labelText(label []byte) string {
	s, err := charmap.CodePage437.NewDecoder().Bytes(label)
	if err != nil {
		s = label
	}
	return strings.TrimRight(string(s), " \x00")
}
