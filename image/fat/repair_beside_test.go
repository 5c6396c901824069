package fat_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// A span is a part of a device, of which something is to be made.
type span struct{ off, n int64 }

func (s span) meets(off int64, p []byte) bool { return off < s.off+s.n && s.off < off+int64(len(p)) }

// lastDirectory is where the last of the directories of wide is.
func lastDirectory(t *testing.T, m *device.Mem) span {
	t.Helper()
	v, err := fat.Open(m.Clone(), fat.Options{ReadOnly: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	g, first := v.Geometry(), fattest.NewEditor(t, m).Find("directory 59").Clusters()[0]
	return span{g.DataStart + int64(first-2)*int64(g.ClusterSize), int64(g.ClusterSize)}
}

// A gate holds back the first read of a span until it is opened, and says that it has come.
type gate struct {
	device.Device
	span
	once       sync.Once
	come, open chan struct{}
}

func (g *gate) ReadAt(p []byte, off int64) (int, error) {
	if g.meets(off, p) {
		g.once.Do(func() {
			close(g.come)
			<-g.open
		})
	}
	return g.Device.ReadAt(p, off)
}

// openGated opens a wide volume, whose repair has read the root directory and stands before the last of the others until
// open is called, which waits for the end of the repair.
func openGated(t *testing.T, m *device.Mem, opt fat.Options) (v *fat.Volume, open func()) {
	t.Helper()
	g := &gate{Device: m, span: lastDirectory(t, m), come: make(chan struct{}), open: make(chan struct{})}
	opt.Log = slog.New(slog.DiscardHandler)
	v, err := fat.Open(g, opt)
	if err != nil {
		t.Fatal(err)
	}
	<-g.come
	return v, func() {
		close(g.open)
		<-v.Repaired()
	}
}

// ended closes the volume, and fails the test unless it is whole and the file at path has the contents.
func ended(t *testing.T, v *fat.Volume, m *device.Mem, path string, want []byte) {
	t.Helper()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, m)
	f := fattest.NewEditor(t, m).Report().Find(path)
	if f == nil {
		t.Fatalf("%s is not there", path)
	}
	if got, err := f.Contents(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, not the %d that were synced: %v", path, len(got), len(want), err)
	}
	if err := fsckMem(m, filepath.Join(t.TempDir(), "volume.img")); err != nil {
		t.Error(err)
	}
}

// TestWriteBeforeSecondLook: where a repair has to look twice, a file that was made or written anew during the first look
// keeps its clusters in the second: its entry does not say yet which they are.
func TestWriteBeforeSecondLook(t *testing.T) {
	text := bytes.Repeat([]byte("precious "), 1000)
	for _, c := range []struct {
		path string
		node func(v *fat.Volume) (*fat.Node, error)
	}{
		{"new document.txt", func(v *fat.Volume) (*fat.Node, error) { return v.Create(v.Root(), "new document.txt", 0) }},
		{"directory 3/old file", func(v *fat.Volume) (*fat.Node, error) {
			dir, err := lookup(v, v.Root(), "directory 3")
			if err != nil {
				return nil, err
			}
			defer dir.Release(1)
			n, err := lookup(v, dir, "old file")
			if err != nil {
				return nil, err
			}
			return n, n.Truncate(0)
		}},
	} {
		t.Run(c.path, func(t *testing.T) {
			m := wide(t, fattest.Layout{Width: 16, Clusters: 4200})
			v, open := openGated(t, m, fat.Options{})
			n, err := c.node(v)
			if err == nil {
				_, err = n.WriteAt(text, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			open()
			if err := n.Sync(); err != nil {
				t.Fatal(err)
			}
			n.Release(1)
			// Whatever was freed, somebody gets.
			other, err := v.Create(v.Root(), "other.bin", 0)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := v.Sync(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := other.WriteAt(make([]byte, 2000*512), 0); err != nil {
				t.Fatal(err)
			}
			other.Release(1)
			ended(t, v, m, c.path, text)
		})
	}
}

// TestUseByOlderName: what is done to a file by the older of its two names, before a repair removes one, is not undone; what was
// appended by it and is on the medium makes it the newer one. And where it was only read, the newer name keeps what it said
// of the file.
func TestUseByOlderName(t *testing.T) {
	l := fattest.Layout{Width: 16, Clusters: 4200}
	more := bytes.Repeat([]byte("precious "), 500)
	for name, c := range map[string]struct {
		prepare func(e *fattest.Editor)
		use     func(n *fat.Node) error
		want    func(was []byte) []byte
		at      string
	}{
		"append":   {nil, func(n *fat.Node) error { _, _, err := n.Append(more); return errors.Join(err, n.Sync()) }, func(was []byte) []byte { return append(was, more...) }, "OLDER.TXT"},
		"truncate": {nil, func(n *fat.Node) error { return errors.Join(n.Truncate(100), n.Sync()) }, func(was []byte) []byte { return was[:100] }, "twice.txt"},
		"read": {func(e *fattest.Editor) { // the file grew and was renamed in one epoch
			s := e.Slot("OLDER.TXT")
			fattest.SetSize(s, 300)
			e.SetSlot("OLDER.TXT", s)
		}, func(n *fat.Node) error { _, err := n.ReadAt(make([]byte, 300), 0); return err }, func(was []byte) []byte { return was }, "twice.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			m := wide(t, l)
			e := fattest.NewEditor(t, m)
			was, err := e.Report().Find("twice.txt").Contents()
			if err != nil {
				t.Fatal(err)
			}
			if c.prepare != nil {
				c.prepare(e)
			}
			// Days later, so that the date of the access is another one.
			v, open := openGated(t, m, fat.Options{Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
			n, err := lookup(v, v.Root(), "OLDER.TXT")
			if err == nil {
				err = c.use(n)
			}
			if err != nil {
				t.Fatal(err)
			}
			n.Release(1)
			open()
			ended(t, v, m, c.at, c.want(was))
		})
	}
}

// A scratch makes a span unreadable.
type scratch struct {
	device.Device
	span
}

func (s *scratch) ReadAt(p []byte, off int64) (int, error) {
	if s.meets(off, p) {
		return 0, errors.New("bad sector")
	}
	return s.Device.ReadAt(p, off)
}

// TestRepairImpossible: where a directory cannot be read, a file may have two names still, and nothing is changed.
func TestRepairImpossible(t *testing.T) {
	m := wide(t, fattest.Layout{Width: 16, Clusters: 4200})
	v, err := fat.Open(&scratch{m, lastDirectory(t, m)}, fat.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	<-v.Repaired()
	if v.Repair() != fat.RepairFailed || !v.ReadOnly() {
		t.Errorf("the repair ended as %v, read-only %v", v.Repair(), v.ReadOnly())
	}
	if err := v.Unlink(v.Root(), "OLDER.TXT"); !errors.Is(err, fat.ErrReadOnly) {
		t.Errorf("unlink: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	r, err := fattest.Check(m)
	if err == nil {
		err = r.DamageErr()
	}
	if err != nil {
		t.Error(err)
	}
}
