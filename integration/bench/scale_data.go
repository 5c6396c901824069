//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// fileSize measures in a file of a size. The appends end there, at FAT's limit, or up to 4 MiB behind.
func (b *bench) fileSize(size int64) (costs map[string]float64, peak int64, err error) {
	const step, appends = 4 << 10, 512
	size = min(size/step*step, 4<<30-(appends+1)*step)
	store, err := b.axisStore(count("file", int(size>>20)), max(size+size/4, 512<<20), b.withFile(size))
	if err != nil {
		return nil, 0, err
	}
	costs = map[string]float64{}
	peak, err = b.mounted(store, func(dir string, _ *server) error {
		fd, err := openDirect(filepath.Join(dir, fileName))
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		buf := aligned(step)
		defer unix.Munmap(buf)
		began := time.Now()
		if _, err := unix.Pread(fd, buf, size-step); err != nil {
			return err
		}
		costs["first read, of the last block"] = microseconds(began, 1)
		if err := b.random(costs, []int{fd}, size, 1); err != nil {
			return err
		}
		began = time.Now()
		for i := range int64(appends) {
			if _, err := unix.Pwrite(fd, buf, size+i*step); err != nil {
				return err
			}
		}
		costs["append, 4 KiB"] = microseconds(began, appends)
		return unix.Ftruncate(fd, size)
	})
	return costs, peak, err
}

// fragmentation measures in a file of so many fragments, in a volume that has nothing else free than what lies
// between them.
func (b *bench) fragmentation(fragments int64) (costs map[string]float64, peak int64, err error) {
	store, err := b.fragmented(fragments)
	if err != nil {
		return nil, 0, err
	}
	costs = map[string]float64{}
	peak, err = b.mounted(store, func(dir string, _ *server) error {
		name, buf := filepath.Join(dir, fileName), aligned(mib)
		defer unix.Munmap(buf)
		fd, err := openDirect(name)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		// sequential calls op for each MiB of the file, and then end.
		sequential := func(what string, op func(off int64) (int, error), end func() error) error {
			began := time.Now()
			for off := int64(0); off < fragmentedSize; off += mib {
				if n, err := op(off); n != mib {
					return fmt.Errorf("%s at %d: %d, %w", what, off, n, err)
				}
			}
			err := end()
			costs[what] = microseconds(began, fragmentedSize/mib)
			return err
		}
		none := func() error { return nil }
		if err := sequential("sequential read, 1 MiB", func(off int64) (int, error) { return unix.Pread(fd, buf, off) }, none); err != nil {
			return err
		}
		if err := sequential("sequential write, 1 MiB", func(off int64) (int, error) { return unix.Pwrite(fd, buf, off) }, none); err != nil {
			return err
		}
		if err := b.random(costs, []int{fd}, fragmentedSize, 1); err != nil {
			return err
		}
		other, err := os.Create(filepath.Join(dir, "other"))
		if err != nil {
			return err
		}
		defer other.Close()
		if err := sequential("new file in such space, 1 MiB", func(off int64) (int, error) { return other.Write(buf) }, other.Sync); err != nil {
			return err
		}
		return os.Remove(other.Name())
	})
	return costs, peak, err
}

// openFiles measures with n files open, of 16 KiB each.
func (b *bench) openFiles(n int64) (costs map[string]float64, peak int64, err error) {
	const size, opens = 16 << 10, 2000
	path := func(dir string, i int64) string {
		return filepath.Join(dir, fmt.Sprintf("%s%d", dirName, i/1000), entryName(int(i)))
	}
	store, err := b.axisStore("open", imageSize, func(store string) error {
		_, err := b.mounted(store, func(dir string, _ *server) error {
			for i := range int64(10000) {
				name := path(dir, i)
				if i%1000 == 0 {
					if err := os.Mkdir(filepath.Dir(name), 0o777); err != nil {
						return err
					}
				}
				if err := writeFile(name, size); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	costs = map[string]float64{}
	peak, err = b.mounted(store, func(dir string, _ *server) error {
		var fds []int
		defer func() {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}()
		for i := range n {
			fd, err := openDirect(path(dir, i))
			if err != nil {
				return err
			}
			fds = append(fds, fd)
		}
		rng := rand.New(rand.NewPCG(1, 1))
		began := time.Now()
		for range opens {
			fd, err := openDirect(path(dir, rng.Int64N(n)))
			if err != nil {
				return err
			}
			unix.Close(fd)
		}
		costs["open and close"] = microseconds(began, opens)
		return b.random(costs, fds, size, 1)
	})
	return costs, peak, err
}
