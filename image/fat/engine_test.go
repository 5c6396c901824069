package fat_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// open formats a volume and opens it; the volume is closed and checked at the end of the test.
func open(t testing.TB, l fattest.Layout, opt fat.Options) (*fat.Volume, *device.Mem) {
	t.Helper()
	mem := fattest.Formatted(t, l)
	v, err := fat.Open(mem, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil && !errors.Is(err, fat.ErrClosed) {
			t.Errorf("close: %v", err)
		}
		check(t, mem)
	})
	return v, mem
}

func check(t testing.TB, mem fattest.Source) {
	t.Helper()
	r, err := fattest.Check(mem)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	if err := r.Err(); err != nil {
		t.Errorf("check: %v", err)
	}
}

var layouts = []fattest.Layout{
	{Width: 12, Clusters: 4084}, {Width: 16, Clusters: 5000}, {Width: 32, Clusters: 66000},
}

func TestFilesComeAndGo(t *testing.T) {
	for _, l := range layouts {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			v, _ := open(t, l, fat.Options{CommitDelay: -time.Second})
			rng := rand.New(rand.NewPCG(1, 2))
			dir, err := v.Mkdir(v.Root(), "Some directory", 0)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Release(1)
			want := map[string][]byte{}
			for i := 0; i < 200; i++ {
				name := fmt.Sprintf("a file with number %d.txt", i)
				n, err := v.Create(dir, name, 0)
				if err != nil {
					t.Fatal(err)
				}
				data := make([]byte, rng.IntN(5000))
				for k := range data {
					data[k] = byte(rng.Uint32())
				}
				if _, err := n.WriteAt(data, 0); err != nil {
					t.Fatal(err)
				}
				n.Release(1)
				want[name] = data
				if i%7 == 3 {
					victim := fmt.Sprintf("A FILE with number %d.txt", i-2)
					if err := v.Unlink(dir, victim); err != nil {
						t.Fatal(err)
					}
					delete(want, fmt.Sprintf("a file with number %d.txt", i-2))
				}
				if i%50 == 49 {
					if err := v.Sync(); err != nil {
						t.Fatal(err)
					}
				}
			}
			seen := 0
			err = v.ReadDir(dir, 0, func(e *fat.Entry) bool {
				if _, ok := want[e.Name]; !ok {
					t.Errorf("listing shows %q", e.Name)
				}
				seen++
				return true
			})
			if err != nil || seen != len(want) {
				t.Fatalf("listing: %d entries, want %d: %v", seen, len(want), err)
			}
			for name, data := range want {
				n, exact, err := v.Lookup(dir, name)
				if err != nil || !exact {
					t.Fatalf("lookup %q: exact %v, %v", name, exact, err)
				}
				got := make([]byte, len(data)+1)
				k, err := n.ReadAt(got, 0)
				if err != nil || !bytes.Equal(got[:k], data) {
					t.Fatalf("%q differs: %v", name, err)
				}
				n.Release(1)
			}
		})
	}
}
