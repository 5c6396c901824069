//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// What mtools do with the store instead.

// timed runs a program on the store and returns the seconds it took. As it cannot be measured by what it has
// done so far, it gets a little longer than others.
func (c *cell) timed(name string, args ...string) (float64, error) {
	ctx, cancel := context.WithTimeout(c.b.ctx, 3*c.b.patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1")
	began := time.Now()
	err := runQuiet(cmd)
	took := time.Since(began).Seconds()
	if ctx.Err() != nil {
		return 0, errTooLong
	}
	if err == nil {
		c.tools = childCost(cmd.ProcessState)
	}
	return took, err
}

// source makes files outside of the store, as many or as large as asked for, and returns their directory.
func (c *cell) source(what content) (string, error) {
	dir, err := os.MkdirTemp(c.b.memory, "source")
	if err != nil {
		return "", err
	}
	return dir, what.fill(dir, c.b.archive)
}

func (c *cell) toolWrite(size int64) (float64, error) {
	dir, err := c.source(content{file: size})
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	took, err := c.timed("mcopy", "-i", c.store, filepath.Join(dir, fileName), "::")
	return float64(size) / mib / took, err
}

func (c *cell) toolRead() (float64, error) {
	took, err := c.timed("mcopy", "-n", "-i", c.store, "::"+fileName, "/dev/null")
	return float64(c.row.content.file) / mib / took, err
}

func (c *cell) toolCreate(n int) (float64, error) {
	dir, err := c.source(content{dir: n})
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	took, err := c.timed("mcopy", "-s", "-i", c.store, filepath.Join(dir, dirName), "::")
	return float64(n) / took, err
}

func (c *cell) toolList() (float64, error) {
	took, err := c.timed("mdir", "-b", "-i", c.store, "::/"+dirName)
	return took * 1e3, err
}

func (c *cell) toolUnlink() (float64, error) {
	took, err := c.timed("mdeltree", "-i", c.store, "::/"+dirName)
	return float64(c.row.content.dir) / took, err
}

func (c *cell) toolCopy() (float64, error) {
	dir, err := c.source(content{tree: true})
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	return c.timed("mcopy", "-s", "-i", c.store, filepath.Join(dir, treeName), "::")
}

func (c *cell) toolListAll() (float64, error) {
	return c.timed("mdir", "-s", "-i", c.store, "::/"+treeName)
}

// errTooLong is why a figure is left out.
var errTooLong = errors.New("takes too long")
