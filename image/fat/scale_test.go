package fat_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// Each benchmark comes in pairs, small and large: what an operation costs does not depend on how large
// the directory, the file or the volume is. `go test -run '^$' -bench Scale ./image/fat` shows them.

// filledDir makes a directory with n entries of one slot each.
func filledDir(b *testing.B, v *fat.Volume, n int) *fat.Node {
	b.Helper()
	dir, err := v.Mkdir(v.Root(), "DIR", 0)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < n; i++ {
		f, err := v.Create(dir, fmt.Sprintf("F%07d", i), 0)
		if err != nil {
			b.Fatal(err)
		}
		f.Release(1)
	}
	if err := v.Sync(); err != nil {
		b.Fatal(err)
	}
	return dir
}

func benchVolume(b *testing.B, clusters uint32, cluster int) *fat.Volume {
	b.Helper()
	v := openBench(b, fattest.Formatted(b, fattest.Layout{Width: 32, Clusters: clusters, ClusterSize: cluster}))
	b.Cleanup(func() {
		if err := v.Close(); err != nil {
			b.Error(err)
		}
	})
	return v
}

func openBench(b *testing.B, dev device.Device) *fat.Volume {
	b.Helper()
	v, err := fat.Open(dev, fat.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func BenchmarkScaleDirectory(b *testing.B) {
	for _, n := range []int{500, 30000} {
		b.Run(fmt.Sprintf("create+unlink/%d", n), func(b *testing.B) {
			v := benchVolume(b, 100000, 4096)
			dir := filledDir(b, v, n)
			for i := 0; b.Loop(); i++ {
				f, err := v.Create(dir, fmt.Sprintf("N%07d", i), 0)
				if err != nil {
					b.Fatal(err)
				}
				f.Release(1)
				if err := v.Unlink(dir, fmt.Sprintf("N%07d", i)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("read and list/%d", n), func(b *testing.B) {
			mem := fattest.Formatted(b, fattest.Layout{Width: 32, Clusters: 100000, ClusterSize: 4096})
			v := openBench(b, mem)
			filledDir(b, v, n).Release(1)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				v.Close()
				v = openBench(b, mem)
				b.StartTimer()
				dir, _, err := v.Lookup(v.Root(), "DIR")
				if err != nil {
					b.Fatal(err)
				}
				if err := v.ReadDir(dir, 0, func(*fat.Entry) bool { return true }); err != nil {
					b.Fatal(err)
				}
				dir.Release(1)
			}
			v.Close()
		})
		b.Run(fmt.Sprintf("lookup/%d", n), func(b *testing.B) {
			v := benchVolume(b, 100000, 4096)
			dir := filledDir(b, v, n)
			for i := 0; b.Loop(); i++ {
				f, _, err := v.Lookup(dir, fmt.Sprintf("F%07d", i%n))
				if err != nil {
					b.Fatal(err)
				}
				f.Release(1)
			}
		})
	}
}

func BenchmarkScaleFile(b *testing.B) {
	for _, size := range []int64{16 << 20, fat.MaxFileSize} {
		for _, op := range []string{"read", "write"} {
			b.Run(fmt.Sprintf("%s/%d", op, size), func(b *testing.B) {
				v := benchVolume(b, 1<<20+1000, 4096)
				f, err := v.Create(v.Root(), "FILE", 0)
				if err != nil {
					b.Fatal(err)
				}
				if err := f.Truncate(size); err != nil {
					b.Fatal(err)
				}
				buf := make([]byte, 4096)
				rng := rand.New(rand.NewPCG(1, 1))
				for b.Loop() {
					off := rng.Int64N(size/4096) * 4096
					if op == "read" {
						_, err = f.ReadAt(buf, off)
					} else {
						// In a few places: what memory costs is not the engine's doing.
						_, err = f.WriteAt(buf, off&^(64<<20-1)%size)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				f.Release(1)
			})
		}
	}
}

func BenchmarkScaleVolume(b *testing.B) {
	for _, v := range []struct {
		name     string
		clusters uint32
		cluster  int
	}{{"64MiB", 130000, 512}, {"2TiB", 67_000_000, 32768}} {
		b.Run("append/"+v.name, func(b *testing.B) {
			vol := benchVolume(b, v.clusters, v.cluster)
			f, err := vol.Create(vol.Root(), "FILE", 0)
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 512)
			for i := 0; b.Loop(); i++ {
				if i%1000 == 999 {
					if err := f.Truncate(0); err != nil {
						b.Fatal(err)
					}
				}
				if _, _, err := f.Append(buf); err != nil {
					b.Fatal(err)
				}
			}
			f.Release(1)
		})
	}
}

// TestOpenReadsLittle holds for every size of volume: opening reads a few blocks, and so does the first
// use.
func TestOpenReadsLittle(t *testing.T) {
	for _, l := range []fattest.Layout{
		{Width: 12, Clusters: 100}, {Width: 16, Clusters: 60000, ClusterSize: 4096},
		{Width: 32, Clusters: 130000}, {Width: 32, Clusters: 67_000_000, ClusterSize: 32768},
	} {
		mem := fattest.Formatted(t, l)
		dev := faultdev.New(mem)
		v, err := fat.Open(dev, fat.Options{CommitDelay: -time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Stat(); err != nil {
			t.Fatal(err)
		}
		n, err := v.Create(v.Root(), "first", 0)
		if err != nil {
			t.Fatal(err)
		}
		n.Release(1)
		if got := dev.Counts().Read; got > 20 {
			t.Errorf("FAT%d of %d clusters: %d reads up to the first file, want at most 20", l.Width, l.Clusters, got)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
}
