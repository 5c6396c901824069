package mkfat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

var testTime = time.Date(2024, 5, 6, 7, 8, 10, 0, time.UTC)

func file(name string, size int) *Node {
	content := bytes.Repeat([]byte(name+"\n"), size/(len(name)+1)+1)[:size]
	return &Node{
		Name: name, Size: int64(size), ModTime: testTime,
		Open: func() (Contents, error) { return rendered{bytes.NewReader(content)}, nil },
	}
}

func directory(name string, below ...*Node) *Node {
	return &Node{Name: name, Dir: true, ModTime: testTime, Children: below}
}

// variety is a tree of about 9 MB with names and sizes of every kind.
func variety() *Node {
	root := directory("")
	for _, size := range []int{0, 1, 511, 512, 513, 4095, 4096, 4097, 65536, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5 << 20} {
		root.Children = append(root.Children, file(fmt.Sprintf("size %d", size), size))
	}
	for _, name := range []string{"README.TXT", "lower.txt", "Mixed.Txt", ".hidden", "two.dots.txt", "ünïcode ☃ 雪.txt", "emoji 😀 file",
		"thirteen char", strings.Repeat("n", 255), strings.Repeat("雪", 85), "plus+comma,semi;eq=[br].x", "NOEXT", "a.b"} {
		root.Children = append(root.Children, file(name, 10+len(name)))
	}
	many := directory("many")
	for i := range 300 {
		many.Children = append(many.Children, file(fmt.Sprintf("the same beginning of name %d.txt", i), i*10))
	}
	deep := directory("deep 0")
	for i := range 9 {
		deep = directory(fmt.Sprintf("deep %d", i+1), deep, file("in it", 100*i))
	}
	readOnly := file("read only", 5)
	readOnly.ReadOnly = true
	root.Children = append(root.Children, many, deep, directory("empty"), readOnly)
	return root
}

// build plans and writes an image, and checks the volume in it.
func build(t testing.TB, root *Node, opt Options) (*Plan, *device.Mem, *fattest.Report) {
	t.Helper()
	if opt.Clock == (fat.Clock{}) {
		opt.Clock = fat.NewClock(nil, 0, true)
	}
	p, err := New(root, opt)
	if err != nil {
		t.Fatal(err)
	}
	m := device.NewMem(p.Size)
	if err := p.Write(context.Background(), m, true, nil); err != nil {
		t.Fatal(err)
	}
	return p, m, check(t, p, m)
}

func check(t testing.TB, p *Plan, dev device.Device) *fattest.Report {
	t.Helper()
	_, length := partitionRange(p.opt.Partition, p.Size, p.Shape.SectorSize)
	volume, err := device.NewSection(dev, p.Start, length)
	if err != nil {
		t.Fatal(err)
	}
	r, err := fattest.Check(volume)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Errorf("%v of %d bytes: %v", p.Shape.Width, p.Size, err)
	}
	if free := p.Shape.Clusters - r.Used; p.Shape.Width == fat.FAT32 && r.InfoFree != free || int64(free)*p.Shape.ClusterSize() != p.Free() {
		t.Errorf("FSInfo says %d clusters are free, the plan %d bytes, there are %d", r.InfoFree, p.Free(), free)
	}
	return r
}

// compare looks for the tree on the volume: names, contents, times, attributes, and each file in one piece.
func compare(t testing.TB, r *fattest.Report, root *Node) {
	t.Helper()
	seen := 0
	var walk func(prefix string, d *Node)
	walk = func(prefix string, d *Node) {
		for _, n := range d.Children {
			seen++
			path := prefix + n.Name
			f := r.Find(path)
			if f == nil {
				t.Errorf("%q is missing", path)
				continue
			}
			const readOnly, archive = 0x01, 0x20
			wantAttr := byte(archive)
			if n.ReadOnly {
				wantAttr |= readOnly
			}
			if f.IsDir != n.Dir || !n.Dir && (f.Size != n.Size || byte(f.Attr) != wantAttr) || len(f.Extents) > 1 {
				t.Errorf("%q: %+v", path, f)
			}
			if n.Dir {
				walk(path+"/", n)
				continue
			}
			got, err := f.Contents()
			if err != nil {
				t.Errorf("%q: %v", path, err)
			}
			if n.Size == 0 {
				continue
			}
			if !bytes.Equal(got, contents(n)) {
				t.Errorf("%q has other contents", path)
			}
		}
	}
	walk("", root)
	if seen != len(r.Files) {
		t.Errorf("%d files and directories are on the volume, want %d", len(r.Files), seen)
	}
}

// contents are the bytes that a file is to have.
func contents(n *Node) []byte {
	c, _ := n.Open()
	b, _ := io.ReadAll(io.NewSectionReader(c, 0, n.Size))
	return b
}

func TestTreeOnEveryShape(t *testing.T) {
	for _, opt := range []Options{
		{Size: 32 << 20, Wishes: Wishes{Width: fat.FAT12}, Label: "TWELVE"},
		{Size: 64 << 20, Wishes: Wishes{Width: fat.FAT16}},
		{Size: 64 << 20, Wishes: Wishes{Width: fat.FAT32}, Label: "thirtytwo"},
		{Size: 64 << 20, Wishes: Wishes{Width: fat.FAT16, SectorSize: 4096, FATs: 1}},
		{Size: 300 << 20, Wishes: Wishes{Width: fat.FAT32, SectorSize: 4096}},
		{Size: 64 << 20, Wishes: Wishes{ClusterSize: 32 << 10}},
		{Size: 64 << 20, Partition: MBR}, {Size: 64 << 20, Partition: GPT, ESP: true},
		{Size: 600 << 20, Partition: GPT, Wishes: Wishes{SectorSize: 4096}},
		{}, {Spare: 10 << 20, Wishes: Wishes{Width: fat.FAT32}}, {Partition: GPT}, {Wishes: Wishes{ClusterSize: 4096}},
		{Size: 10 << 30},
	} {
		root := variety()
		p, _, r := build(t, root, opt)
		compare(t, r, root)
		if opt.Size == 0 && (p.Free() < opt.Spare || p.Free() > opt.Spare+256<<10) && opt.Wishes.Width == 0 {
			t.Errorf("%+v: fitted to %d bytes, %d are free", opt, p.Size, p.Free())
		}
	}
}

// TestEngineReadsIt opens an image with the engine, changes it, and checks it again.
func TestEngineReadsIt(t *testing.T) {
	p, m, _ := build(t, variety(), Options{Size: 64 << 20, Label: "ENGINE"})
	v, err := fat.Open(m, fat.Options{CommitDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	if label, err := v.Label(); err != nil || label != "ENGINE" {
		t.Errorf("label %q, %v", label, err)
	}
	if st, err := v.Stat(); err != nil || int64(st.Free)*int64(st.ClusterSize) != p.Free() {
		t.Errorf("%+v, %v, want %d bytes free", st, err, p.Free())
	}
	n, err := v.Create(v.Root(), "the same beginning of name x.txt", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.WriteAt(make([]byte, 100000), 0); err != nil {
		t.Fatal(err)
	}
	n.Release(1)
	if err := v.Unlink(v.Root(), "size 5242880"); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := fattest.Check(m)
	if err != nil || r.Err() != nil {
		t.Errorf("%v, %v", err, r.Err())
	}
}

// TestOverOldContents: on a device that is not blank nothing of what was there shows.
func TestOverOldContents(t *testing.T) {
	for _, opt := range []Options{{Size: 24 << 20}, {Size: 40 << 20, Wishes: Wishes{Width: fat.FAT32}}, {Size: 24 << 20, Partition: GPT}, {Size: 24 << 20, Partition: MBR}} {
		root := variety()
		opt.Reproducible = true
		opt.Clock = fat.NewClock(nil, 0, true)
		p, err := New(root, opt)
		if err != nil {
			t.Fatal(err)
		}
		m := device.NewMem(p.Size)
		garbage := bytes.Repeat([]byte{0xa5}, 1<<20)
		for off := int64(0); off < p.Size; off += int64(len(garbage)) {
			if _, err := m.WriteAt(garbage[:min(int64(len(garbage)), p.Size-off)], off); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Write(context.Background(), m, false, nil); err != nil {
			t.Fatal(err)
		}
		compare(t, check(t, p, m), root)
	}
}

func TestSparse(t *testing.T) {
	holes := file("holes", 30<<20)
	holes.Open = func() (Contents, error) { return zeros(holes.Size), nil }
	p, err := New(directory("", holes, file("end", 100)), Options{Size: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	m := device.NewMem(p.Size)
	if err := p.Write(context.Background(), m, true, nil); err != nil {
		t.Fatal(err)
	}
	if n := m.Allocated(); n > 2<<20 {
		t.Errorf("%d bytes are allocated", n)
	}
}

// zeros is the contents of a file of so many zeros.
type zeros int64

func (z zeros) ReadAt(p []byte, off int64) (int, error) {
	n := max(0, min(int64(len(p)), int64(z)-off))
	clear(p[:n])
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return len(p), nil
}

func (zeros) Close() error { return nil }

func TestRefusals(t *testing.T) {
	big := file("big", 0)
	big.Size = 4 << 30
	link := &Node{Name: "link", Refused: errSymlink}
	tree := func() *Node {
		return directory("", file("good", 1), file("a?b", 1), file("GOOD", 1), big, directory("sub", link, file("aux.txt", 1), file("fine", 1)),
			file(strings.Repeat("x", 256), 1), file("dot.", 1), file(":003f", 1), directory("bad:dir", file("*", 1)), file("\xff\xfe", 1))
	}
	_, err := New(tree(), Options{Size: 64 << 20})
	var refused *RefusedError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range refused.Refusals {
		got[r.Path] = r.Err.Error()
	}
	for path, want := range map[string]string{
		"a?b": `character '?' is not allowed`, "GOOD": `the same name as "good"`, "big": "at most 4 GiB less one byte", "sub/link": "symbolic link",
		"sub/aux.txt": "reserved for a device", strings.Repeat("x", 256): "more than 255", "dot.": "ends in a dot", ":003f": "':' is not allowed",
		"bad:dir": "':' is not allowed", "bad:dir/*": "'*' is not allowed", "\xff\xfe": "not text",
	} {
		if !strings.Contains(got[path], want) {
			t.Errorf("%q: %q, want %q", path, got[path], want)
		}
		delete(got, path)
	}
	if len(got) > 0 {
		t.Errorf("refused too: %q", got)
	}
	p, _, r := build(t, tree(), Options{Size: 64 << 20, Skip: true})
	if len(p.Skipped) != 11 || len(r.Files) != 3 || r.Find("sub/fine") == nil {
		t.Errorf("%d left out, %d stored", len(p.Skipped), len(r.Files))
	}
}

func TestTooMany(t *testing.T) {
	root, sub := directory(""), directory("sub")
	for i := range 40000 {
		sub.Children = append(sub.Children, file(fmt.Sprintf("long %d", i), 0))
	}
	root.Children = []*Node{sub}
	var refused *RefusedError
	if _, err := New(root, Options{Size: 64 << 20}); !errors.As(err, &refused) || len(refused.Refusals) != 40000-(65536-2)/2 ||
		!strings.Contains(refused.Refusals[0].Err.Error(), "directory is full") {
		t.Errorf("%v", err)
	}
	flat := directory("")
	for i := range 300 {
		flat.Children = append(flat.Children, file(fmt.Sprintf("F%d", i), 1))
	}
	if _, err := New(flat, Options{Size: 1440 << 10}); !errors.Is(err, ErrGeometry) || !strings.Contains(err.Error(), "holds 224 entries, 300 are needed") {
		t.Errorf("%v", err)
	}
	// Elsewhere the root directory grows.
	for i := range 300 {
		flat.Children = append(flat.Children, file(fmt.Sprintf("G%d", i), 1))
	}
	p, _, r := build(t, flat, Options{Size: 8 << 20})
	if p.Shape.RootEntries < 600 || len(r.Files) != 600 {
		t.Errorf("%+v", p.Shape)
	}
}

func TestNoRoom(t *testing.T) {
	_, err := New(directory("", file("a", 2<<20), directory("d", file("b", 100))), Options{Size: 2 << 20})
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "3 files and directories need 2052 KiB in clusters of 2 KiB") || !strings.Contains(err.Error(), "or --fit") {
		t.Errorf("%v", err)
	}
	if _, err := New(nil, Options{Size: 1 << 20, Partition: MBR}); !errors.Is(err, ErrGeometry) {
		t.Errorf("%v", err)
	}
	over := file("a", 0)
	over.Size = fat.MaxFileSize
	if _, err := New(directory("", over), Options{Wishes: Wishes{Width: fat.FAT16}}); !errors.Is(err, ErrNoRoom) {
		t.Errorf("%v", err)
	}
}

func TestReproducible(t *testing.T) {
	for _, opt := range []Options{{Label: "SAME", Size: 16 << 20}, {Partition: GPT}, {Partition: MBR, Wishes: Wishes{Width: fat.FAT32}}} {
		opt.Reproducible, opt.Now = true, testTime.Add(-time.Hour)
		p1, m1, r := build(t, variety(), opt)
		_, m2, _ := build(t, variety(), opt)
		if at, same := m1.Equal(m2); !same {
			t.Errorf("%+v: differs at %d", opt, at)
		}
		if f := r.Find("README.TXT"); f.ModifyTime != uint16(6<<11|8<<5|5) {
			t.Errorf("time %#x is later than Now", f.ModifyTime)
		}
		other := variety()
		other.Children[0].Name = "another name"
		if p2, _, _ := build(t, other, opt); p1.Serial == p2.Serial {
			t.Errorf("two trees have the serial number %08x", p1.Serial)
		}
	}
}

func TestAliases(t *testing.T) {
	root := directory("", file("common prefix 1.txt", 1), file("COMMON~1.TXT", 1), file("common~2.txt", 1), file("common prefix 2.txt", 1))
	for i := range 2000 {
		root.Children = append(root.Children, file(fmt.Sprintf("same prefix %d.dat", i), 1))
	}
	_, _, r := build(t, root, Options{Size: 16 << 20})
	compare(t, r, root)
	if f := r.Find("COMMON~1.TXT"); f == nil || f.Size != 1 {
		t.Error("a name was taken as an alias")
	}
}

// TestFailures fails the device and the sources in turn: Write reports it and ends.
func TestFailures(t *testing.T) {
	broken := errors.New("broken")
	bad := func(open func() (Contents, error)) *Node {
		f := file("bad", 3<<20)
		f.Open = open
		return f
	}
	for name, c := range map[string]struct {
		n    *Node
		want error
	}{
		"open":  {bad(func() (Contents, error) { return nil, broken }), broken},
		"read":  {bad(func() (Contents, error) { return damaged{zeros(2 << 20), broken}, nil }), broken},
		"short": {bad(func() (Contents, error) { return zeros(2 << 20), nil }), io.ErrUnexpectedEOF},
	} {
		p, err := New(directory("", file("first", 10), c.n), Options{Size: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Write(context.Background(), device.NewMem(p.Size), true, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for k := 0; ; k++ {
		p, err := New(directory("", file("first", 12<<20), file("second", 10)), Options{Size: 20 << 20, Partition: GPT})
		if err != nil {
			t.Fatal(err)
		}
		d := &failing{Device: device.NewMem(p.Size), err: broken}
		d.left.Store(int64(k))
		err = p.Write(context.Background(), d, true, nil)
		if d.left.Load() >= 0 {
			if err != nil {
				t.Errorf("no write failed: %v", err)
			}
			if k < 20 {
				t.Errorf("only %d writes", k)
			}
			break
		}
		if !strings.Contains(fmt.Sprint(err), "broken") {
			t.Fatalf("write %d failed, and the error is %v", k, err)
		}
	}
}

// damaged has an error behind its end.
type damaged struct {
	zeros
	err error
}

func (d damaged) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.zeros.ReadAt(p, off)
	if err != nil {
		err = d.err
	}
	return n, err
}

// failing fails the write after left ones, and all later ones.
type failing struct {
	device.Device
	left atomic.Int64
	err  error
}

func (f *failing) WriteAt(p []byte, off int64) (int, error) {
	if f.left.Add(-1) < 0 {
		return 0, f.err
	}
	return f.Device.WriteAt(p, off)
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("enough")
	endless := file("endless", 1<<20)
	endless.Size = 200 << 20
	endless.Open = func() (Contents, error) { return zeros(endless.Size), nil }
	p, err := New(directory("", endless), Options{Size: 300 << 20})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Write(ctx, device.NewMem(p.Size), true, func(int64) { cancel(why) })
	if !errors.Is(err, why) {
		t.Error(err)
	}
}
