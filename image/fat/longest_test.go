package fat_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestLongest: whatever is allocated and freed, the allocator believes no page to have less room than it has.
func TestLongest(t *testing.T) {
	for _, l := range []fattest.Layout{{Width: 12, Clusters: 4000}, {Width: 16, Clusters: 40000}, {Width: 32, Clusters: 70000}} {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			mem := fattest.Formatted(t, l)
			v, err := fat.Open(mem, fat.Options{})
			if err != nil {
				t.Fatal(err)
			}
			cluster, share := int(mem.Size()/int64(l.Clusters)), int(2*l.Clusters/300) // of a file, so that they get short
			rng := rand.New(rand.NewPCG(uint64(l.Width), 1))
			files := map[string]*fat.Node{}
			dir, err := v.Mkdir(v.Root(), "DIR", 0)
			if err != nil {
				t.Fatal(err)
			}
			most := 0
			for i := range 3000 {
				name := fmt.Sprintf("F%03d", rng.IntN(300))
				f := files[name]
				switch {
				case f == nil:
					if f, err = v.Create(dir, name, 0); err == nil {
						files[name] = f
						_, err = f.WriteAt(make([]byte, rng.IntN(share)*cluster), 0)
					}
				case rng.IntN(2) == 0:
					err = v.Unlink(dir, name)
					f.Release(1)
					delete(files, name)
				default:
					err = f.Truncate(int64(rng.IntN(share) * cluster))
				}
				if err == nil && i%10 == 0 {
					err = v.Sync()
				}
				if err != nil && !errors.Is(err, fat.ErrNoSpace) {
					t.Fatal(err)
				}
				known, err := v.CheckLongest()
				if err != nil {
					t.Fatalf("after step %d: %v", i, err)
				}
				most = max(most, known)
			}
			if most == 0 && l.Width != 12 { // all of whose entries are in one page
				t.Error("nothing was ever known of any page")
			}
			for _, f := range files {
				f.Release(1)
			}
			dir.Release(1)
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkScaleFreeSpace writes a MiB to a new file where all free space is in one piece, and where it is every other
// cluster.
func BenchmarkScaleFreeSpace(b *testing.B) {
	for _, pieces := range []bool{false, true} {
		b.Run(fmt.Sprintf("pieces=%v", pieces), func(b *testing.B) {
			v := benchVolume(b, 70000, 4096)
			if pieces {
				var files []*fat.Node
				for {
					f, err := v.Create(v.Root(), fmt.Sprintf("F%07d", len(files)), 0)
					if err == nil {
						_, err = f.WriteAt(make([]byte, 4096), 0)
						files = append(files, f)
					}
					if err != nil {
						break
					}
				}
				for i, f := range files {
					f.Release(1)
					if i%2 == 0 {
						if err := v.Unlink(v.Root(), fmt.Sprintf("F%07d", i)); err != nil {
							b.Fatal(err)
						}
					}
				}
				if err := v.Sync(); err != nil {
					b.Fatal(err)
				}
			}
			buf := make([]byte, 1<<20)
			f, err := v.Create(v.Root(), "NEW", 0)
			if err != nil {
				b.Fatal(err)
			}
			for i := int64(0); b.Loop(); i++ {
				if i%64 == 0 {
					if err := errors.Join(f.Truncate(0), v.Sync()); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := f.WriteAt(buf, i%64<<20); err != nil {
					b.Fatal(err)
				}
			}
			f.Release(1)
		})
	}
}
