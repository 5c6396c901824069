//go:build linux

package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
)

// A writeLog is everything that a stick was given to write, in the order in which it came. QEMU's driver
// blklogwrites records it, in the format of the device mapper's log-writes target (Linux,
// Documentation/admin-guide/device-mapper/log-writes.rst).
type writeLog []logEntry

// A logEntry is a write, or a flush of the stick's cache.
type logEntry struct {
	at    int64 // offset in the stick, in bytes
	data  []byte
	flush bool
}

const logSector = 512

// readWriteLog reads the log of a stick that was pulled.
func readWriteLog(t testing.TB, path string) (log writeLog) {
	t.Helper()
	const magic, version, flush = 0x6a736677736872, 1, 1
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(raw[at:]) }
	if len(raw) < logSector || u64(0) != magic || u64(8) != version || binary.LittleEndian.Uint32(raw[24:]) != logSector {
		t.Fatalf("%s is no log of writes", path)
	}
	// The number of entries in the header is behind, as the stick was pulled; the header of an entry is never zero.
	for at := logSector; at+logSector <= len(raw); {
		sector, sectors, flags := u64(at), u64(at+8), u64(at+16)
		if sectors == 0 && flags == 0 {
			break
		}
		if flags&^flush != 0 {
			t.Fatalf("entry %d of the log has the flags %#x: only writes and flushes are understood", len(log), flags)
		}
		at += logSector
		end := at + int(sectors)*logSector
		if end > len(raw) {
			break
		}
		log = append(log, logEntry{int64(sector) * logSector, raw[at:end], flags&flush != 0})
		at = end
	}
	return log
}

// flushes is the number of flushes.
func (l writeLog) flushes() (n int) {
	for _, e := range l {
		if e.flush {
			n++
		}
	}
	return n
}

// survivors says what a stick makes of the writes that its cache holds when the power goes.
type survivors int

const (
	allSurvive    survivors = iota // it had no cache
	noneSurvive                    // it wrote nothing before it was told to
	someSurvive                    // it wrote some of them, whole, in any order
	sectorsOfSome                  // it wrote some sectors of them, in any order
	survivorKinds
)

func (s survivors) String() string {
	return [survivorKinds]string{"all", "none", "some writes", "some sectors"}[s]
}

// cut writes to the stick in f what it holds when the power goes after the first n entries: everything before
// the last flush among them, and of the rest what survives.
func (l writeLog) cut(f *os.File, n int, s survivors, rng *rand.Rand) error {
	flushed := n
	for flushed > 0 && !l[flushed-1].flush {
		flushed--
	}
	if s == allSurvive {
		flushed = n
	}
	for _, e := range l[:flushed] {
		if _, err := f.WriteAt(e.data, e.at); err != nil {
			return err
		}
	}
	var cached []logEntry
	for _, e := range l[flushed:n] {
		size := logSector
		if s == someSurvive {
			size = max(len(e.data), 1)
		}
		for at := 0; at < len(e.data); at += size {
			cached = append(cached, logEntry{at: e.at + int64(at), data: e.data[at:][:size]})
		}
	}
	rng.Shuffle(len(cached), func(i, k int) { cached[i], cached[k] = cached[k], cached[i] })
	if s == noneSurvive {
		cached = nil
	}
	for _, e := range cached[:rng.IntN(len(cached)+1)] {
		if _, err := f.WriteAt(e.data, e.at); err != nil {
			return fmt.Errorf("write to the cut stick: %w", err)
		}
	}
	return nil
}

// sectorAt is what the last of the first n entries that wrote to a sector wrote there; zeros if none did.
func (l writeLog) sectorAt(at int64, n int) []byte {
	for i := n - 1; i >= 0; i-- {
		if e := l[i]; e.at <= at && at+logSector <= e.at+int64(len(e.data)) {
			return e.data[at-e.at:][:logSector]
		}
	}
	return make([]byte, logSector)
}

// TestWriteLog: a cut has everything that was flushed, nothing that was written behind it, and of what lies between
// what survives.
func TestWriteLog(t *testing.T) {
	block := func(c byte) []byte { return bytes.Repeat([]byte{c}, 2*logSector) }
	log := writeLog{{at: 0, data: block('a')}, {at: 1024, data: block('b')}, {flush: true}, {at: 0, data: block('c')}, {at: 2048, data: block('d')}, {at: 3072, data: block('e')}}
	for kind := range survivorKinds {
		whole, torn := 0, 0
		for seed := range uint64(40) {
			f, err := os.CreateTemp(t.TempDir(), "cut")
			if err == nil {
				err = errors.Join(f.Truncate(4096), log.cut(f, 5, kind, rand.New(rand.NewPCG(seed, 0))))
			}
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4096)
			if _, err := f.ReadAt(got, 0); err != nil {
				t.Fatal(err)
			}
			f.Close()
			if !bytes.Equal(got[1024:2048], block('b')) || !bytes.Equal(got[3072:], make([]byte, 1024)) {
				t.Errorf("%v, seed %d: what was flushed is not there, or what came after the cut is", kind, seed)
			}
			for _, at := range []int{0, 2048} {
				switch first, second := got[at], got[at+logSector]; {
				case first != second:
					torn++
				case first == 'c' || first == 'd':
					whole++
				}
			}
		}
		want := map[survivors]string{allSurvive: "all", noneSurvive: "none", someSurvive: "some", sectorsOfSome: "torn"}[kind]
		is := "some"
		switch {
		case torn > 0:
			is = "torn"
		case whole == 80:
			is = "all"
		case whole == 0:
			is = "none"
		}
		if is != want {
			t.Errorf("%v: of 80 writes %d survived whole and %d in part", kind, whole, torn)
		}
	}
	if got := log.sectorAt(512, 3); got[0] != 'a' {
		t.Errorf("sector 1 holds %q before the third entry", got[0])
	}
	if got := log.sectorAt(512, 6); got[0] != 'c' {
		t.Errorf("sector 1 holds %q in the end", got[0])
	}
}
