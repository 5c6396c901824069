package watch_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"fatvol/watch"
)

// A cachedHost reads what is cached without waiting, as image/device.Host does.
type cachedHost struct{ fileHost }

func (h cachedHost) ReadNoWait(p []byte, off int64) (done bool, err error) {
	rc, err := h.SyscallConn()
	if err != nil {
		return false, err
	}
	cerr := rc.Control(func(fd uintptr) {
		r := unix.CachestatRange{Off: uint64(off), Len: uint64(len(p))}
		var s unix.Cachestat_t
		if err = unix.Cachestat(uint(fd), &r, &s, 0); err != nil || s.Cache < uint64(len(p)/4096) {
			return
		}
		var n int
		n, err = unix.Preadv2(int(fd), [][]byte{p}, off, unix.RWF_NOWAIT)
		done = n == len(p)
	})
	return done && err == nil, cerr
}

// BenchmarkRead compares a read of 4 KiB that the host has cached: of the file itself, handed to a worker,
// and without waiting. BenchmarkWrite compares what a write costs more.
func BenchmarkRead(b *testing.B) {
	p := make([]byte, 4096)
	h := benchHost(b)
	b.Run("direct", func(b *testing.B) {
		for i := range b.N {
			h.ReadAt(p, int64(i%200)*4096)
		}
	})
	for name, host := range map[string]watch.Host{"worker": h, "nowait": cachedHost{h}} {
		m := watch.New(host, watch.Config{Path: h.Name(), Never: true, Log: slog.New(slog.DiscardHandler)})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, err := m.ReadAt(p, int64(i%200)*4096); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				p := make([]byte, 4096)
				for i := 0; pb.Next(); i++ {
					m.ReadAt(p, int64(i%200)*4096)
				}
			})
		})
		if m.Status().State != watch.Present {
			b.Fatalf("%+v", m.Status())
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	p := make([]byte, 4096)
	h := benchHost(b)
	b.Run("direct", func(b *testing.B) {
		for i := range b.N {
			h.WriteAt(p, int64(i%200)*4096)
		}
	})
	m := watch.New(h, watch.Config{Path: h.Name(), Never: true, Log: slog.New(slog.DiscardHandler)})
	b.Run("worker", func(b *testing.B) {
		for i := range b.N {
			if _, err := m.WriteAt(p, int64(i%200)*4096); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkGone is what an operation costs while the medium is gone.
func BenchmarkGone(b *testing.B) {
	m := watch.New(benchHost(b), watch.Config{Never: true, Log: slog.New(slog.DiscardHandler)})
	m.Close()
	p := make([]byte, 4096)
	for b.Loop() {
		if _, err := m.ReadAt(p, 0); err == nil {
			b.Fatal("read a medium that is gone")
		}
	}
}

func benchHost(b *testing.B) fileHost {
	path := filepath.Join(b.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return fileHost{f}
}
