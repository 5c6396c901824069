package image

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// sessionBase is a disk with a volume that has a tree on it, and what damages copies of that.
type sessionBase struct {
	disk, volume *device.Mem
	at           int64 // where the volume lies, in bytes; 0 where the disk is the volume
	*fattest.Mutator
}

func sessionBases(t testing.TB) (bases []sessionBase) {
	t.Helper()
	for _, b := range []struct {
		l  fattest.Layout
		at int64
	}{
		{fattest.Layout{Width: 12, Clusters: 300}, 0}, {fattest.Layout{Width: 16, Clusters: 4100, RootEntries: 64}, 2048 * 512},
		{fattest.Layout{Width: 32, Clusters: 65600}, 0},
	} {
		volume := fattest.Formatted(t, b.l)
		fs, err := NewFS(volume, fat.Options{CommitDelay: -time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			name := fmt.Sprintf("directory %d/below/a file with a long name %d.text", i%2, i)
			if err := errors.Join(fs.MkdirAll(path.Dir(name), 0o777), fs.WriteFile(name, make([]byte, 700*i), 0o666)); err != nil {
				t.Fatal(err)
			}
		}
		if err := fs.Close(); err != nil {
			t.Fatal(err)
		}
		mutator, err := fattest.NewMutator(volume)
		if err != nil {
			t.Fatal(err)
		}
		disk := device.NewMem(b.at + volume.Size())
		if b.at > 0 {
			disk = device.NewMem(b.at + volume.Size() + 64*512)
			putTable(t, disk, 0, entry{0, 6, uint32(b.at / 512), uint32(volume.Size() / 512)})
		}
		bases = append(bases, sessionBase{disk, volume, b.at, mutator})
	}
	return bases
}

// damaged is a disk with changes: of its volume, and, by two bytes each, of its partition table where it has one.
func (b sessionBase) damaged(t testing.TB, changes, table []byte) *device.Mem {
	t.Helper()
	volume, disk := b.volume.Clone(), b.disk.Clone()
	b.Mutate(volume, changes)
	put(t, disk, b.at, volume)
	for ; b.at > 0 && len(table) >= 2; table = table[2:] {
		write(t, disk, mbrEntries+int64(table[0])%66, table[1:2])
	}
	return disk
}

// FuzzSession opens a file that holds anything, and uses what is in it as programs do, as script says. What fails
// fails with an error; a listing shows no name that leads elsewhere; nothing outside of the volume is written, and
// nothing at all where it is open for reading; and when the file system is closed while files of it are open, no
// descriptor and no goroutine is left.
func FuzzSession(f *testing.F) {
	bases := sessionBases(f)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		fill := func(n int) []byte {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			return b
		}
		f.Add(uint8(seed%uint64(len(bases))), fill(8*rng.IntN(8)), fill(2*rng.IntN(3)), fill(rng.IntN(300)))
	}
	f.Fuzz(func(t *testing.T, which uint8, changes, table, script []byte) {
		if len(changes) > 8*64 || len(table) > 40 || len(script) > 1000 {
			return
		}
		disk := bases[int(which)%len(bases)].damaged(t, changes, table)
		file := filepath.Join(t.TempDir(), "disk.img")
		if err := disk.WriteFile(file); err != nil {
			t.Fatal(err)
		}
		var where Partition
		fattest.Contained(t, 256<<20, func() {
			s := &fileSession{t: t, script: script}
			where = s.run(file)
		})
		after, err := device.ReadMem(file)
		if err != nil {
			t.Fatal(err)
		}
		sameOutside(t, disk, after, where)
	})
}

// sameOutside compares two disks but for a partition.
func sameOutside(t *testing.T, before, after *device.Mem, p Partition) {
	t.Helper()
	if before.Size() != after.Size() {
		t.Fatalf("%d bytes before, %d after", before.Size(), after.Size())
	}
	for _, r := range [][2]int64{{0, p.Start}, {p.end(), before.Size()}} {
		for at := r[0]; at < r[1]; at += mib {
			n := min(mib, r[1]-at)
			if !bytes.Equal(read(t, before, at, n), read(t, after, at, n)) {
				t.Errorf("something was written at %d or behind, outside of the volume of %d bytes at %d", at, p.Size, p.Start)
			}
		}
	}
}

// fileSession is one use of an image.
type fileSession struct {
	t      *testing.T
	fs     *FS
	script []byte
	names  []string
	files  []*File
}

// run returns which part of the image may have been written: none if it could not be opened, or only for reading.
func (s *fileSession) run(file string) (p Partition) {
	var opts []Option
	readOnly := s.next()%4 == 0
	if readOnly {
		opts = append(opts, ReadOnly())
	}
	opts = append(opts, WithEngineOptions(fat.Options{CommitDelay: -time.Second, Log: slog.New(slog.DiscardHandler),
		CacheBytes: 1 << 20, Errors: fat.ErrorPolicy(s.next() % 2), Repair: fat.RepairMode(s.next() % 3)}))
	fs, err := Open(file, opts...)
	if err != nil {
		s.within(err)
		return p
	}
	if s.fs = fs; !readOnly {
		p = fs.Image().Partition
	}
	s.walk()
	for len(s.script) > 0 {
		s.within(s.step())
	}
	for i, f := range s.files {
		if i%2 == 0 { // the others are still open when the file system is closed
			s.within(f.Close())
		}
	}
	s.within(fs.Close())
	for _, f := range s.files {
		if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
			s.t.Error("a file can be read when its file system is closed")
		}
		_ = f.Close()
	}
	return p
}

// walk takes in some of the names there are.
func (s *fileSession) walk() {
	const most = 400
	s.within(iofs.WalkDir(s.fs, ".", func(name string, d iofs.DirEntry, err error) error {
		s.within(err)
		if err == nil && name != "." && !fattest.OneComponent(d.Name()) {
			s.t.Errorf("a listing shows %q", d.Name())
		}
		if strings.Count(name, "/") > 6 {
			return iofs.SkipDir
		}
		if s.names = append(s.names, name); len(s.names) > most {
			return iofs.SkipAll
		}
		return nil
	}))
}

func (s *fileSession) next() (b byte) {
	if len(s.script) > 0 {
		b, s.script = s.script[0], s.script[1:]
	}
	return b
}

// name is one that the walk has met, one below it, or none at all.
func (s *fileSession) name() string {
	n := int(s.next())
	known := "."
	if len(s.names) > 0 {
		known = s.names[n*7%len(s.names)]
	}
	switch {
	case n < 24:
		return []string{"", "/", "..", "a/../b", "a\x00b", "\xff", ":d800", strings.Repeat("long", 64)}[n%8]
	case n < 100:
		return path.Join(known, fmt.Sprintf("name of ours %d", n%16))
	}
	return known
}

// within fails the test for an access outside of the volume.
func (s *fileSession) within(err error) {
	if errors.Is(err, device.ErrBounds) {
		s.t.Helper()
		s.t.Errorf("outside of the volume: %v", err)
	}
}

func (s *fileSession) step() error {
	op, name := s.next(), s.name()
	data := make([]byte, int(s.next())*37)
	switch op % 16 {
	case 0:
		_, err := s.fs.ReadDir(name)
		return err
	case 1, 2:
		_, err := s.fs.ReadFile(name)
		return err
	case 3:
		return s.fs.WriteFile(name, data, 0o666)
	case 4:
		return s.keep(s.fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666))
	case 5:
		return s.keep(s.fs.OpenFile(name, os.O_RDONLY, 0))
	case 6, 7:
		return s.use(data, op>>4)
	case 8:
		return s.fs.MkdirAll(name, 0o777)
	case 9:
		return s.fs.Remove(name)
	case 10:
		return s.fs.RemoveAll(name)
	case 11:
		return s.fs.Rename(name, s.name())
	case 12:
		return s.fs.Chtimes(name, time.Unix(int64(op)<<24, 0), time.Unix(int64(len(data))<<20, 0))
	case 13:
		return s.draft(name, data, op&0x80 != 0)
	case 14:
		return s.fs.SetLabel(path.Base(name))
	}
	return s.fs.Sync()
}

func (s *fileSession) keep(f *File, err error) error {
	if err == nil {
		s.files = append(s.files, f)
	}
	return err
}

// use does something to the file that was opened first, and closes it in the end.
func (s *fileSession) use(data []byte, how byte) error {
	if len(s.files) == 0 {
		return nil
	}
	f := s.files[0]
	switch how % 5 {
	case 0:
		_, err := f.ReadAt(data, int64(len(data)))
		return err
	case 1:
		_, err := f.WriteAt(data, int64(len(data)))
		return err
	case 2:
		return f.Truncate(int64(len(data)))
	case 3:
		_, err := f.ReadDir(3)
		return err
	}
	s.files = s.files[1:]
	return f.Close()
}

// draft begins new contents, and takes them back or not.
func (s *fileSession) draft(name string, data []byte, commit bool) error {
	d, err := s.fs.Draft(name, 0o666)
	if err != nil {
		return err
	}
	_, err = d.Write(data)
	if commit && err == nil {
		return d.Commit()
	}
	return errors.Join(err, d.Discard())
}
