//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// directorySize measures in directories of n entries: in so many that there are some operations to measure.
func (b *bench) directorySize(n, operations int) (costs map[string]float64, peak int64, err error) {
	costs = map[string]float64{}
	store, err := b.axisStore("directory", imageSize, func(string) error { return nil })
	if err != nil {
		return nil, 0, err
	}
	defer os.Remove(store)
	kinds := []struct {
		suffix string
		long   bool
	}{{"", false}, {", long names", true}}
	var lists [2][]string // paths below the mount
	dirs := max(1, operations/n)
	for i, kind := range kinds {
		for d := range dirs {
			for e := range n {
				name := fmt.Sprintf("%08d", e)
				if kind.long {
					name = entryName(e)
				}
				lists[i] = append(lists[i], fmt.Sprintf("d%d%d/%s", i, d, name))
			}
		}
	}
	if n > (1<<16-2)/2 { // with an alias each, they take two slots
		lists[1] = nil
	}
	each := func(dir string, what string, op func(name string) error) error {
		for i, list := range lists {
			if len(list) == 0 || what == "unlink" && i > 0 {
				continue
			}
			began := time.Now()
			for _, name := range list {
				if err := op(filepath.Join(dir, name)); err != nil {
					return fmt.Errorf("%s %s: %w", what, name, err)
				}
			}
			costs[what+kinds[i].suffix] = microseconds(began, len(list))
		}
		return nil
	}
	peak, err = b.mounted(store, func(dir string, _ *server) error {
		for i := range kinds {
			for d := range dirs {
				if err := os.Mkdir(filepath.Join(dir, fmt.Sprintf("d%d%d", i, d)), 0o777); err != nil {
					return err
				}
			}
		}
		return each(dir, "create", touch)
	})
	if err != nil {
		return nil, 0, err
	}
	again, err := b.mounted(store, func(dir string, _ *server) error {
		if err := each(dir, "stat, cold", func(name string) error {
			var st unix.Stat_t
			return unix.Stat(name, &st)
		}); err != nil {
			return err
		}
		return each(dir, "unlink", unix.Unlink)
	})
	return costs, max(peak, again), err
}

// volumeSize measures on a volume of a size, of which nothing has been used.
func (b *bench) volumeSize(size int64) (costs map[string]float64, peak int64, err error) {
	const files = 200
	store, err := b.axisStore("volume", size, func(string) error { return nil })
	if err != nil {
		return nil, 0, err
	}
	defer os.Remove(store)
	costs = map[string]float64{}
	peak, err = b.mounted(store, func(dir string, s *server) error {
		costs["start to mounted"] = float64(s.ready) / 1e3
		var st unix.Statfs_t
		began := time.Now()
		if err := unix.Statfs(dir, &st); err != nil {
			return err
		}
		costs["first statfs"] = microseconds(began, 1)
		began = time.Now()
		for i := range files {
			f, err := os.Create(filepath.Join(dir, entryName(i)))
			if err != nil {
				return err
			}
			_, err = f.Write(block[:4<<10])
			if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
				return err
			}
		}
		costs["create, write 4 KiB, fsync"] = microseconds(began, files)
		return nil
	})
	return costs, peak, err
}

// clients measures with n clients at once, each in a directory of its own: the time between two operations of any.
func (b *bench) clients(n int64) (costs map[string]float64, peak int64, err error) {
	const files, size = 4000, 16 << 20
	store, err := b.axisStore("clients", imageSize, b.withFile(size))
	if err != nil {
		return nil, 0, err
	}
	defer os.Remove(store)
	costs = map[string]float64{}
	each := int(files / n)
	parallel := func(dir, what string, op func(name string) error) error {
		var failed atomic.Pointer[error]
		var wg sync.WaitGroup
		began := time.Now()
		for client := range n {
			names := entryPaths(filepath.Join(dir, count(dirName, int(client))), each)
			wg.Go(func() {
				for _, name := range names {
					if err := op(name); err != nil {
						failed.Store(&err)
						return
					}
				}
			})
		}
		wg.Wait()
		costs[what] = microseconds(began, each*int(n))
		if err := failed.Load(); err != nil {
			return fmt.Errorf("%s: %w", what, *err)
		}
		return nil
	}
	peak, err = b.mounted(store, func(dir string, _ *server) error {
		for client := range n {
			if err := os.Mkdir(filepath.Join(dir, count(dirName, int(client))), 0o777); err != nil {
				return err
			}
		}
		return parallel(dir, "create", touch)
	})
	if err != nil {
		return nil, 0, err
	}
	again, err := b.mounted(store, func(dir string, _ *server) error {
		if err := parallel(dir, "stat, cold", func(name string) error {
			var st unix.Stat_t
			return unix.Stat(name, &st)
		}); err != nil {
			return err
		}
		fd, err := openDirect(filepath.Join(dir, fileName))
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return b.random(costs, []int{fd}, size, int(n))
	})
	return costs, max(peak, again), err
}
