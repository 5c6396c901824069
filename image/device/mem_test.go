package device_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"fatvol/image/device"
)

func TestMemIsSparse(t *testing.T) {
	const size = 2 << 40
	m := device.NewMem(size)
	for _, off := range []int64{0, 1 << 40, size - 1} {
		if _, err := m.WriteAt([]byte{1}, off); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.Allocated(); n > 3*4096 {
		t.Errorf("%d bytes allocated for 3", n)
	}
	if err := m.ZeroAt(1, size-2); err != nil {
		t.Fatal(err)
	}
	if n := m.Allocated(); n > 2*4096 {
		t.Errorf("%d bytes allocated after zeroing all but both ends", n)
	}
	p := make([]byte, 2)
	if _, err := m.ReadAt(p, size-2); err != nil || p[0] != 0 || p[1] != 1 {
		t.Errorf("last bytes %v, %v", p, err)
	}
	if err := m.DiscardAt(0, size); err != nil || m.Allocated() != 0 {
		t.Errorf("%d bytes allocated after discarding all (%v)", m.Allocated(), err)
	}
}

// TestMemClone checks that neither of two clones sees what the other one writes, over several
// generations.
func TestMemClone(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const size = 50_000
	a, modelA := device.NewMem(size), make([]byte, size)
	checkModel(t, a, modelA, rng, 50)
	for range 5 {
		b, modelB := a.Clone(), bytes.Clone(modelA)
		snap := a.Snapshot()
		before := bytes.Clone(modelA)
		checkModel(t, a, modelA, rng, 30)
		checkModel(t, b, modelB, rng, 30)
		checkModel(t, a, modelA, rng, 10)
		got := make([]byte, size)
		if _, err := snap.ReadAt(got, 0); err != nil || !bytes.Equal(got, before) {
			t.Fatalf("the snapshot changed (%v)", err)
		}
		a, modelA = b, modelB
	}
}

func TestMemCloneSharesMemory(t *testing.T) {
	m := device.NewMem(1 << 30)
	if _, err := m.WriteAt(make([]byte, 8<<20), 0); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(5, func() { m.Clone() }); n > 100 {
		t.Errorf("a clone of 2048 pages takes %v allocations", n)
	}
}

func TestMemEqual(t *testing.T) {
	a := device.NewMem(100_000)
	b := a.Clone()
	if _, eq := a.Equal(b); !eq {
		t.Error("clones differ")
	}
	a.WriteAt(make([]byte, 5000), 10_000) // zeros: other pages, same bytes
	if diff, eq := a.Equal(b); !eq {
		t.Errorf("written zeros differ at %d", diff)
	}
	b.WriteAt([]byte{1}, 77_777)
	for _, p := range [][2]*device.Mem{{a, b}, {b, a}} {
		if diff, eq := p[0].Equal(p[1]); eq || diff != 77_777 {
			t.Errorf("Equal = %d, %v; want a difference at 77777", diff, eq)
		}
	}
	if _, eq := a.Equal(device.NewMem(5)); eq {
		t.Error("devices of different sizes are equal")
	}
}

func TestMemFiles(t *testing.T) {
	m := device.NewMem(3<<20 + 77)
	for _, off := range []int64{0, 1 << 20, 3<<20 + 70} {
		if _, err := m.WriteAt([]byte("here"), off); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := m.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != m.Size() {
		t.Fatalf("stat: %v, %v", st, err)
	}
	back, err := device.ReadMem(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff, eq := m.Equal(back); !eq {
		t.Errorf("differs at %d", diff)
	}
	if back.Allocated() != 3*4096 {
		t.Errorf("%d bytes allocated for 3 pages", back.Allocated())
	}
	if _, err := device.ReadMem(path + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}

// TestReadMemSkipsHoles reads a file of 2 TiB, nearly all of which is a hole.
func TestReadMemSkipsHoles(t *testing.T) {
	const size = 2 << 40
	path := newFile(t, size)
	h := openHost(t, path, true)
	for _, off := range []int64{0, 1<<40 + 5000, size - 1} {
		if _, err := h.WriteAt([]byte{7}, off); err != nil {
			t.Fatal(err)
		}
	}
	m, err := device.ReadMem(path)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1)
	for _, off := range []int64{0, 1<<40 + 5000, size - 1} {
		if _, err := m.ReadAt(p, off); err != nil || p[0] != 7 {
			t.Errorf("byte at %d is %d, %v", off, p[0], err)
		}
	}
	if n := m.Allocated(); n != 3*4096 {
		t.Errorf("%d bytes allocated", n)
	}
}

// TestMemConcurrent has writers and cloners at work at once; the race detector and the contents of
// each clone, where every page must be of one writer's round, are the test.
func TestMemConcurrent(t *testing.T) {
	const pages, writers = 16, 4
	m := device.NewMem(pages * 4096)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range 200 {
				p := bytes.Repeat([]byte{byte(w*50 + i%50)}, 4096)
				if _, err := m.WriteAt(p, int64((w+i)%pages)*4096); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		c := m.Clone()
		p := make([]byte, 4096)
		for page := range int64(pages) {
			if _, err := c.ReadAt(p, page*4096); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p, bytes.Repeat(p[:1], 4096)) {
				t.Fatalf("page %d is of two writes", page)
			}
		}
	}
	wg.Wait()
}
