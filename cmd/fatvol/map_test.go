package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// mapOf draws a FAT16 volume of 4100 clusters with the given entries in cells of 100 clusters.
func mapOf(t *testing.T, entries map[int]uint32) *spaceMap {
	t.Helper()
	g := &fat.Geometry{Width: fat.FAT16, Clusters: 4100, FATBytes: 16384, FATs: 1}
	table := make([]byte, g.FATBytes)
	for c, value := range entries {
		putEntry(table, fat.FAT16, c, value)
	}
	dev := device.NewMem(g.FATBytes)
	if _, err := dev.WriteAt(table, 0); err != nil {
		t.Fatal(err)
	}
	m, err := drawSpaceMap(dev, g, 41)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A chain over two cells, a torn one, a bad cluster, and a cell that is full.
func someMap(t *testing.T) *spaceMap {
	entries := map[int]uint32{
		101: 102, 102: 0xffff, // clusters 99 and 100 of the data area
		302: 402, 402: 0xffff, // in two cells
		502: 0xfff7,
	}
	for c := 1002; c < 1101; c++ {
		entries[c] = uint32(c) + 1
	}
	entries[1101] = 0xffff
	return mapOf(t, entries)
}

func TestSpaceMap(t *testing.T) {
	m := someMap(t)
	if len(m.cells) != 41 || m.perCell != 100 {
		t.Fatalf("%d cells of %d clusters", len(m.cells), m.perCell)
	}
	for i, c := range m.cells {
		want := map[int]mapCell{
			0: {100, 1, 0, 0}, 1: {100, 1, 0, 0}, 3: {100, 1, 0, 1}, 4: {100, 1, 0, 0},
			5: {100, 0, 1, 0}, 10: {100, 100, 0, 0},
		}[i]
		want.clusters = 100
		if c != want {
			t.Errorf("cell %d is %+v, want %+v", i, c, want)
		}
	}
	for i, want := range map[int]cellKind{0: cellWhole, 2: cellFree, 3: cellTornBad, 5: cellBad, 10: cellWhole} {
		if got := m.cells[i].kind(); got != want {
			t.Errorf("cell %d is drawn as %d, want %d", i, got, want)
		}
	}
}

func TestMapText(t *testing.T) {
	m := someMap(t)
	plain := m.text(mapStyle{width: 60}, 512)
	lines := strings.Split(plain, "\n")
	if want := "      0 B oo.moB....O.............................."; !strings.HasPrefix(lines[0], want) {
		t.Errorf("first line %q, want %q", lines[0], want)
	}
	for _, r := range plain {
		if r > '~' || r < ' ' && r != '\n' {
			t.Fatalf("%q in a map of plain characters:\n%s", r, plain)
		}
	}
	for _, want := range []string{"free", "torn", "bad", "one character is 100 clusters, 50 KiB"} {
		if !strings.Contains(plain, want) {
			t.Errorf("%q is not in:\n%s", want, plain)
		}
	}
	if s := m.text(mapStyle{width: 60, blocks: true, colour: true}, 512); !strings.Contains(s, "\x1b[31m░\x1b[0m") || !strings.Contains(s, "█") {
		t.Errorf("no colours or blocks in:\n%q", s)
	}
	for _, width := range []int{minMapWidth, plainWidth, maxMapWidth} {
		for i, line := range strings.Split(m.text(mapStyle{width: width}, 512), "\n") {
			if i == 0 && len([]rune(line)) > width {
				t.Errorf("line of %d characters, %d fit: %q", len([]rune(line)), width, line)
			}
		}
	}
	if s := mapStyleFor(&bytes.Buffer{}); s.blocks || s.colour || s.width != plainWidth {
		t.Errorf("%+v for what is no terminal", s)
	}
}

func TestMapPicture(t *testing.T) {
	panels := []mapPanel{{"first <volume> & more", 512, someMap(t)}, {"second", 4096, someMap(t)}}
	dir := t.TempDir()
	for _, name := range []string{"map.svg", "map.PNG"} {
		path := filepath.Join(dir, name)
		if err := writeMapPicture(path, panels); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "svg") {
			for d := xml.NewDecoder(bytes.NewReader(data)); ; {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s is no XML: %v", name, err)
				}
			}
			continue
		}
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		counts := map[cellKind]int{}
		for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
			for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
				r, g, b, _ := img.At(x, y).RGBA()
				for kind, c := range kindColours {
					if uint8(r>>8) == c.R && uint8(g>>8) == c.G && uint8(b>>8) == c.B {
						counts[kind]++
					}
				}
			}
		}
		// Black is also what the text is made of.
		if counts[cellFree] < 30*100 || counts[cellWhole] < 100 || counts[cellTornBad] < 100 || counts[cellBad] < 100 {
			t.Errorf("%s: %v pixels by kind", name, counts)
		}
	}
	if err := writeMapPicture(filepath.Join(dir, "no", "map.svg"), panels); err == nil {
		t.Error("a picture was written into a directory that is not there")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".fatvol*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
