package fs

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The costs of a round trip each. The client runs in the process of the server, so compare the numbers
// with each other and not with those of separate processes.

func BenchmarkCreateUnlink(b *testing.B) {
	m := mount(b, setup{size: 512 << 20, mkfs: []string{"-F", "32"}})
	const batch = 1000
	var names []string
	for i := range batch {
		names = append(names, m.path(fmt.Sprintf("file number %d", i)))
	}
	b.Run("create", func(b *testing.B) {
		for n := 0; n < b.N; n++ {
			if n%batch == 0 && n > 0 {
				b.StopTimer()
				for _, name := range names {
					unix.Unlink(name)
				}
				b.StartTimer()
			}
			fd, err := unix.Open(names[n%batch], unix.O_CREAT|unix.O_WRONLY, 0o666)
			if err != nil {
				b.Fatal(err)
			}
			unix.Close(fd)
		}
	})
	b.Run("unlink", func(b *testing.B) {
		for n := 0; n < b.N; n++ {
			if n%batch == 0 {
				b.StopTimer()
				for _, name := range names {
					unix.Mknod(name, unix.S_IFREG|0o666, 0)
				}
				b.StartTimer()
			}
			if err := unix.Unlink(names[n%batch]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkStat(b *testing.B) {
	m := mount(b, setup{})
	write(b, m.path("f"), "x")
	b.Run("cached", func(b *testing.B) {
		for b.Loop() {
			unix.Stat(m.path("f"), new(unix.Stat_t))
		}
	})
	b.Run("other spelling", func(b *testing.B) {
		for b.Loop() {
			unix.Stat(m.path("F"), new(unix.Stat_t))
		}
	})
}

func BenchmarkReadDir(b *testing.B) {
	m := mount(b, setup{size: 64 << 20, mkfs: []string{"-F", "32"}})
	must(b, os.Mkdir(m.path("d"), 0o777))
	fill(b, m.path("d"), 1000)
	b.Run("cached", func(b *testing.B) {
		for b.Loop() {
			list(b, m.path("d"))
		}
	})
	b.Run("anew", func(b *testing.B) {
		for b.Loop() {
			m.InvalidateAll()
			list(b, m.path("d"))
		}
	})
}

func BenchmarkReadWrite(b *testing.B) {
	m := mount(b, setup{size: 64 << 20, mkfs: []string{"-F", "32"}})
	f := create(b, m.path("f"), "")
	for _, size := range []int{4 << 10, 1 << 20} {
		buf := aligned(size)
		b.Run(fmt.Sprintf("write %d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := unix.Pwrite(int(f.Fd()), buf, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
		direct, err := os.OpenFile(m.path("f"), os.O_RDONLY|unix.O_DIRECT, 0)
		must(b, err)
		b.Run(fmt.Sprintf("read %d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := unix.Pread(int(direct.Fd()), buf, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
		direct.Close()
	}
}
