package fat_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// hostileBases are volumes with a tree on them, to be damaged.
func hostileBases(t testing.TB) []*device.Mem {
	t.Helper()
	var bases []*device.Mem
	for _, l := range []fattest.Layout{
		{Width: 12, Clusters: 300}, {Width: 16, Clusters: 4100, RootEntries: 64}, {Width: 32, Clusters: 65600},
	} {
		size, err := fattest.VolumeSize(l)
		if err != nil {
			t.Fatal(err)
		}
		mem := device.NewMem(size)
		if err := fattest.Format(mem, l); err != nil {
			t.Fatal(err)
		}
		v, err := fat.Open(mem, fat.Options{CommitDelay: -time.Second})
		if err != nil {
			t.Fatal(err)
		}
		dir := v.Root()
		for depth := 0; depth < 3; depth++ {
			for i := 0; i < 8; i++ {
				n, err := v.Create(dir, fmt.Sprintf("file %d with a longer name.bin", i), 0)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := n.WriteAt(make([]byte, 700*i), 0); err != nil {
					t.Fatal(err)
				}
				n.Release(1)
			}
			if dir, err = v.Mkdir(dir, fmt.Sprintf("directory %d", depth), 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		bases = append(bases, mem)
	}
	return bases
}

// damage applies mutations from bytes: each takes six, to say where and what. Three in four aim at what
// has a structure: the boot sector, the start of the FAT, directories.
func damage(mem *device.Mem, data []byte) {
	g := struct{ fat, root int64 }{512, 0}
	boot := make([]byte, 512)
	if _, err := mem.ReadAt(boot, 0); err != nil {
		return
	}
	le := binary.LittleEndian
	g.fat = int64(le.Uint16(boot[14:])) * 512
	fatBytes := int64(le.Uint16(boot[22:])) * 512
	if fatBytes == 0 {
		fatBytes = int64(le.Uint32(boot[36:])) * 512
	}
	g.root = g.fat + 2*fatBytes
	for ; len(data) >= 6; data = data[6:] {
		at := int64(le.Uint16(data[1:]))
		switch data[0] % 8 {
		case 0:
			at %= 512
		case 1, 2, 3:
			at = g.fat + at%1024
		case 4, 5, 6:
			at = g.root + at%16384
		default:
			at = int64(le.Uint32(data[1:])) % mem.Size()
		}
		if at >= 0 && at < mem.Size() {
			n := min(int64(1+data[0]>>6), mem.Size()-at, 3)
			_, _ = mem.WriteAt(data[3:3+n], at)
		}
	}
}

// session uses a volume as somebody would who knows nothing of its damage. What fails must fail with an
// error; nothing may panic, hang, or write beyond the volume.
func session(t testing.TB, mem *device.Mem) {
	opt := fat.Options{CommitDelay: -time.Second, Errors: fat.ErrorsContinue,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	v, err := fat.Open(mem, opt)
	if err != nil {
		return
	}
	defer func() {
		if err := v.Close(); errors.Is(err, device.ErrBounds) {
			t.Fatalf("close: %v", err)
		}
	}()
	budget := 400
	var walk func(dir *fat.Node, depth int)
	walk = func(dir *fat.Node, depth int) {
		var entries []fat.Entry
		err := v.ReadDir(dir, 0, func(e *fat.Entry) bool {
			entries = append(entries, *e)
			return len(entries) < 64
		})
		bounded(t, err)
		for i := range entries {
			if budget--; budget < 0 {
				return
			}
			e := &entries[i]
			if e.Name == "." || e.Name == ".." || e.Name == "" {
				t.Fatalf("listing shows %q", e.Name)
			}
			for _, c := range []byte(e.Name) {
				if c == '/' || c < ' ' {
					t.Fatalf("listing shows %q", e.Name)
				}
			}
			n, err := v.EntryNode(dir, e)
			bounded(t, err)
			if err != nil {
				continue
			}
			_, err = n.Attr()
			bounded(t, err)
			if e.IsDir {
				if depth < 6 {
					walk(n, depth+1)
				}
			} else {
				use(t, v, dir, e.Name, n, i)
			}
			n.Release(1)
		}
	}
	walk(v.Root(), 0)
	n, err := v.Create(v.Root(), "something new", 0)
	bounded(t, err)
	if err == nil {
		_, err = n.WriteAt(make([]byte, 3000), 0)
		bounded(t, err)
		n.Release(1)
	}
	bounded(t, v.Sync())
}

// use does something with a file.
func use(t testing.TB, v *fat.Volume, dir *fat.Node, name string, n *fat.Node, i int) {
	buf := make([]byte, 4096)
	_, err := n.ReadAt(buf, 0)
	bounded(t, err)
	switch i % 5 {
	case 0:
		_, _, err = n.Append(buf[:600])
	case 1:
		err = v.Unlink(dir, name)
	case 2:
		err = v.Rename(dir, name, v.Root(), fmt.Sprintf("moved %d", i), 0)
	case 3:
		a, _ := n.Attr()
		err = n.Truncate(min(a.Size/2, 1<<20))
	case 4:
		_, err = n.WriteAt(buf[:100], 300)
	}
	bounded(t, err)
}

// bounded fails the test for an access outside of the volume.
func bounded(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, device.ErrBounds) {
		t.Fatalf("outside of the volume: %v", err)
	}
}

func TestHostileVolumes(t *testing.T) {
	bases := hostileBases(t)
	for seed := uint64(0); seed < 6000; seed++ {
		rng := rand.New(rand.NewPCG(seed, 7))
		data := make([]byte, 6*(1+rng.IntN(40)))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		mem := bases[seed%uint64(len(bases))].Clone()
		damage(mem, data)
		session(t, mem)
	}
}

func FuzzVolume(f *testing.F) {
	bases := hostileBases(f)
	f.Add(uint8(0), []byte{1, 6, 0, 3, 0, 0})
	f.Add(uint8(2), []byte{4, 26, 0, 2, 0, 0, 1, 8, 0, 2, 0, 0})
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		if len(data) > 600 {
			return
		}
		mem := bases[int(which)%len(bases)].Clone()
		damage(mem, data)
		session(t, mem)
	})
}
