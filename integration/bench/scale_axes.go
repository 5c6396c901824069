//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// axisSizes are the points of each axis.
type axisSizes struct {
	files, dirs, volumes, fragments, open, clients []int64
	names                                          int // operations on names at a point, at least
}

var (
	fullAxes = axisSizes{
		files:     []int64{1 << 20, 16 << 20, 256 << 20, 1 << 30, 4<<30 - 1},
		dirs:      []int64{100, 1000, 5000, 20000, 32000, 60000},
		volumes:   []int64{64 << 20, 1 << 30, 32 << 30, 512 << 30, 2<<40 - 1<<20},
		fragments: []int64{1, 64, 1024, fragmentedClusters},
		open:      []int64{1, 10, 100, 1000, 10000},
		clients:   []int64{1, 2, 4, 8, 16, 32},
		names:     4000,
	}
	quickAxes = axisSizes{
		files:     []int64{1 << 20, 64 << 20},
		dirs:      []int64{100, 5000},
		volumes:   []int64{64 << 20, 32 << 30},
		fragments: []int64{1, fragmentedClusters},
		open:      []int64{1, 1000},
		clients:   []int64{1, 8},
		names:     1000,
	}
	tinyAxes = axisSizes{files: []int64{1 << 20}, dirs: []int64{20}, volumes: []int64{64 << 20}, fragments: []int64{64},
		open: []int64{3}, clients: []int64{2}, names: 20}
)

// axes are all of them. What the store of a point is, several runs share where it can stay as it is.
func (b *bench) axes(s axisSizes) []*axis {
	names := func(b *bench, point int64) (map[string]float64, int64, error) {
		return b.directorySize(int(point), s.names)
	}
	return []*axis{
		{"file", "size of the file", bytesUnit, s.files, []string{"first read, of the last block", "random read, 4 KiB", "random write, 4 KiB", "append, 4 KiB"}, (*bench).fileSize},
		{"directory", "entries of the directory", "entries", s.dirs, []string{"create", "stat, cold", "unlink", "create, long names", "stat, cold, long names"}, names},
		{"volume", "size of the volume", bytesUnit, s.volumes, []string{"start to mounted", "first statfs", "create, write 4 KiB, fsync"}, (*bench).volumeSize},
		{"fragments", "fragments of the file (64 MiB)", "fragments", s.fragments, []string{"sequential read, 1 MiB", "sequential write, 1 MiB", "random read, 4 KiB", "random write, 4 KiB", "new file in such space, 1 MiB"}, (*bench).fragmentation},
		{"open", "files open", "files", s.open, []string{"open and close", "random read, 4 KiB", "random write, 4 KiB"}, (*bench).openFiles},
		{"clients", "clients at once", "clients", s.clients, []string{"create", "stat, cold", "random read, 4 KiB", "random write, 4 KiB"}, (*bench).clients},
	}
}

// mounted mounts a store, has do measure there, and unmounts. It returns the most memory that the server had.
func (b *bench) mounted(store string, do func(dir string, s *server) error) (peak int64, err error) {
	dir, err := os.MkdirTemp(b.work, "mnt")
	if err != nil {
		return 0, err
	}
	defer os.Remove(dir)
	s, err := fatvol()(b, store, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := do(dir, s); err != nil {
		return 0, err
	}
	c, err := s.cost()
	return c.peak, err
}

// axisStore returns an image of a name, which it formats and fills if it is not there.
func (b *bench) axisStore(name string, size int64, fill func(store string) error) (string, error) {
	store := filepath.Join(b.memory, "axis-"+name)
	if _, err := os.Stat(store); err == nil {
		return store, nil
	}
	args := []string{"create", store, "-q", "--size", strconv.FormatInt(size, 10)}
	if size <= 32<<30 {
		args = append(args, "--fat", "32")
	}
	if size <= 8<<30 && size >= 280<<20 {
		args = append(args, "--cluster", "4K")
	}
	if err := runQuiet(exec.Command(b.fatvol, args...)); err != nil {
		return "", err
	}
	return store, fill(store)
}

func (b *bench) dropStores() {
	list, _ := filepath.Glob(filepath.Join(b.memory, "axis-*"))
	for _, store := range list {
		os.Remove(store)
	}
}

// withFile fills a store with a file in one piece.
func (b *bench) withFile(size int64) func(store string) error {
	return func(store string) error {
		_, err := b.mounted(store, func(dir string, _ *server) error { return writeFile(filepath.Join(dir, fileName), size) })
		return err
	}
}

// microseconds is what each of n operations took since a time.
func microseconds(began time.Time, n int) float64 {
	return float64(time.Since(began)) / 1e3 / float64(n)
}

// openDirect opens an existing file past the kernel's cache.
func openDirect(name string) (int, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		err = fmt.Errorf("open %s: %w", name, err)
	}
	return fd, err
}

// random adds the costs of random reads and writes of files of a size.
func (b *bench) random(costs map[string]float64, fds []int, size int64, jobs int) error {
	read, err := randomAccess(fds, size, jobs, false, b.scale.random)
	if err != nil {
		return err
	}
	write, err := randomAccess(fds, size, jobs, true, b.scale.random)
	costs["random read, 4 KiB"], costs["random write, 4 KiB"] = 1e6/read, 1e6/write
	return err
}
