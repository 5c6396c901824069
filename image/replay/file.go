package replay

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fatvol/image/device"
)

// A replay file holds what a mount that ended without its medium could not write, and what the medium
// must be like for it to be written later. All numbers are little-endian.
//
//	8 bytes   magic
//	4 bytes   length of the header
//	…         header: JSON of Info
//	records   1 byte kind:
//	            'W' offset 8, length 4, bytes        a write
//	            'Z' offset 8, length 8               zeros
//	            'S'                                  a sync between writes
//	            'K' offset 8, count 2, digests 8 each   states that a block of 512 bytes may be in, as CRC-64 (ECMA-182)
//	            'E'                                  the end
//	32 bytes  SHA-256 of all before
const (
	magic = "FATVOLR2"
	// oldMagic had digests of another kind, which nothing here can compare.
	oldMagic = "FATVOLR1"
)

const (
	maxHeader = 16 << 20
	maxChunk  = 1 << 30 // bytes of one write
	maxStates = math.MaxUint16
)

// ErrFile is returned for a file that is not a replay file, or a damaged one.
var ErrFile = errors.New("not a sound replay file")

// Info says what a replay file is about.
type Info struct {
	Image  string    `json:"image"`  // path of the image
	Saved  time.Time `json:"saved"`  // when
	Size   int64     `json:"size"`   // bytes of the image
	Offset int64     `json:"offset"` // of the volume in the image
	Serial string    `json:"serial"` // of the volume, XXXX-XXXX
	Label  string    `json:"label"`
	Bytes  int64     `json:"bytes"` // written and not on the medium, each once
	Files  []File    `json:"files"` // with contents among them
	// Omitted is how many more files there are, which the header had no room for.
	Omitted int `json:"omitted,omitempty"`
}

// maxFile is the largest file that a FAT volume holds.
const maxFile = 1<<32 - 1

// check refuses numbers that cannot be true: whoever extracts the files would follow them.
func (i *Info) check() error {
	if i.Size < 0 || i.Offset < 0 || i.Offset > i.Size {
		return fmt.Errorf("%w: a volume at offset %d of an image of %d bytes", ErrFile, i.Offset, i.Size)
	}
	for _, f := range i.Files {
		if f.Size < 0 || f.Size > maxFile {
			return fmt.Errorf("%w: a file of %d bytes", ErrFile, f.Size)
		}
		left := f.Size
		for _, p := range f.Pieces {
			if err := device.CheckRange("file", p.Off, p.N, i.Size); err != nil {
				return fmt.Errorf("%w: %w", ErrFile, err)
			}
			if left -= p.N; left < 0 {
				return fmt.Errorf("%w: a file of %d bytes with more in its pieces", ErrFile, f.Size)
			}
		}
	}
	return nil
}

// header is Info as it is stored. Where it would be too long, files are left out: they are only named
// there, what was written to them is in the records.
func (i Info) header() ([]byte, error) {
	all := len(i.Files)
	for {
		text, err := json.Marshal(i)
		if err != nil || len(text) <= maxHeader {
			return text, err
		}
		if len(i.Files) == 0 {
			return nil, fmt.Errorf("header of %d bytes", len(text))
		}
		i.Files = i.Files[:len(i.Files)/2]
		i.Omitted = all - len(i.Files)
	}
}

// File is a file of the volume with unsynced contents, and where its bytes lie in the image.
type File struct {
	Path   string  `json:"path"`
	Size   int64   `json:"size"`
	Pieces []Piece `json:"pieces"`
}

// Piece is a run of a file's bytes: n of them at offset off of the image.
type Piece struct {
	Off int64 `json:"off"`
	N   int64 `json:"n"`
}

// Save writes what the Log holds to a new file at path, mode 0600: whole and durable, or not at all.
// The Log is detached, or nobody uses it.
func (l *Log) Save(path string, info Info) (err error) {
	l.flight.Lock()
	defer l.flight.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	info.Size, info.Bytes = l.Size(), merge(l.pieces()).Bytes()
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".replay-*") // O_EXCL, 0600
	if err != nil {
		return fmt.Errorf("save unsynced writes: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("save unsynced writes: %w", err)
		}
	}()
	w := &writer{w: bufio.NewWriterSize(f, 1<<16), sum: sha256.New()}
	if err := l.encode(w, info); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// place gives the file at from the path to, where nothing may be. A hard link, unlike a rename, does not
// replace what is there; but not every file system has them.
func place(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		os.Remove(from)
		return nil
	}
	if _, there := os.Lstat(to); !errors.Is(there, os.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (l *Log) encode(w *writer, info Info) error {
	header, err := info.header()
	if err != nil {
		return err
	}
	w.bytes([]byte(magic))
	w.number(uint64(len(header)), 4)
	w.bytes(header)
	for _, e := range l.entries {
		switch {
		case e.n == 0:
			w.bytes([]byte{'S'})
		case e.data == nil:
			w.bytes([]byte{'Z'})
			w.number(uint64(e.off), 8)
			w.number(uint64(e.n), 8)
		default:
			w.bytes([]byte{'W'})
			w.number(uint64(e.off), 8)
			w.number(uint64(len(e.data)), 4)
			w.bytes(e.data)
		}
	}
	offsets := make([]int64, 0, len(l.kept))
	for at := range l.kept {
		offsets = append(offsets, at)
	}
	slices.Sort(offsets)
	for _, at := range offsets {
		s := l.kept[at]
		if s[0].any {
			continue
		}
		if len(s) > maxStates {
			return fmt.Errorf("block at offset %d has %d states", at, len(s))
		}
		w.bytes([]byte{'K'})
		w.number(uint64(at), 8)
		w.number(uint64(len(s)), 2)
		for _, d := range s {
			w.number(uint64(d.digest), 8)
		}
	}
	w.bytes([]byte{'E'})
	return w.finish()
}

// writer adds up what it writes; the first error stays.
type writer struct {
	w   *bufio.Writer
	sum hash.Hash
	err error
}

func (w *writer) bytes(p []byte) {
	if w.err == nil {
		w.sum.Write(p)
		_, w.err = w.w.Write(p)
	}
}

func (w *writer) number(v uint64, size int) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	w.bytes(b[:size])
}

func (w *writer) finish() error {
	w.bytes(w.sum.Sum(nil))
	if w.err != nil {
		return w.err
	}
	return w.w.Flush()
}

// Saved is a replay file in memory.
type Saved struct {
	Info
	log *Log
}

// LoadInfo reads what a replay file says of itself; it does not look at the rest.
func LoadInfo(path string) (info *Info, err error) {
	err = readFile(path, func(src io.Reader, size int64) error {
		info, err = newReader(src, size).info()
		return err
	})
	return info, err
}

// readFile has read take in a file, which is a regular one of size bytes.
func readFile(path string, read func(src io.Reader, size int64) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = ErrFile
	}
	if err == nil {
		err = read(bufio.NewReaderSize(f, 1<<16), st.Size())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// info reads the beginning of a replay file.
func (r *reader) info() (*Info, error) {
	switch begin := string(r.bytes(int64(len(magic)))); {
	case r.err != nil || begin == magic:
	case begin == oldMagic:
		return nil, fmt.Errorf("%w for this version: one from before December 2026 wrote it, and can write back what it holds", ErrFile)
	default:
		return nil, fmt.Errorf("%w: it begins otherwise", ErrFile)
	}
	n := r.number(4)
	if n > maxHeader {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrFile, n)
	}
	header := r.bytes(int64(n))
	if r.err != nil {
		return nil, r.err
	}
	info := &Info{}
	if err := json.Unmarshal(header, info); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if err := info.check(); err != nil {
		return nil, err
	}
	return info, nil
}

// Load reads a replay file. It takes a few times as much memory as the file is long at most, and normally as much.
func Load(path string) (saved *Saved, err error) {
	err = readFile(path, func(src io.Reader, size int64) error {
		saved, err = decode(src, size)
		return err
	})
	return saved, err
}

// reader adds up what it reads, and never reads more than is there.
type reader struct {
	r    io.Reader
	sum  hash.Hash
	left int64
	err  error
}

func newReader(src io.Reader, size int64) *reader {
	return &reader{r: src, sum: sha256.New(), left: size}
}

func (r *reader) bytes(n int64) []byte {
	if r.err == nil && n > r.left {
		r.err = fmt.Errorf("%w: it ends too early", ErrFile)
	}
	if r.err != nil {
		return nil
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(r.r, p); err != nil {
		r.err = fmt.Errorf("%w: %w", ErrFile, err)
		return nil
	}
	r.left -= n
	r.sum.Write(p)
	return p
}

func (r *reader) number(size int) uint64 {
	var b [8]byte
	copy(b[:], r.bytes(int64(size)))
	return binary.LittleEndian.Uint64(b[:])
}

func decode(src io.Reader, size int64) (*Saved, error) {
	r := newReader(src, size)
	info, err := r.info()
	if err != nil {
		return nil, err
	}
	s := &Saved{Info: *info}
	s.log = newLog(sized(s.Size), 0)
	s.log.detached.Store(true)
	for {
		kind := r.bytes(1)
		if r.err != nil {
			return nil, r.err
		}
		if kind[0] == 'E' {
			break
		}
		if err := s.record(r, kind[0]); err != nil {
			return nil, err
		}
	}
	want := r.sum.Sum(nil)
	if got := r.bytes(sha256.Size); r.err != nil || string(got) != string(want) || r.left != 0 {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrFile)
	}
	return s, nil
}

// record reads one record.
func (s *Saved) record(r *reader, kind byte) error {
	e := entry{}
	switch kind {
	case 'S':
		// Several are as good as one, and would take far more memory than the file is long.
		if n := len(s.log.entries); n == 0 || s.log.entries[n-1].n == 0 {
			return nil
		}
	case 'Z':
		e.off, e.n = int64(r.number(8)), int64(r.number(8))
	case 'W':
		e.off, e.n = int64(r.number(8)), int64(r.number(4))
		if e.n > maxChunk {
			return fmt.Errorf("%w: a write of %d bytes", ErrFile, e.n)
		}
		e.data = r.bytes(e.n)
	case 'K':
		at, count := int64(r.number(8)), int(r.number(2))
		states := make(states, 0, 1)
		for i := 0; i < count && r.err == nil; i++ {
			states = append(states, state{digest: digest(r.number(8))})
		}
		if r.err == nil && (at < 0 || at%block != 0 || at > s.Size-block || count == 0) {
			return fmt.Errorf("%w: a block at offset %d", ErrFile, at)
		}
		s.log.kept[at] = states
		return r.err
	default:
		return fmt.Errorf("%w: a record of kind %#x", ErrFile, kind)
	}
	if r.err != nil {
		return r.err
	}
	if kind != 'S' {
		if e.n <= 0 {
			return fmt.Errorf("%w: a write of %d bytes", ErrFile, e.n)
		}
		if err := device.CheckRange("write", e.off, e.n, s.Size); err != nil {
			return fmt.Errorf("%w: %w", ErrFile, err)
		}
	}
	s.log.entries = append(s.log.entries, e)
	return nil
}

// Verify compares dev with what the file was saved against, as Log.Verify.
func (s *Saved) Verify(dev device.Device) error { return s.log.Verify(dev) }

// Apply writes what the file holds to dev, in order, and syncs. Verify it before.
func (s *Saved) Apply(dev device.Device) error { return replay(dev, s.log.entries) }

// Patch puts what the file holds over p, which was read from offset off of the image, and returns how
// many bytes of p it had.
func (s *Saved) Patch(p []byte, off int64) (known int64) {
	have := make([]bool, len(p))
	patch(s.log.entries, p, off, have)
	for _, h := range have {
		if h {
			known++
		}
	}
	return known
}

// patch puts what entries hold over p, which was read from offset off, and marks in have, if that is not nil, what
// they had.
func patch(entries []entry, p []byte, off int64, have []bool) {
	for _, e := range entries {
		from, to := max(e.off, off), min(e.off+e.n, off+int64(len(p)))
		if from >= to {
			continue
		}
		clear(p[from-off : to-off])
		if e.data != nil {
			copy(p[from-off:to-off], e.data[from-e.off:])
		}
		for i := from; have != nil && i < to; i++ {
			have[i-off] = true
		}
	}
}

// sized stands for a medium that is not there, of which only the size is known.
type sized int64

var errNoMedium = errors.New("there is no medium")

func (s sized) Size() int64                        { return int64(s) }
func (s sized) Sync() error                        { return errNoMedium }
func (s sized) ReadAt([]byte, int64) (int, error)  { return 0, errNoMedium }
func (s sized) WriteAt([]byte, int64) (int, error) { return 0, errNoMedium }
