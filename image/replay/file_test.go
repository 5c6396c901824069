package replay

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"fatvol/image/device"
)

// savedLog is a log whose medium is gone, and what has to be on the medium in the end.
func savedLog(t *testing.T) (l *Log, s *stick, want []byte) {
	t.Helper()
	l, s = newTestLog()
	mustWrite(t, l, 0, fill(block, 1))
	must(t, l.Sync())
	l.Keep(0, fill(block, 1))
	mustWrite(t, l, 0, fill(block, 2))
	mustWrite(t, l, 5000, fill(3000, 3))
	s.pull()
	l.Detach()
	must(t, l.Sync())
	mustWrite(t, l, 6000, fill(100, 4))
	must(t, l.ZeroAt(6050, 20))
	want = s.back().stable
	copy(want, fill(block, 2))
	copy(want[5000:], fill(3000, 3))
	copy(want[6000:], fill(100, 4))
	clear(want[6050:6070])
	return l, s, want
}

var testInfo = Info{
	Image: "/media/stick/card.img", Saved: time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC), Offset: 512, Serial: "1A2B-3C4D", Label: "HOLIDAY",
	Files: []File{{"/DIR/A file", 3000, []Piece{{5000, 2000}, {7000, 1000}}}},
}

func save(t *testing.T, l *Log) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.replay")
	must(t, l.Save(path, testInfo))
	return path
}

func TestSaveLoadApply(t *testing.T) {
	l, s, want := savedLog(t)
	path := save(t, l)
	st, err := os.Stat(path)
	must(t, err)
	if st.Mode() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	info := testInfo
	info.Size, info.Bytes = testSize, block+3000 // what was written twice counts once
	got, err := LoadInfo(path)
	must(t, err)
	if !reflect.DeepEqual(*got, info) {
		t.Errorf("info is %+v, want %+v", *got, info)
	}
	saved, err := Load(path)
	must(t, err)
	if !reflect.DeepEqual(saved.Info, info) {
		t.Errorf("info is %+v, want %+v", saved.Info, info)
	}
	m := s.back()
	must(t, saved.Verify(m))
	must(t, saved.Apply(m))
	if !bytes.Equal(m.stable, want) {
		t.Error("the medium is not what was written")
	}
	if m.syncCount() != 2 {
		t.Errorf("%d syncs, want the one that was asked for and one at the end", m.syncCount())
	}
	must(t, saved.Verify(m)) // as it may be after an end in the middle
	copy(m.cache, fill(block, 9))
	if err := saved.Verify(m); !errors.Is(err, ErrChanged) {
		t.Errorf("changed elsewhere: %v", err)
	}

	p := fill(4096, 'x')
	if n := saved.Patch(p, 4500); n != 3000 {
		t.Errorf("%d bytes are known, want 3000", n)
	}
	if !bytes.Equal(p[500:3500], want[5000:8000]) || p[499] != 'x' || p[3500] != 'x' {
		t.Error("what was patched is wrong")
	}
}

func TestSaveReplacesNothing(t *testing.T) {
	l, _, _ := savedLog(t)
	path := filepath.Join(t.TempDir(), "x.replay")
	must(t, os.WriteFile(path, []byte("precious"), 0o600))
	if err := l.Save(path, testInfo); !errors.Is(err, os.ErrExist) {
		t.Error(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("it is gone")
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if err := l.Save(filepath.Join(path, "below"), testInfo); err == nil {
		t.Error("saved below a file")
	}
}

// Files that have no place in the header are left out of it, and nothing else is.
func TestSaveManyFiles(t *testing.T) {
	l, s, want := savedLog(t)
	info := testInfo
	info.Files = nil
	for range 150_000 {
		info.Files = append(info.Files, File{"/" + strings.Repeat("long", 40), 1, []Piece{{1, 1}}})
	}
	path := filepath.Join(t.TempDir(), "x.replay")
	must(t, l.Save(path, info))
	saved, err := Load(path)
	must(t, err)
	if len(saved.Files) == 0 || len(saved.Files)+saved.Omitted != 150_000 {
		t.Errorf("%d files, %d omitted", len(saved.Files), saved.Omitted)
	}
	m := s.back()
	must(t, saved.Apply(m))
	if !bytes.Equal(m.stable, want) {
		t.Error("the medium is not what was written")
	}
}

// No byte can change, and none be missing, without Load saying so.
func TestDamagedFile(t *testing.T) {
	l, _, _ := savedLog(t)
	path := save(t, l)
	good, err := os.ReadFile(path)
	must(t, err)
	load := func(b []byte) error {
		_, err := decode(bufio.NewReader(bytes.NewReader(b)), int64(len(b)))
		return err
	}
	must(t, load(good))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if err := load(bad); !errors.Is(err, ErrFile) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if err := load(good[:i]); !errors.Is(err, ErrFile) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	older := append([]byte(oldMagic), good[len(magic):]...)
	if err := load(older); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "one from before") {
		t.Errorf("a file of an older version: %v", err)
	}
	if err := load(append(bytes.Clone(good), 0)); !errors.Is(err, ErrFile) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := Load(t.TempDir()); !errors.Is(err, ErrFile) {
		t.Errorf("a directory: %v", err)
	}
}

// crafted is a file with a right checksum.
func crafted(header string, records ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(header)))
	b = append(b, header...)
	for _, r := range records {
		b = append(b, r...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func rec(kind byte, numbers ...uint64) []byte {
	b := []byte{kind}
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

// A right checksum is no reason to believe anything.
func TestHostileFile(t *testing.T) {
	const header = `{"size":1048576,"serial":"0000-0001"}`
	end := []byte{'E'}
	write := func(off uint64, n uint32, data string) []byte {
		return append(binary.LittleEndian.AppendUint32(rec('W', off), n), data...)
	}
	keep := func(at uint64, count uint16, digests ...uint64) []byte {
		b := binary.LittleEndian.AppendUint16(rec('K', at), count)
		for _, d := range digests {
			b = binary.LittleEndian.AppendUint64(b, d)
		}
		return b
	}
	ok := crafted(header, write(1048575, 1, "x"), rec('Z', 0, 1048576), []byte{'S'}, keep(1048064, 2, 1, 2), end)
	if _, err := decode(bytes.NewReader(ok), int64(len(ok))); err != nil {
		t.Fatalf("a sound file: %v", err)
	}
	syncs := crafted(header, bytes.Repeat([]byte{'S'}, 1000), write(0, 1, "x"), bytes.Repeat([]byte{'S'}, 1000), end)
	if s, err := decode(bytes.NewReader(syncs), int64(len(syncs))); err != nil || len(s.log.entries) != 2 {
		t.Errorf("many syncs: %v", err)
	}
	for name, b := range map[string][]byte{
		"empty":                       nil,
		"no end":                      crafted(header),
		"unknown record":              crafted(header, []byte{'Q'}, end),
		"write beyond the end":        crafted(header, write(1048575, 2, "xy"), end),
		"write far beyond the end":    crafted(header, write(1<<63, 1, "x"), end),
		"write of nothing":            crafted(header, write(0, 0, ""), end),
		"write that is not there":     crafted(header, write(0, 1<<30, "x"), end),
		"write of 4 GiB":              crafted(header, write(0, 1<<32-1, "x"), end),
		"zeros beyond the end":        crafted(header, rec('Z', 1, 1048576), end),
		"zeros that overflow":         crafted(header, rec('Z', 1<<62, 1<<62), end),
		"zeros of a negative length":  crafted(header, rec('Z', 0, 1<<63), end),
		"block out of place":          crafted(header, keep(1, 1, 1), end),
		"block beyond the end":        crafted(header, keep(1048576, 1, 1), end),
		"block at a negative place":   crafted(header, keep(1<<63, 1, 1), end),
		"block without a state":       crafted(header, keep(0, 0), end),
		"states that are not there":   crafted(header, keep(0, 65535, 1), end),
		"no JSON":                     crafted("{", end),
		"negative size":               crafted(`{"size":-1}`, end),
		"volume outside of the image": crafted(`{"size":10,"offset":11}`, end),
		"volume before the image":     crafted(`{"size":10,"offset":-1}`, end),
		"file outside of the image":   crafted(`{"size":10,"files":[{"size":5,"pieces":[{"off":6,"n":5}]}]}`, end),
		"piece of a negative length":  crafted(`{"size":10,"files":[{"size":5,"pieces":[{"off":6,"n":-5}]}]}`, end),
		"more in pieces than in all":  crafted(`{"size":10,"files":[{"size":5,"pieces":[{"off":0,"n":3},{"off":0,"n":3}]}]}`, end),
		"file of 8 EiB":               crafted(`{"size":10,"files":[{"size":9223372036854775807}]}`, end),
		"file of a negative size":     crafted(`{"size":10,"files":[{"size":-1}]}`, end),
	} {
		if _, err := decode(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that claims a header of 4 GiB, or writes of 1 GiB, takes no memory for them.
func TestLoadTakesNoMoreMemoryThanTheFile(t *testing.T) {
	long := binary.LittleEndian.AppendUint32([]byte(magic), 1<<32-1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_, _ = decode(bytes.NewReader(long), int64(len(long)))
		b := crafted(`{"size":4294967296}`, append(binary.LittleEndian.AppendUint32(rec('W', 0), 1<<30), 'x'))
		_, _ = decode(bytes.NewReader(b), int64(len(b)))
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(crafted(`{"size":1048576,"files":[{"path":"/a","size":5,"pieces":[{"off":6,"n":5}]}]}`,
		rec('Z', 0, 4096), []byte{'S'}, append(binary.LittleEndian.AppendUint32(rec('W', 0), 3), "abc"...), []byte{'E'}))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Without the checksum, a fuzzer gets as far as whoever can compute one.
		if len(b) >= sha256.Size {
			sum := sha256.Sum256(b[:len(b)-sha256.Size])
			b = append(b[:len(b)-sha256.Size:len(b)-sha256.Size], sum[:]...)
		}
		s, err := decode(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, ErrFile) {
				t.Fatalf("not an ErrFile: %v", err)
			}
			return
		}
		var held int64
		for _, e := range s.log.entries {
			if held += int64(len(e.data)); e.n < 0 || device.CheckRange("", e.off, e.n, s.Size) != nil {
				t.Fatalf("entry %d+%d in an image of %d", e.off, e.n, s.Size)
			}
		}
		if held > int64(len(b)) {
			t.Fatalf("%d bytes held of a file of %d", held, len(b))
		}
		for _, file := range s.Files {
			for _, p := range file.Pieces {
				if device.CheckRange("", p.Off, p.N, s.Size) != nil {
					t.Fatalf("piece %v in an image of %d", p, s.Size)
				}
			}
		}
		s.Patch(make([]byte, 4096), 0)
	})
}
