//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// milliseconds and seconds since a time.
func milliseconds(began time.Time) float64 { return float64(time.Since(began)) / 1e6 }

// create makes empty files in a new directory: open(2) and close(2).
func (c *cell) create(n int) (float64, error) {
	dir := c.path(dirName)
	if err := os.Mkdir(dir, 0o777); err != nil {
		return 0, err
	}
	names := entryPaths(dir, n)
	began := time.Now()
	done := 0
	for ; done < n && !c.expired(); done++ {
		if err := touch(names[done]); err != nil {
			return 0, err
		}
	}
	return perSecond(float64(done), began), nil
}

func entryPaths(dir string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = filepath.Join(dir, entryName(i))
	}
	return names
}

// stat looks at every file of the directory, none of which anybody has looked at before.
func (c *cell) stat() (float64, error) {
	names := entryPaths(c.path(dirName), c.row.content.dir)
	began := time.Now()
	done := 0
	for ; done < len(names) && !c.expired(); done++ {
		var st unix.Stat_t
		if err := unix.Stat(names[done], &st); err != nil {
			return 0, fmt.Errorf("stat %s: %w", names[done], err)
		}
	}
	return perSecond(float64(done), began), nil
}

// readdir lists the directory, names only.
func (c *cell) readdir() (float64, error) {
	began := time.Now()
	fd, err := unix.Open(c.path(dirName), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 32<<10) // as the C library has it
	total, entries := 0, 0
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		total += n
		_, some, _ := unix.ParseDirent(buf[:n], -1, nil)
		entries += some
	}
	took := milliseconds(began)
	if entries != c.row.content.dir && c.system.name != "fusefat" { // which leaves out some
		return 0, fmt.Errorf("%d entries of %d", entries, c.row.content.dir)
	}
	return took, nil
}

// unlink removes every file of the directory.
func (c *cell) unlink() (float64, error) {
	names := entryPaths(c.path(dirName), c.row.content.dir)
	began := time.Now()
	done := 0
	for ; done < len(names) && !c.expired(); done++ {
		if err := unix.Unlink(names[done]); err != nil {
			return 0, fmt.Errorf("unlink %s: %w", names[done], err)
		}
	}
	return perSecond(float64(done), began), nil
}

func (c *cell) untar() (float64, error) {
	began := time.Now()
	err := untar(c.dir, c.b.archive)
	took := time.Since(began).Seconds()
	if c.system.peer && errors.Is(err, errTar) {
		err = nil // it knows no chmod, of which tar complains at its end
	}
	return took, err
}

func (c *cell) ls() (float64, error) {
	cmd := exec.Command("ls", "-lR", c.path(treeName)) // not to /dev/null, which some ls know and do less for
	out, err := os.OpenFile(filepath.Join(c.b.memory, "listing"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o666)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	cmd.Stdout = out
	began := time.Now()
	err = cmd.Run()
	return time.Since(began).Seconds(), err
}

// mount measures how long it took the server to be ready, which was before this is called.
func (c *cell) mount() (float64, error) { return float64(c.server.ready) / 1e6, nil }

func (c *cell) statfs() (float64, error) {
	var st unix.Statfs_t
	began := time.Now()
	err := unix.Statfs(c.dir, &st)
	took := milliseconds(began)
	if err == nil && c.system.image && st.Bfree*uint64(st.Bsize) < hugeImageSize/2 {
		err = errors.New("it reports no free space")
	}
	if c.system.peer {
		err = nil // fast and wrong is for the reader to see
	}
	return took, err
}
