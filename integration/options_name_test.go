package integration

import (
	le "encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// shortEntry finds the directory entry of an 8.3 name, as 11 bytes, in an image.
func shortEntry(t testing.TB, img, name string) (offset int64, entry []byte) {
	t.Helper()
	raw, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off+32 <= len(raw); off += 32 {
		if e := raw[off : off+32]; string(e[:11]) == name && e[11] != 0x0f {
			return int64(off), e
		}
	}
	return -1, nil
}

// patch overwrites bytes of an image.
func patch(t testing.TB, img string, off int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}

// names lists a directory.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// dirEntry makes an 8.3 entry of an empty file.
func dirEntry(name string, ntCase byte) []byte {
	e := make([]byte, 32)
	copy(e, name)
	e[11], e[12] = 0x20, ntCase
	le.LittleEndian.PutUint16(e[16:], 0x5821) // creation, access and change: 2024-01-01
	le.LittleEndian.PutUint16(e[18:], 0x5821)
	le.LittleEndian.PutUint16(e[24:], 0x5821)
	return e
}

// rootOffset is where the fixed root directory of a FAT12 or FAT16 volume begins.
func rootOffset(t testing.TB, img string) int64 {
	t.Helper()
	boot := make([]byte, 512)
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	order := le.LittleEndian
	sectors := int64(order.Uint16(boot[14:])) + int64(boot[16])*int64(order.Uint16(boot[22:]))
	return sectors * int64(order.Uint16(boot[11:]))
}

func TestNamesFromDisk(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	root := rootOffset(t, img)
	patch(t, img, root, slices.Concat(
		dirEntry("README  TXT", 0),
		dirEntry("LOWER   TXT", 0x18),
		dirEntry("MIXED   TXT", 0x08),
		dirEntry("\x9dL      TXT", 0), // Ø in code page 850, ¥ in 437
	))
	for _, tc := range []struct {
		options string
		want    []string
	}{
		{"rw", []string{"README.TXT", "lower.txt", "mixed.TXT", "¥L.TXT"}},
		{"shortname=mixed", []string{"README.TXT", "lower.txt", "mixed.TXT", "¥L.TXT"}},
		{"shortname=winnt", []string{"README.TXT", "lower.txt", "mixed.TXT", "¥L.TXT"}},
		{"shortname=win95", []string{"README.TXT", "LOWER.TXT", "MIXED.TXT", "¥L.TXT"}},
		{"nocase", []string{"README.TXT", "LOWER.TXT", "MIXED.TXT", "¥L.TXT"}},
		{"shortname=lower", []string{"readme.txt", "lower.txt", "mixed.txt", "¥l.txt"}},
		{"codepage=850", []string{"README.TXT", "lower.txt", "mixed.TXT", "ØL.TXT"}},
		{"codepage=850,utf8=0", []string{"README.TXT", "lower.txt", "mixed.TXT", "\xd8L.TXT"}},
		{"codepage=850,iocharset=iso8859-1", []string{"README.TXT", "lower.txt", "mixed.TXT", "\xd8L.TXT"}},
		{"iocharset=iso8859-15", []string{"README.TXT", "lower.txt", "mixed.TXT", "\xa5L.TXT"}},
		{"iocharset=iso8859-15,utf8", []string{"README.TXT", "lower.txt", "mixed.TXT", "¥L.TXT"}},
		{"iocharset=koi8-r", []string{"README.TXT", "lower.txt", "mixed.TXT", "?L.TXT"}},
		{"iocharset=koi8-r,uni_xlate", []string{"README.TXT", "lower.txt", "mixed.TXT", ":00a5L.TXT"}},
	} {
		dir := mountImage(t, img, "ro,"+tc.options)
		got := names(t, dir)
		slices.Sort(got)
		slices.Sort(tc.want)
		if !slices.Equal(got, tc.want) {
			t.Errorf("-o %s: %q, want %q", tc.options, got, tc.want)
		}
		umount(t, dir)
	}
}

func TestNamesToDisk(t *testing.T) {
	for _, tc := range []struct {
		options string
		name    string
		short   string // entry that is there, 11 bytes
		ntCase  byte
		long    bool // a long name is there as well
	}{
		{"rw", "lower.txt", "LOWER   TXT", 0x18, true},
		{"shortname=mixed", "lower.txt", "LOWER   TXT", 0x18, true},
		{"shortname=winnt", "lower.txt", "LOWER   TXT", 0x18, false},
		{"shortname=winnt", "Mixed.txt", "MIXED   TXT", 0, true},
		{"shortname=win95", "UPPER.TXT", "UPPER   TXT", 0, false},
		{"shortname=lower", "lower.txt", "LOWER   TXT", 0x18, true},
		{"rw", "longfilename.txt", "LONGFI~1TXT", 0, true},
		{"nonumtail", "longfilename.txt", "LONGFILETXT", 0, true},
		{"nonumtail=0", "longfilename.txt", "LONGFI~1TXT", 0, true},
	} {
		img := mkfsFAT(t, 4<<20)
		dir := mountImage(t, img, tc.options)
		if err := os.WriteFile(filepath.Join(dir, tc.name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := names(t, dir); !slices.Equal(got, []string{tc.name}) {
			t.Errorf("-o %s: %q is listed as %q", tc.options, tc.name, got)
		}
		umount(t, dir)
		off, entry := shortEntry(t, img, tc.short)
		if off < 0 {
			t.Errorf("-o %s: %q has no entry %q", tc.options, tc.name, tc.short)
			continue
		}
		if !tc.long && entry[12] != tc.ntCase {
			t.Errorf("-o %s: %q has the case bits %#x, want %#x", tc.options, tc.name, entry[12], tc.ntCase)
		}
		if long := off > rootOffset(t, img); long != tc.long {
			t.Errorf("-o %s: %q has a long name: %v, want %v", tc.options, tc.name, long, tc.long)
		}
		fsck(t, img)
	}
}

func TestCharsetOfNewNames(t *testing.T) {
	for _, tc := range []struct{ options, given, utf8 string }{
		{"iocharset=koi8-r", "\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"},
		{"iocharset=iso8859-15", "100 \xa4", "100 €"},
		{"iocharset=iso8859-1,uni_xlate", "caf\xe9 :8a9e", "café 語"},
	} {
		img := mkfsFAT(t, 4<<20)
		dir := mountImage(t, img, tc.options)
		if err := os.WriteFile(filepath.Join(dir, tc.given), nil, 0o644); err != nil {
			t.Errorf("-o %s: %v", tc.options, err)
		}
		umount(t, dir)
		dir = mountImage(t, img)
		if got := names(t, dir); !slices.Equal(got, []string{tc.utf8}) {
			t.Errorf("-o %s: %q became %q, want %q", tc.options, tc.given, got, tc.utf8)
		}
		umount(t, dir)
	}
}

func TestCheck(t *testing.T) {
	img := volume(t)
	for options, other := range map[string]bool{"rw": true, "check=n": true, "check=r": true, "check=s": false} {
		dir := mountImage(t, img, options)
		_, err := os.Stat(filepath.Join(dir, "PLAIN.txt"))
		if (err == nil) != other {
			t.Errorf("-o %s: the other spelling: %v", options, err)
		}
		umount(t, dir)
	}
}
