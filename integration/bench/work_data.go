//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A cell is one run of a row by a system.
type cell struct {
	b       *bench
	system  *system
	row     *row
	store   string
	dir     string // where the store is to be seen
	server  *server
	tools   cost      // of the programs that a tool row ran
	expires time.Time // a peer that is not done by then is measured by what it did
}

// expired reports whether a peer has had its time.
func (c *cell) expired() bool { return c.system.peer && time.Now().After(c.expires) }

func (c *cell) path(name string) string { return filepath.Join(c.dir, name) }

const mib = 1 << 20

// perSecond is how often per second n is since a time.
func perSecond(n float64, began time.Time) float64 { return n / time.Since(began).Seconds() }

// seqWrite writes a new file in large blocks, up to its close(2), and with sync, up to its fsync(2).
func (c *cell) seqWrite(size int64, sync bool) (float64, error) {
	began := time.Now()
	f, err := os.OpenFile(c.path(fileName), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o666)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	done := int64(0)
	for ; done < size && !c.expired(); done += int64(len(block)) {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
	}
	if sync {
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	return perSecond(float64(done)/mib, began), nil
}

// seqRead reads the file from end to end, with a buffer as cp(1) has one.
func (c *cell) seqRead() (float64, error) {
	buf := make([]byte, 256<<10)
	began := time.Now()
	f, err := os.Open(c.path(fileName))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	done := 0
	for !c.expired() {
		n, err := f.Read(buf)
		done += n
		if n == 0 {
			if err == nil || done == 0 {
				return 0, fmt.Errorf("read %d bytes: %w", done, err)
			}
			break
		}
	}
	return perSecond(float64(done)/mib, began), nil
}

// smallWrites writes a new file in blocks of 4 KiB.
func (c *cell) smallWrites(size int64) (float64, error) {
	const step = 4 << 10
	began := time.Now()
	f, err := os.OpenFile(c.path(fileName), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o666)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	done := int64(0)
	for ; done < size && !c.expired(); done += step {
		if _, err := f.Write(block[done%int64(len(block)):][:step]); err != nil {
			return 0, err
		}
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	return perSecond(float64(done)/mib, began), nil
}

// random reads or writes blocks of 4 KiB at random places, past the kernel's cache where the system lets it,
// with several jobs at once.
func (c *cell) random(jobs int, write bool) (float64, error) {
	flags := unix.O_RDONLY
	if write {
		flags = unix.O_WRONLY
	}
	fd, err := unix.Open(c.path(fileName), flags|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err == unix.EINVAL { // some FUSE file systems refuse it
		if fd, err = unix.Open(c.path(fileName), flags|unix.O_CLOEXEC, 0); err == nil {
			_ = unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", c.path(fileName), err)
	}
	defer unix.Close(fd)
	return randomAccess([]int{fd}, c.row.content.file, jobs, write, c.b.scale.random)
}

// randomAccess reads or writes blocks of 4 KiB at random places of files of a size, each time of another one, for
// some time. It returns how many per second all jobs did together.
func randomAccess(fds []int, size int64, jobs int, write bool, duration time.Duration) (float64, error) {
	const step = 4 << 10
	var (
		total  atomic.Int64
		wg     sync.WaitGroup
		failed atomic.Pointer[error]
	)
	blocks := size / step
	began := time.Now()
	until := began.Add(duration)
	for job := range jobs {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(job), 1))
			buf := aligned(step)
			defer unix.Munmap(buf)
			n := int64(0)
			for ; n%16 != 0 || time.Now().Before(until); n++ {
				fd, off := fds[rng.IntN(len(fds))], rng.Int64N(blocks)*step
				var err error
				if write {
					_, err = unix.Pwrite(fd, buf, off)
				} else {
					_, err = unix.Pread(fd, buf, off)
				}
				if err != nil {
					failed.Store(&err)
					break
				}
			}
			total.Add(n)
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return perSecond(float64(total.Load()), began), nil
}
